package expression

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm/runtime"
)

// The bounds of one evaluation, whatever the payload holds.
const (
	maxTime  = 50 * time.Millisecond
	maxSteps = 1_000_000
	maxBytes = 4 << 20 // of text that is built; lists are bounded by vmMemory
	maxWork  = 8 << 20 // bytes that functions look at, weighted by how dear that is
)

var (
	errTime  = fmt.Errorf("the expression took longer than %s", maxTime)
	errSteps = fmt.Errorf("the expression took more than %d steps", maxSteps)
	errBytes = fmt.Errorf("the expression built more than %d MiB of text", maxBytes>>20)
	errWork  = errors.New("the expression looked at too much text")
)

// budgetName is how compiled programs refer to their budget. Names that begin so cannot be
// written by people.
const budgetName = "__b"

// budget is what is left to one evaluation, and where its names come from. A let that the
// evaluation uses spends from the same budget.
type budget struct {
	in         *Input
	deadline   time.Time
	steps      int
	bytes      int
	work       int
	exceeded   error
	payloadErr error // the body was needed and cannot be read
}

func newBudget(in *Input) *budget {
	return &budget{in: in, deadline: time.Now().Add(maxTime), steps: maxSteps, bytes: maxBytes, work: maxWork}
}

// tick spends a step. It is asked for each element of every loop, and by every function that
// does more than look at a value.
func (b *budget) tick() error {
	b.steps--
	switch {
	case b.exceeded != nil:
	case b.steps < 0:
		b.exceeded = errSteps
	case time.Now().After(b.deadline):
		b.exceeded = errTime
	}
	return b.exceeded
}

// build spends n bytes of text.
func (b *budget) build(n int) error {
	if b.bytes -= n; b.bytes < 0 && b.exceeded == nil {
		b.exceeded = errBytes
	}
	return b.exceeded
}

// look spends n bytes of looking at text, before it is looked at.
func (b *budget) look(n int) error {
	if b.work -= n; b.work < 0 && b.exceeded == nil {
		b.exceeded = errWork
	}
	if b.exceeded != nil {
		return b.exceeded
	}
	return b.tick()
}

// environment is what a program runs with.
func (b *budget) environment() map[string]any {
	r := b.in.Request
	return map[string]any{
		budgetName: b, "event": b.in.Event, "method": r.Method, "path": r.Path, "ip": b.in.ip(), "hook": b.in.Hook,
	}
}

// guard rewrites a program so that it is bounded and so that what is missing is nil: member
// access, loops, text operators, comparisons of whole values, and the names that cost something.
type guard struct {
	lets map[string]bool
	seen map[ast.Node]bool
}

// Visit implements ast.Visitor.
func (g *guard) Visit(node *ast.Node) {
	if g.seen == nil {
		g.seen = map[ast.Node]bool{}
	}
	if g.seen[*node] {
		return
	}
	g.seen[*node] = true
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		g.identifier(node, n)
	case *ast.MemberNode:
		g.patch(node, internal("__get", n.Node, n.Property))
	case *ast.SliceNode:
		g.patch(node, internal("__slice", n.Node, orNil(n.From), orNil(n.To)))
	case *ast.PredicateNode:
		n.Node = &ast.SequenceNode{Nodes: []ast.Node{internal("__tick"), n.Node}}
	case *ast.BuiltinNode:
		if len(n.Arguments) > 0 {
			n.Arguments[0] = internal("__list", n.Arguments[0])
		}
	case *ast.CallNode:
		if callee, ok := n.Callee.(*ast.IdentifierNode); ok && functions[callee.Value].run != nil {
			n.Arguments = append([]ast.Node{budgetNode()}, n.Arguments...)
		}
	case *ast.BinaryNode:
		g.binary(node, n)
	}
}

func (g *guard) identifier(node *ast.Node, n *ast.IdentifierNode) {
	switch {
	case g.lets[n.Value]:
		g.patch(node, internal("__let", &ast.StringNode{Value: n.Value}))
	case lazyTexts[n.Value]:
		g.patch(node, internal("__text", &ast.StringNode{Value: n.Value}))
	case lazyNames[n.Value]:
		g.patch(node, internal("__name", &ast.StringNode{Value: n.Value}))
	}
}

