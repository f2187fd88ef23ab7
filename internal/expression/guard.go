package expression

import (
	"math"
	"regexp"
	"slices"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
)

// guard rewrites a tree as it was written into one that is bounded and in which what is missing
// is nil. The original is left as it is. What it makes are calls of internals, which get the
// budget first: "$env" is how the library names what a program is run with.
type guard struct {
	lets  map[string]bool
	sites sites
	trace *explanation // nil unless the program is to explain itself
	loop  int          // the loop around the node, in the explanation; -1 outside
}

// site says where an operation that can fail was written. A condition that is no condition is
// a failure of what is around it.
type site struct {
	at        int // of the library: characters
	condition bool
}

type sites map[site]ast.Node

func newGuard(s Scope, trace *explanation) *guard {
	return &guard{lets: kindsIn(s), sites: sites{}, trace: trace, loop: -1}
}

// rewrite returns what is to be run for n.
func (g *guard) rewrite(n ast.Node) ast.Node {
	out := g.plain(n)
	if g.trace != nil && g.trace.wants(n) {
		out = g.call(n.Location(), "__note", constant(g.trace.note(n, g.loop)), out)
	}
	return out
}

func (g *guard) plain(n ast.Node) ast.Node {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		return g.identifier(n)
	case *ast.UnaryNode:
		return g.unary(n)
	case *ast.BinaryNode:
		return g.binary(n)
	case *ast.ChainNode:
		return g.plain(n.Node) // ?. is . here
	case *ast.MemberNode:
		return g.member(n)
	case *ast.SliceNode:
		return g.operation(n, "__slice", n.Node, orNil(n.From), orNil(n.To))
	case *ast.CallNode:
		return g.function(n)
	case *ast.BuiltinNode:
		return g.builtin(n)
	case *ast.ConditionalNode:
		return located(n, &ast.ConditionalNode{Ternary: true, Cond: g.condition(n.Cond), Exp1: g.rewrite(n.Exp1), Exp2: g.rewrite(n.Exp2)})
	case *ast.VariableDeclaratorNode:
		return located(n, &ast.VariableDeclaratorNode{Name: n.Name, Value: g.rewrite(n.Value), Expr: g.rewrite(n.Expr)})
	case *ast.SequenceNode:
		return located(n, &ast.SequenceNode{Nodes: g.all(n.Nodes)})
	case *ast.ArrayNode:
		return located(n, &ast.ArrayNode{Nodes: g.all(n.Nodes)})
	case *ast.MapNode:
		return located(n, &ast.MapNode{Pairs: g.all(n.Pairs)})
	case *ast.PairNode:
		return located(n, &ast.PairNode{Key: g.operation(n.Key, "__key", n.Key), Value: g.rewrite(n.Value)})
	}
	return literal(n)
}

func (g *guard) all(nodes []ast.Node) []ast.Node {
	out := make([]ast.Node, len(nodes))
	for i, n := range nodes {
		out[i] = g.rewrite(n)
	}
	return out
}

// literal copies what the library may run as it is, because compiling marks nodes.
func literal(n ast.Node) ast.Node {
	switch n := n.(type) {
	case *ast.NilNode:
		return located(n, &ast.NilNode{})
	case *ast.BoolNode:
		return located(n, &ast.BoolNode{Value: n.Value})
	case *ast.StringNode:
		return located(n, &ast.StringNode{Value: n.Value})
	case *ast.FloatNode:
		return located(n, &ast.FloatNode{Value: n.Value})
	case *ast.IntegerNode: // an int would be 32 bits on some machines
		return located(n, constant(int64(n.Value)))
	case *ast.PointerNode:
		return located(n, &ast.PointerNode{Name: n.Name})
	}
	panic("a node nobody expected") // Compile makes an Error of it
}

func located[N ast.Node](original ast.Node, n N) N {
	n.SetLocation(original.Location())
	return n
}

func constant(v any) ast.Node { return &ast.ConstantNode{Value: v} }

// call calls one of the functions that the library was told.
func (g *guard) call(at file.Location, name string, arguments ...ast.Node) ast.Node {
	n := &ast.CallNode{
		Callee:    &ast.IdentifierNode{Value: name},
		Arguments: append([]ast.Node{&ast.IdentifierNode{Value: "$env"}}, arguments...),
	}
	n.SetLocation(at)
	n.Callee.SetLocation(at)
	for _, a := range n.Arguments {
		if a.Location() == (file.Location{}) {
			a.SetLocation(at)
		}
	}
	return n
}

// operation calls an internal that may fail in the place of n.
func (g *guard) operation(n ast.Node, internal string, operands ...ast.Node) ast.Node {
	g.sites[site{at: n.Location().From}] = n
	return g.call(n.Location(), internal, g.all(operands)...)
}

