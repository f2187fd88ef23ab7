package expression

import (
	"errors"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"

	"github.com/tenterhook/tenterhook/internal/request"
)

// EvalError says why an expression could not be evaluated, where, and with which values. It is
// neither true nor false.
type EvalError struct {
	Message       string
	Offset, Width int     // bytes in the source
	Values        []Value // that it met, each bounded

	ofLet bool // its place is in the source of a let: value
}

// Error is the message with the values, bounded.
func (e *EvalError) Error() string {
	if len(e.Values) == 0 {
		return e.Message
	}
	met := make([]string, len(e.Values))
	for i, v := range e.Values {
		met[i] = v.Expr + " is " + describe(v.Value)
	}
	return e.Message + ": " + strings.Join(met, ", ")
}

// Where is the place in the source.
func (e *EvalError) Where() (offset, width int) { return e.Offset, e.Width }

// Advice implements what a placed error has; an evaluation error has none.
func (e *EvalError) Advice() []string { return nil }

// maxMet is how many values an EvalError shows.
const maxMet = 4

// evalError places what went wrong while b ran the program, and adds the values it met.
func (p *Program) evalError(b *budget, err error) error {
	var undecodable *request.DecodeError
	if errors.As(err, &undecodable) {
		return undecodable
	}
	var of ast.Node // what failed
	e := &EvalError{Message: firstLine(err.Error()), Width: len(p.source)}
	var operation *operationError
	errors.As(err, &operation)
	var at *file.Error
	if errors.As(err, &at) {
		e.Message = firstLine(at.Message)
		e.Offset, e.Width = place(p.source, at.Location)
		of = p.sites[site{at.Location.From, operation != nil && operation.condition}]
	}
	spans := newSpans(p.source)
	if of != nil {
		from, to := spans.of(of)
		e.Offset, e.Width = from, to-from
	}
	var nested *EvalError
	switch {
	case b.exceeded != nil:
		e.Message = b.exceeded.Error()
	case e.Message == "memory budget exceeded":
		e.Message = errElements.Error()
	case strings.HasPrefix(e.Message, "reduce of empty array"):
		e.Message = "reduce of an empty list wants a first value: reduce(list, …, 0)"
	case errors.As(err, &nested) && nested.ofLet:
		e.Message, e.Values = nested.Message, nested.Values
	case operation != nil && of != nil:
		e.Values = met(spans, operands(of, operation.condition), operation.operands)
	}
	return e
}

// operands are the parts of an operation in the order in which it gets them.
func operands(n ast.Node, isCondition bool) []ast.Node {
	if isCondition {
		return []ast.Node{n}
	}
	switch n := n.(type) {
	case *ast.BinaryNode:
		return []ast.Node{n.Left, n.Right}
	case *ast.UnaryNode:
		return []ast.Node{n.Node}
	case *ast.CallNode:
		return n.Arguments
	case *ast.BuiltinNode:
		return n.Arguments[:1]
	case *ast.SliceNode:
		return []ast.Node{n.Node}
	}
	return []ast.Node{n} // the key of a mapping
}

func met(spans *spans, nodes []ast.Node, values []any) []Value {
	var out []Value
	for i, n := range nodes {
		if i < len(values) && len(out) < maxMet && !isLiteral(n) {
			out = append(out, Value{Expr: spans.text(n), Value: bounded(values[i], maxDescribed)})
		}
	}
	return out
}