func (g *guard) binary(node *ast.Node, n *ast.BinaryNode) {
	switch n.Operator {
	case "+":
		g.patch(node, internal("__add", n.Left, n.Right))
	case "==":
		if !simple(n.Left) && !simple(n.Right) {
			g.patch(node, internal("__eq", n.Left, n.Right))
		}
	case "!=":
		if !simple(n.Left) && !simple(n.Right) {
			not := &ast.UnaryNode{Operator: "not", Node: internal("__eq", n.Left, n.Right)}
			g.patch(node, not)
		}
	case "in":
		if _, written := n.Right.(*ast.ArrayNode); !written {
			g.patch(node, internal("__in", n.Left, n.Right))
		}
	case "contains", "startsWith", "endsWith":
		g.patch(node, internal("__"+n.Operator, n.Left, n.Right))
	case "matches":
		pattern := n.Right.(*ast.StringNode).Value // the checker saw to it
		g.patch(node, internal("__matches", n.Left, &ast.ConstantNode{Value: compilePattern(pattern)}))
	}
}

// patch replaces a node and keeps its place; the replacement is not visited again.
func (g *guard) patch(node *ast.Node, with ast.Node) {
	ast.Patch(node, with)
	g.seen[with] = true
	place(with, with)
}

// place gives every node that a patch made the place of the whole.
func place(n, of ast.Node) {
	for _, child := range children(n) {
		if child != nil && child.Location().From == 0 && child.Location().To == 0 {
			child.SetLocation(of.Location())
		}
	}
}

func internal(name string, arguments ...ast.Node) ast.Node {
	return &ast.CallNode{Callee: &ast.IdentifierNode{Value: name}, Arguments: append([]ast.Node{budgetNode()}, arguments...)}
}

func budgetNode() ast.Node { return &ast.IdentifierNode{Value: budgetName} }

func orNil(n ast.Node) ast.Node {
	if n == nil {
		return &ast.NilNode{}
	}
	return n
}

// simple are nodes that are compared in no time.
func simple(n ast.Node) bool {
	switch n.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NilNode:
		return true
	}
	return false
}

// pattern is a compiled regular expression and what a byte of text costs it.
type pattern struct {
	*regexp.Regexp
	cost int
}

func compilePattern(source string) *pattern {
	re := regexp.MustCompile(source) // the checker compiled it
	return &pattern{re, max(1, instructions(source)/8)}
}

// internalFunction is a function that only the guard calls.
type internalFunction struct {
	run   func(args ...any) (any, error)
	types []any
}

// internals are the guard's functions. Each gets the budget first.
var internals map[string]internalFunction

func init() { // after the functions it refers to, which refer to each other
	internals = map[string]internalFunction{
		"__tick":       {run: func(a ...any) (any, error) { return true, a[0].(*budget).tick() }},
		"__get":        {run: func(a ...any) (any, error) { return get(a[1], a[2]), nil }},
		"__slice":      {run: func(a ...any) (any, error) { return slice(a[1], a[2], a[3]) }},
		"__list":       {run: func(a ...any) (any, error) { return list(a[1]) }, types: []any{new(func(*budget, any) []any)}},
		"__let":        {run: func(a ...any) (any, error) { return a[0].(*budget).let(a[1].(string)) }},
		"__name":       {run: func(a ...any) (any, error) { return a[0].(*budget).name(a[1].(string)) }},
		"__text":       {run: func(a ...any) (any, error) { return a[0].(*budget).name(a[1].(string)) }, types: []any{new(func(*budget, string) string)}},
		"__add":        {run: func(a ...any) (any, error) { return sum(a[0].(*budget), a[1], a[2]) }},
		"__eq":         {run: func(a ...any) (any, error) { return equal(a[0].(*budget), a[1], a[2]) }, types: []any{new(func(*budget, any, any) bool)}},
		"__in":         {run: func(a ...any) (any, error) { return in(a[0].(*budget), a[1], a[2]) }, types: []any{new(func(*budget, any, any) bool)}},
		"__contains":   textOperator("contains", strings.Contains),
		"__startsWith": textOperator("startsWith", strings.HasPrefix),
		"__endsWith":   textOperator("endsWith", strings.HasSuffix),
		"__matches":    {run: func(a ...any) (any, error) { return matches(a[0].(*budget), a[1], a[2].(*pattern)) }, types: []any{new(func(*budget, any, any) bool)}},
	}
}

// textOperator is false when a side is nil: what is missing has no text.
func textOperator(name string, op func(s, part string) bool) internalFunction {
	return internalFunction{types: []any{new(func(*budget, any, any) bool)}, run: func(a ...any) (any, error) {
		if a[1] == nil || a[2] == nil {
			return false, nil
		}
		s, ok := asText(a[1])
		part, ok2 := asText(a[2])
		if !ok || !ok2 {
			return nil, fmt.Errorf("%s wants text on both sides, not %s and %s", name, kindOf(a[1]), kindOf(a[2]))
		}
		if err := a[0].(*budget).look(len(s)/4 + 1); err != nil {
			return nil, err
		}
		return op(s, part), nil
	}}
}