func (g *guard) identifier(n *ast.IdentifierNode) ast.Node {
	switch {
	case g.lets[n.Value]:
		return g.call(n.Location(), "__let", constant(n.Value))
	case isName(n.Value):
		return g.call(n.Location(), "__name "+n.Value)
	}
	return located(n, &ast.IdentifierNode{Value: n.Value}) // defined by let in the expression
}

// condition is n where only true and false make sense; nil is false there.
func (g *guard) condition(n ast.Node) ast.Node {
	out := g.rewrite(n)
	if kinds(g.lets).of(n) == condition {
		return out
	}
	g.sites[site{at: n.Location().From, condition: true}] = n
	return g.call(n.Location(), "__condition", out)
}

func (g *guard) unary(n *ast.UnaryNode) ast.Node {
	switch n.Operator {
	case "!", "not":
		if n.Node.Location() == n.Location() { // written as one: a not in b
			return located(n, &ast.UnaryNode{Operator: "not", Node: g.plain(n.Node)})
		}
		return located(n, &ast.UnaryNode{Operator: "not", Node: g.condition(n.Node)})
	case "-":
		switch written := n.Node.(type) {
		case *ast.IntegerNode:
			return located(n, constant(-int64(written.Value)))
		case *ast.FloatNode:
			return located(n, &ast.FloatNode{Value: -written.Value})
		}
	}
	return g.operation(n, "__unary"+n.Operator, n.Node)
}

func (g *guard) binary(n *ast.BinaryNode) ast.Node {
	switch n.Operator {
	case "&&", "||", "and", "or":
		return located(n, &ast.BinaryNode{Operator: n.Operator, Left: g.condition(n.Left), Right: g.condition(n.Right)})
	case "??":
		return located(n, &ast.BinaryNode{Operator: n.Operator, Left: g.rewrite(n.Left), Right: g.rewrite(n.Right)})
	case "==":
		return g.equality(n)
	case "!=":
		return located(n, &ast.UnaryNode{Operator: "not", Node: g.equality(n)})
	case "in":
		if written, ok := writtenList(n.Right); ok {
			return g.call(n.Location(), "__in", g.rewrite(n.Left), constant(written))
		}
	case "matches":
		pattern := n.Right.(*ast.StringNode).Value // the checker saw to it
		g.sites[site{at: n.Location().From}] = n
		return g.call(n.Location(), "__matches", g.rewrite(n.Left), constant(compilePattern(pattern)))
	}
	return g.operation(n, "__binary"+n.Operator, n.Left, n.Right)
}

// equality leaves comparisons with text, true, false and nil to the library: there is nothing
// to be said about them, and it is quicker.
func (g *guard) equality(n *ast.BinaryNode) ast.Node {
	if isAtom(n.Left) || isAtom(n.Right) {
		return located(n, &ast.BinaryNode{Operator: "==", Left: g.rewrite(n.Left), Right: g.rewrite(n.Right)})
	}
	return g.operation(n, "__equal", n.Left, n.Right)
}

func isAtom(n ast.Node) bool {
	switch n.(type) {
	case *ast.StringNode, *ast.BoolNode, *ast.NilNode:
		return true
	}
	return false
}

// isLiteral are nodes whose value everybody sees.
func isLiteral(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.StringNode, *ast.BoolNode, *ast.NilNode, *ast.IntegerNode, *ast.FloatNode:
		return true
	case *ast.UnaryNode:
		return n.Operator == "-" && isLiteral(n.Node)
	case *ast.ArrayNode:
		return !slices.ContainsFunc(n.Nodes, func(n ast.Node) bool { return !isLiteral(n) })
	}
	return false
}

// writtenList is a list of plain values that was written out, made once.
func writtenList(n ast.Node) ([]any, bool) {
	array, ok := n.(*ast.ArrayNode)
	if !ok {
		return nil, false
	}
	out := []any{}
	for _, item := range array.Nodes {
		switch v := item.(type) {
		case *ast.StringNode:
			out = append(out, v.Value)
		case *ast.BoolNode:
			out = append(out, v.Value)
		case *ast.IntegerNode:
			out = append(out, int64(v.Value))
		case *ast.FloatNode:
			out = append(out, v.Value)
		case *ast.NilNode:
			out = append(out, nil)
		default:
			return nil, false
		}
	}
	return out, true
}

