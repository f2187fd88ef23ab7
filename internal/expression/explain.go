package expression

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm"
)

// Value is a part of an expression, as it was written, and what it came to. Value is bounded
// and can be written as JSON: what was too large is text that says how it begins.
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
	e := &explanation{root: body(p.root)}
	code, err := generate(p.source, newGuard(p.scope, e).rewrite(p.root))
	if err != nil {
		return nil // it was compiled without notes, so this does not happen
	}
	e.code = code
	return e
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
		isSides := n.Operator == "&&" || n.Operator == "||" || n.Operator == "and" || n.Operator == "or"
		return n.Operator != ".." && !(isSides && n == e.root)
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

// Explain evaluates the expression again, within the same bounds, and returns the parts that
// were evaluated, with what they came to: names, operands, function calls, each side of and, or
// and not, and the element that decided any, all, none, one or find, with the parts of the
// condition for it. They come in source order; of two that begin at the same place, the shorter
// comes first. What was not evaluated, because the other side had decided, is not there.
func (p *Program) Explain(in *Input) []Value {
	e := p.explained()
	if e == nil {
		return nil
	}
	b := &budget{trace: newTrace(e)}
	b.reset(in, maxTime, errTime)
	_, err := b.run(e.code)
	return p.gather(b, err)
}

// placed is a value and where its part is in the source.
type placed struct {
	from, to int
	Value
}

func (p *Program) gather(b *budget, failure error) []Value {
	t, spans := b.trace, newSpans(p.source)
	var found []placed
	for i, n := range t.notes {
		site := t.sites.notes[i]
		if n.known && n.turn == t.turnOf(site.loop) && t.shows(site.loop) {
			from, to := spans.of(site.node)
			found = append(found, placed{from, to, Value{Expr: spans.text(site.node), Value: bounded(n.value, maxShown)}})
		}
	}
	for i, l := range t.loops {
		if t.decided(i) {
			over := t.sites.loops[i].node.Arguments[0]
			from, to := spans.of(over)
			found = append(found, placed{from, to + 1, Value{Expr: elementText(spans, over, l.index), Value: bounded(l.element, maxShown)}})
		}
	}
	if failure != nil {
		var eval *EvalError
		if err := p.evalError(b, failure); errors.As(err, &eval) {
			to := eval.Offset + eval.Width
			found = append(found, placed{eval.Offset, to, Value{Expr: cut(p.source[eval.Offset:to]), Error: eval.Message}})
		}
	}
	slices.SortStableFunc(found, func(a, b placed) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
	return distinct(found)
}

// distinct are the values without those of a text that was there before, bounded in number.
func distinct(found []placed) []Value {
	seen := map[string]bool{}
	var out []Value
	for _, v := range found {
		if !seen[v.Expr] && len(out) < maxValues {
			seen[v.Expr] = true
			out = append(out, v.Value)
		}
	}
	return out
}

// elementText is the element of a list as one could write it.
func elementText(spans *spans, list ast.Node, index int) string {
	text := spans.text(list)
	switch list.(type) {
	case *ast.IdentifierNode, *ast.MemberNode, *ast.ChainNode, *ast.ArrayNode, *ast.PointerNode, *ast.CallNode:
	default:
		text = "(" + text + ")"
	}
	return fmt.Sprintf("%s[%d]", text, index)
}
