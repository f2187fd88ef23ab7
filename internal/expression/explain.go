package expression

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm"
)

// Value is a part of an expression, as it was written, and what it came to, which may be a part
// of the payload and must not be changed.
type Value struct {
	Expr  string
	Value any
	Error string
}

// maxValues bounds an explanation.
const maxValues = 64

// explanation is a program that notes what its parts come to.
type explanation struct {
	code  *vm.Program
	root  ast.Node
	notes []noteSite
	loops []loopSite
	inner map[ast.Node]bool // sides of a longer chain of and, or of or: its other sides say it all
	parts []piece           // in source order; of two that begin at the same place, the shorter comes first
}

// piece is what an explanation can show, found once: a note, or the element that decided a loop.
type piece struct {
	from, to int
	text     string // of an element, the list's
	note     int    // -1: an element
	loop     int
}

// noteSite is a part whose value is noted, in a loop or not (-1).
type noteSite struct {
	node ast.Node
	loop int
}

type loopSite struct {
	node   *ast.BuiltinNode
	around int // the loop it is in; -1: none
}

func (p *Program) compileExplanation() *explanation {
	e := &explanation{root: body(p.root), inner: map[ast.Node]bool{}}
	e.findInner(p.root)
	code, err := generate(p.source, newGuard(p.scope, e).rewrite(p.root))
	if err != nil {
		return nil // it was compiled without notes, so this does not happen
	}
	e.code = code
	e.place(newSpans(p.source))
	return e
}

// joins is && or || for a node that joins conditions, however it is written.
func joins(n ast.Node) string {
	binary, ok := n.(*ast.BinaryNode)
	switch {
	case !ok:
		return ""
	case binary.Operator == "&&" || binary.Operator == "and":
		return "&&"
	case binary.Operator == "||" || binary.Operator == "or":
		return "||"
	}
	return ""
}

func (e *explanation) findInner(n ast.Node) {
	for _, child := range children(n) {
		if j := joins(n); j != "" && joins(child) == j {
			e.inner[child] = true
		}
		e.findInner(child)
	}
}

// place finds where each part was written.
func (e *explanation) place(spans *spans) {
	for i, site := range e.notes {
		from, to := spans.of(site.node)
		e.parts = append(e.parts, piece{from, to, spans.text(site.node), i, -1})
	}
	for i, site := range e.loops {
		from, to := spans.of(site.node.Arguments[0])
		e.parts = append(e.parts, piece{from, to + 1, listText(spans, site.node.Arguments[0]), -1, i})
	}
	slices.SortStableFunc(e.parts, func(a, b piece) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
}

// body is what an expression comes to, after what it defines.
func body(n ast.Node) ast.Node {
	switch n := n.(type) {
	case *ast.VariableDeclaratorNode:
		return body(n.Expr)
	case *ast.SequenceNode:
		return body(n.Nodes[len(n.Nodes)-1])
	}
	return n
}

func (e *explanation) note(n ast.Node, loop int) int {
	e.notes = append(e.notes, noteSite{n, loop})
	return len(e.notes) - 1
}

func (e *explanation) loop(n *ast.BuiltinNode, around int) int {
	e.loops = append(e.loops, loopSite{n, around})
	return len(e.loops) - 1
}

// wants reports whether a part is worth noting: names, operands, conditions and calls are, what
// everybody sees is not, nor the whole when its sides say it all.
func (e *explanation) wants(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.IdentifierNode, *ast.MemberNode, *ast.SliceNode, *ast.CallNode, *ast.BuiltinNode:
		return true
	case *ast.ChainNode:
		return e.wants(n.Node)
	case *ast.UnaryNode:
		return n != e.root && !isLiteral(n)
	case *ast.BinaryNode:
		return n.Operator != ".." && !(joins(n) != "" && n == e.root) && !e.inner[n]
	}
	return false
}

// trace is what an explanation notes while it runs.
type trace struct {
	sites *explanation
	notes []noted
	loops []looped
}

// noted is the last value of a part, and in which turn of its loop that was.
type noted struct {
	value any
	known bool
	turn  int
}

// looped is a loop: the turn it is in, over all its runs, and the element that decided its last
// run, if one did, with the turn of the loop around it.
type looped struct {
	turn    int
	at      int // the element that is next
	decided bool
	around  int
	index   int
	element any
}

func newTrace(e *explanation) *trace {
	return &trace{sites: e, notes: make([]noted, len(e.notes)), loops: make([]looped, len(e.loops))}
}

// turnOf is the turn a loop is in; parts outside of loops have one turn only.
func (t *trace) turnOf(loop int) int {
	if loop < 0 {
		return 0
	}
	return t.loops[loop].turn
}

// note is __note(part, value): the value.
func (b *budget) note(a []any) (any, error) {
	if t := b.trace; t != nil {
		i := a[0].(int)
		t.notes[i] = noted{a[1], true, t.turnOf(t.sites.notes[i].loop)}
	}
	return a[1], nil
}

