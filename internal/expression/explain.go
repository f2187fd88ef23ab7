package expression

import (
	"encoding/json"

	"github.com/expr-lang/expr/ast"
)

// Value is a sub-expression and what it came to. Value is bounded and can be written as JSON.
type Value struct {
	Expr  string
	Value any
	Error string
}

// MarshalJSON writes {expr, value} and error when there is one.
func (v Value) MarshalJSON() ([]byte, error) {
	value := json.RawMessage(describeJSON(v.Value))
	return json.Marshal(struct {
		Expr  string          `json:"expr"`
		Value json.RawMessage `json:"value"`
		Error string          `json:"error,omitempty"`
	}{v.Expr, value, v.Error})
}

// describeJSON is a value as JSON; one that is too large is a text that says so.
func describeJSON(v any) string {
	b := newBudget(nil)
	b.bytes = maxShown
	if text, err := encode(b, v); err == nil {
		return text.(string)
	}
	short, err := encode(newBudget(nil), describe(v))
	if err != nil {
		return "null"
	}
	return short.(string)
}

// The bounds of an explanation.
const (
	maxShown  = 2048 // bytes of one value
	maxValues = 64
)

// Explain evaluates the sub-expressions that decide: the operands of comparisons, each side of
// and, or and not, the arguments of calls, and for conditions over elements the first that
// decided. They come in source order, the whole last.
func (p *Program) Explain(in *Input) []Value {
	tree, err := parse(p.source)
	if err != nil {
		return nil
	}
	e := &explainer{scope: p.scope, in: in, seen: map[string]bool{}}
	e.explain(tree.Node)
	return e.values
}

type explainer struct {
	scope  Scope
	in     *Input
	seen   map[string]bool
	values []Value
}

func (e *explainer) explain(n ast.Node) {
	switch n := n.(type) {
	case *ast.BinaryNode:
		e.explain(n.Left)
		e.explain(n.Right)
	case *ast.UnaryNode:
		e.explain(n.Node)
	case *ast.ConditionalNode:
		e.explain(n.Cond)
		e.explain(n.Exp1)
		e.explain(n.Exp2)
	case *ast.CallNode:
		for _, a := range n.Arguments {
			e.explain(a)
		}
	case *ast.BuiltinNode:
		if len(n.Arguments) > 0 {
			e.explain(n.Arguments[0])
		}
		defer e.element(n)
	case *ast.ChainNode:
		e.explain(n.Node)
		return
	}
	e.add(n)
}

// element adds which element decided a condition over elements.
func (e *explainer) element(n *ast.BuiltinNode) {
	if len(n.Arguments) < 2 {
		return
	}
	var condition ast.Node = n.Arguments[1]
	switch n.Name {
	case "any", "one", "none":
	case "all":
		if p, ok := condition.(*ast.PredicateNode); ok {
			condition = &ast.PredicateNode{Node: &ast.UnaryNode{Operator: "not", Node: p.Node}}
		}
	default:
		return
	}
	index := &ast.BuiltinNode{Name: "findIndex", Arguments: []ast.Node{n.Arguments[0], condition}}
	v := evaluate(index, e.scope, e.in)
	if i, ok := asInt(v.Value); ok && v.Error == "" && i >= 0 {
		e.values = append(e.values, Value{Expr: "index of the element that decided " + n.String(), Value: v.Value})
	}
}

func (e *explainer) add(n ast.Node) {
	source := n.String()
	if constant(n) || e.seen[source] || len(e.values) >= maxValues {
		return
	}
	e.seen[source] = true
	e.values = append(e.values, evaluate(n, e.scope, e.in))
}

// constant are nodes whose value everybody sees.
func constant(n ast.Node) bool {
	if simple(n) {
		return true
	}
	if list, ok := n.(*ast.ArrayNode); ok {
		for _, item := range list.Nodes {
			if !constant(item) {
				return false
			}
		}
		return true
	}
	return false
}

// evaluate evaluates a part of an expression on its own.
func evaluate(n ast.Node, scope Scope, in *Input) Value {
	out := Value{Expr: n.String()}
	p, err := Compile(out.Expr, scope)
	if err != nil {
		out.Error = err.Error()
		return out
	}
	v, err := p.runPlain(in)
	if err != nil {
		out.Error = err.Error()
		return out
	}
	out.Value = v
	return out
}