func matches(b *budget, v any, p *pattern) (any, error) {
	if v == nil {
		return false, nil
	}
	s, ok := asText(v)
	if !ok {
		return nil, fmt.Errorf("matches wants text, not %s", kindOf(v))
	}
	if err := b.look(len(s) * p.cost); err != nil {
		return nil, err
	}
	return p.MatchString(s), nil
}

// sum adds numbers, and joins text within the budget.
func sum(b *budget, x, y any) (any, error) {
	s, ok := asText(x)
	t, ok2 := asText(y)
	if ok && ok2 {
		if err := b.build(len(s) + len(t)); err != nil {
			return nil, err
		}
		return s + t, b.tick()
	}
	if ok || ok2 || x == nil || y == nil {
		return nil, fmt.Errorf("cannot add %s and %s", kindOf(x), kindOf(y))
	}
	return runtime.Add(x, y), nil
}

func equal(b *budget, x, y any) (any, error) {
	if err := b.look(1); err != nil {
		return nil, err
	}
	switch x.(type) {
	case []any, map[string]any:
		if err := b.look(maxWork / 64); err != nil { // a whole payload may be compared a few times
			return nil, err
		}
	}
	if isNumberText(x) || isNumberText(y) {
		return fmt.Sprint(x) == fmt.Sprint(y), nil
	}
	return runtime.Equal(x, y), nil
}

func in(b *budget, needle, haystack any) (any, error) {
	switch h := haystack.(type) {
	case nil:
		return false, nil
	case []any:
		if err := b.look(len(h)); err != nil {
			return nil, err
		}
		for _, v := range h {
			if same, err := equal(b, v, needle); err != nil || same == true {
				return same, err
			}
		}
		return false, nil
	case []string:
		s, ok := asText(needle)
		for _, v := range h {
			if ok && v == s {
				return true, b.look(len(h))
			}
		}
		return false, b.look(len(h))
	case map[string]any:
		s, ok := asText(needle)
		_, found := h[s]
		return ok && found, nil
	case headerMap:
		s, ok := asText(needle)
		return ok && h.get(s) != nil, nil
	case string:
		return nil, errors.New(`"in" wants a list or mapping on the right: for text use contains`)
	}
	if reflect.ValueOf(haystack).Kind() == reflect.Slice {
		return runtime.In(needle, haystack), b.tick()
	}
	return nil, fmt.Errorf(`"in" wants a list or mapping on the right, not %s`, kindOf(haystack))
}

// get is member access in which whatever is missing is nil.
func get(of, key any) any {
	switch v := of.(type) {
	case map[string]any:
		if name, ok := asText(key); ok {
			return v[name]
		}
	case headerMap:
		if name, ok := asText(key); ok {
			return v.get(name)
		}
	case []any:
		if i, ok := index(key, len(v)); ok {
			return v[i]
		}
	case []string:
		if i, ok := index(key, len(v)); ok {
			return v[i]
		}
	case string:
		if i, ok := index(key, len(v)); ok {
			return v[i : i+1]
		}
	}
	return nil
}

// index is a key as a place in a list of n; negative ones count from the end.
func index(key any, n int) (int, bool) {
	i, ok := asInt(key)
	if !ok {
		return 0, false
	}
	if i < 0 {
		i += n
	}
	return i, i >= 0 && i < n
}

func slice(of, from, to any) (any, error) {
	n := 0
	switch v := of.(type) {
	case nil:
		return nil, nil
	case []any:
		n = len(v)
	case []string:
		n = len(v)
	case string:
		n = len(v)
	default:
		return nil, fmt.Errorf("only lists and text have parts, not %s", kindOf(of))
	}
	i, j := bound(from, 0, n), bound(to, n, n)
	j = max(i, j)
	switch v := of.(type) {
	case []any:
		return v[i:j], nil
	case []string:
		return v[i:j], nil
	}
	return of.(string)[i:j], nil
}

func bound(v any, otherwise, n int) int {
	i, ok := asInt(v)
	if !ok {
		return otherwise
	}
	if i < 0 {
		i += n
	}
	return max(0, min(i, n))
}

// list is the value as a list for a loop; nil is the empty one.
func list(v any) (any, error) {
	switch v := v.(type) {
	case nil:
		return []any{}, nil
	case []any:
		return v, nil
	case []string:
		out := make([]any, len(v))
		for i, s := range v {
			out[i] = s
		}
		return out, nil
	}
	rv := reflect.ValueOf(v)
	if rv.Kind() != reflect.Slice {
		return nil, fmt.Errorf("expected a list, found %s", kindOf(v))
	}
	out := make([]any, rv.Len())
	for i := range out {
		out[i] = rv.Index(i).Interface()
	}
	return out, nil
}