// member walks a path of written keys in one call.
func (g *guard) member(n *ast.MemberNode) ast.Node {
	base, keys := writtenPath(n)
	if len(keys) == 0 { // n[computed]
		return g.call(n.Location(), "__get", g.plain(n.Node), g.rewrite(n.Property))
	}
	if id, ok := base.(*ast.IdentifierNode); ok && !g.lets[id.Value] {
		if field, ok := keys[0].(string); ok && names[id.Value+"."+field].read != nil {
			out := g.call(n.Location(), "__name "+id.Value+"."+field)
			if keys = keys[1:]; len(keys) > 0 {
				out = g.call(n.Location(), "__path", out, constant(keys))
			}
			return out
		}
	}
	return g.call(n.Location(), "__path", g.plain(base), constant(keys))
}

// writtenPath divides a member into the keys at its end that are written and what they are of: the
// member itself when its own key is computed.
func writtenPath(n *ast.MemberNode) (base ast.Node, keys []any) {
	for base = n; ; {
		if chain, ok := base.(*ast.ChainNode); ok {
			base = chain.Node
			continue
		}
		m, ok := base.(*ast.MemberNode)
		if !ok {
			break
		}
		key, ok := writtenKey(m.Property)
		if !ok {
			break
		}
		keys = append(keys, key)
		base = m.Node
	}
	slices.Reverse(keys)
	return base, keys
}

func writtenKey(n ast.Node) (any, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode:
		return int64(n.Value), true
	case *ast.UnaryNode:
		if i, ok := n.Node.(*ast.IntegerNode); ok && n.Operator == "-" {
			return -int64(i.Value), true
		}
	}
	return nil, false
}

func (g *guard) function(n *ast.CallNode) ast.Node {
	name := n.Callee.(*ast.IdentifierNode).Value // the checker saw to it
	arguments := make([]ast.Node, len(n.Arguments))
	for i, a := range n.Arguments {
		arguments[i] = g.rewrite(a)
		prepare := functions[name].prepare[i]
		if written, ok := a.(*ast.StringNode); ok && prepare != nil {
			if prepared, err := prepare(written.Value); err == nil {
				arguments[i] = constant(prepared)
			}
		}
	}
	g.sites[site{at: n.Location().From}] = n
	return g.call(n.Location(), name, arguments...)
}

// builtin rewrites a loop. Each element costs a step of as much as there is to do for it.
func (g *guard) builtin(n *ast.BuiltinNode) ast.Node {
	g.sites[site{at: n.Location().From}] = n
	over := g.rewrite(n.Arguments[0])
	around := g.loop
	if g.trace != nil {
		g.loop = g.trace.loop(n, around)
		over = g.call(n.Location(), "__began", constant(g.loop), over)
	}
	over = g.call(n.Location(), "__list", over)
	if n.Name == "sum" && len(n.Arguments) == 1 {
		g.loop = around
		return g.call(n.Location(), "__sum", over)
	}
	var body ast.Node = located(n, &ast.PointerNode{}) // count(list) counts what is true
	if len(n.Arguments) > 1 {
		body = n.Arguments[1].(*ast.PredicateNode).Node
	}
	arguments := []ast.Node{over, g.predicate(n, body)}
	g.loop = around
	switch {
	case n.Name == "sum":
		return g.call(n.Location(), "__sum", located(n, &ast.BuiltinNode{Name: "map", Arguments: arguments}))
	case len(n.Arguments) > 2:
		arguments = append(arguments, g.rewrite(n.Arguments[2]))
	}
	return located(n, &ast.BuiltinNode{Name: n.Name, Arguments: arguments})
}

func (g *guard) predicate(loop *ast.BuiltinNode, body ast.Node) ast.Node {
	nodes := 2 + size(body)
	if loop.Name == "map" || loop.Name == "filter" || loop.Name == "sum" {
		nodes += 4 // for the place of the element in the new list, and on the machine's stack
	}
	cost := constant(nodes)
	switch loop.Name {
	case "map", "reduce", "sum":
		return located(body, &ast.PredicateNode{Node: g.call(body.Location(), "__each", cost, g.rewrite(body))})
	}
	g.sites[site{at: body.Location().From, condition: true}] = body
	out := g.call(body.Location(), "__test", cost, g.rewrite(body))
	if g.trace != nil {
		out = g.call(body.Location(), "__tested", constant(g.loop), &ast.PointerNode{}, out)
	}
	return located(body, &ast.PredicateNode{Node: out})
}

// size is how many nodes a tree has.
func size(n ast.Node) int {
	total := 1
	for _, child := range children(n) {
		total += size(child)
	}
	return total
}

func orNil(n ast.Node) ast.Node {
	if n == nil {
		return &ast.NilNode{}
	}
	return n
}

// pattern is a compiled regular expression and how large its program is.
type pattern struct {
	*regexp.Regexp
	size int
}

func compilePattern(source string) *pattern {
	re := regexp.MustCompile(source) // the checker compiled it
	return &pattern{re, min(instructions(source), math.MaxInt32)}
}