// began is __began(loop, list): the list.
func (b *budget) began(a []any) (any, error) {
	if t := b.trace; t != nil {
		l := &t.loops[a[0].(int)]
		l.decided, l.at = false, 0
		l.turn++
	}
	return a[1], nil
}

// tested is __tested(loop, element, result): the result.
func (b *budget) tested(a []any) (any, error) {
	result, _ := a[2].(bool)
	t := b.trace
	if t == nil {
		return result, nil
	}
	i := a[0].(int)
	site, l := t.sites.loops[i], &t.loops[i]
	index, decides := l.at, false
	l.at++
	switch site.node.Name {
	case "any", "none", "one", "find", "findIndex":
		decides = result
	case "all":
		decides = !result
	}
	switch {
	case !decides:
		l.turn++ // what was noted is of an element that decided nothing
	case !l.decided:
		l.decided, l.index, l.element, l.around = true, index, a[1], t.turnOf(site.around)
	}
	return result, nil
}

// shows reports whether what was noted in a loop is of the element that decided it.
func (t *trace) shows(loop int) bool {
	if loop < 0 {
		return true
	}
	site := t.sites.loops[loop]
	return site.node.Name != "one" && t.decided(loop) // one goes on after the first
}

func (t *trace) decided(loop int) bool {
	site, l := t.sites.loops[loop], t.loops[loop]
	return l.decided && l.around == t.turnOf(site.around) && t.shows(site.around)
}

// Explain evaluates the expression like Value, in the same bounds, and also returns the parts that
// were evaluated, with what they came to: names, operands, function calls, each side of and, or
// and not, and the element that decided any, all, none, one or find, with the parts of the
// condition for it. They come in source order; of two that begin at the same place, the shorter
// comes first. What was not evaluated, because the other side had decided, is not there.
func (p *Program) Explain(in *Input) (any, []Value, error) {
	e := p.explained()
	if e == nil {
		v, err := p.Value(in)
		return v, nil, err
	}
	t := newTrace(e)
	v, late, err := p.runTraced(in, t)
	if late { // noting has its price in long loops, and must not decide
		v, err = p.Value(in)
	}
	return v, p.gather(t, err), err
}

// maxTraced is the time for a run that notes, before it is left for one that does not.
const maxTraced = 10 * time.Millisecond

func (p *Program) runTraced(in *Input, t *trace) (v any, late bool, err error) {
	b := in.begin()
	b.left = maxTraced
	b.trace = t
	defer func() { b.trace = nil }()
	v, err = p.runCode(b, t.sites.code)
	return v, b.exceeded != nil, err
}

// ExplainBool evaluates a condition like Bool, and explains it like Explain.
func (p *Program) ExplainBool(in *Input) (bool, []Value, error) {
	v, values, err := p.Explain(in)
	if err != nil {
		return false, values, err
	}
	matched, err := p.condition(v)
	return matched, values, err
}

func (p *Program) gather(t *trace, failure error) []Value {
	parts := t.sites.parts
	out := make([]Value, 0, min(len(parts)+1, maxValues))
	add := func(v Value) {
		known := slices.ContainsFunc(out, func(o Value) bool { return o.Expr == v.Expr })
		if !known && len(out) < maxValues {
			out = append(out, v)
		}
	}
	var failed *EvalError
	errors.As(failure, &failed)
	for _, at := range parts {
		if failed != nil && comesBefore(failed, at) {
			add(p.failed(failed))
			failed = nil
		}
		switch {
		case at.note >= 0:
			n, loop := t.notes[at.note], t.sites.notes[at.note].loop
			if n.known && n.turn == t.turnOf(loop) && t.shows(loop) {
				add(Value{Expr: at.text, Value: n.value})
			}
		case t.decided(at.loop):
			l := t.loops[at.loop]
			add(Value{Expr: fmt.Sprintf("%s[%d]", at.text, l.index), Value: l.element})
		}
	}
	if failed != nil {
		add(p.failed(failed))
	}
	return out
}

// comesBefore reports whether what failed is shown before a part.
func comesBefore(e *EvalError, p piece) bool {
	return e.Offset < p.from || e.Offset == p.from && e.Offset+e.Width < p.to
}

// failed is the part that could not be evaluated.
func (p *Program) failed(e *EvalError) Value {
	return Value{Expr: cut(p.source[e.Offset : e.Offset+e.Width]), Error: e.Message}
}

// listText is a list as one could write it before an index.
func listText(spans *spans, list ast.Node) string {
	text := spans.text(list)
	switch list.(type) {
	case *ast.IdentifierNode, *ast.MemberNode, *ast.ChainNode, *ast.ArrayNode, *ast.PointerNode, *ast.CallNode:
		return text
	}
	return "(" + text + ")"
}
