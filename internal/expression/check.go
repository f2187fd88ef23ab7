package expression

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// maxNesting bounds loops inside loops.
const maxNesting = 3

// sourceChecker looks an expression over as it was written, so that what it says is said in the
// language's own words. The first problem in the source is the one that is told.
type sourceChecker struct {
	src     string
	scope   Scope
	uses    map[string]bool
	headers []string // that are named
	err     *Error
}

func newChecker(src string, s Scope) *sourceChecker {
	return &sourceChecker{src: src, scope: s, uses: map[string]bool{}}
}

func (c *sourceChecker) run(root *ast.Node) error {
	ast.Walk(root, c)
	c.names(*root, c.scope.Lets)
	if depth := nesting(*root); depth > maxNesting {
		c.fail(*root, fmt.Sprintf("conditions over elements are nested %d deep, at most %d", depth, maxNesting))
	}
	if c.err != nil {
		return c.err
	}
	return nil
}

func (c *sourceChecker) fail(n ast.Node, message string, hints ...string) {
	offset, width := place(c.src, n.Location())
	if c.err == nil || offset < c.err.Offset {
		c.err = &Error{Offset: offset, Width: width, Message: message, Hints: hints}
	}
}

// Visit implements ast.Visitor; children come before their parent.
func (c *sourceChecker) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.PointerNode:
		if n.Name != "" && n.Name != "index" && n.Name != "acc" {
			c.fail(n, fmt.Sprintf("unknown name %q", "#"+n.Name), "# is the element, and in reduce #acc what came of those before and #index its place")
		}
	case *ast.BytesNode:
		c.fail(n, "b\"…\" is not of this language", "write the text without the b")
	case *ast.CallNode:
		c.call(n)
	case *ast.BuiltinNode:
		if _, allowed := loops[n.Name]; !allowed {
			c.fail(n, fmt.Sprintf("%s is not a function of this language", n.Name), functionHint(n.Name)...)
		}
		c.uses[n.Name] = true
	case *ast.UnaryNode:
		c.unary(n)
	case *ast.BinaryNode:
		c.binary(n)
	}
}

// names checks every name where it is used; defined are those that let made.
func (c *sourceChecker) names(n ast.Node, defined []string) {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		c.name(n, defined)
	case *ast.MemberNode:
		c.member(n, defined)
	case *ast.VariableDeclaratorNode:
		if isTaken(n.Name) || slices.Contains(defined, n.Name) || strings.HasPrefix(n.Name, "__") {
			c.fail(n, fmt.Sprintf("%q already means something", n.Name), "choose another name")
		}
		c.names(n.Value, defined)
		c.names(n.Expr, append(slices.Clone(defined), n.Name))
		return
	}
	for _, child := range children(n) {
		c.names(child, defined)
	}
}

func (c *sourceChecker) name(n *ast.IdentifierNode, defined []string) {
	_, isLoop := loops[n.Value]
	switch {
	case slices.Contains(defined, n.Value):
	case !c.scope.Job && afterJob(n.Value):
		c.fail(n, fmt.Sprintf("%s is known only after a job has ended", n.Value), "on_success, on_failure and on_cancel can use it")
	case isName(n.Value):
	case isLoop || functions[n.Value].run != nil:
		c.fail(n, fmt.Sprintf("%s is a function: it is written %s(…)", n.Value, n.Value))
	default:
		c.fail(n, fmt.Sprintf("unknown name %q", n.Value), c.nameHint(n.Value, defined)...)
	}
	c.uses[n.Value] = true
}

func (c *sourceChecker) nameHint(word string, defined []string) []string {
	known := slices.Clone(defined)
	for n := range names {
		if isName(n) && (c.scope.Job || !afterJob(n)) {
			known = append(known, n)
		}
	}
	slices.Sort(known)
	if near := nearest(word, known); near != "" {
		return []string{fmt.Sprintf("did you mean %q?", near)}
	}
	return []string{"names: " + strings.Join(known, ", ")}
}

func functionHint(word string) []string {
	known := slices.Collect(maps.Keys(loops))
	for n := range functions {
		known = append(known, n)
	}
	slices.Sort(known)
	if near := nearest(word, known); near != "" {
		return []string{fmt.Sprintf("did you mean %q?", near)}
	}
	return []string{"functions: " + strings.Join(known, ", ")}
}

func (c *sourceChecker) call(n *ast.CallNode) {
	callee, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		c.fail(n, "only functions of this language can be called")
		return
	}
	c.uses[callee.Value] = true
	if callee.Value == "header" && len(n.Arguments) == 1 {
		if name, ok := n.Arguments[0].(*ast.StringNode); ok {
			c.headers = append(c.headers, name.Value)
		}
	}
	f := functions[callee.Value]
	switch {
	case f.run == nil:
		c.fail(callee, fmt.Sprintf("unknown function %q", callee.Value), functionHint(callee.Value)...)
		return
	case len(n.Arguments) < f.least || len(n.Arguments) > f.most:
		c.fail(callee, fmt.Sprintf("%s takes %s, found %d", callee.Value, f.takes(), len(n.Arguments)), f.usage)
		return
	}
	for i, prepare := range f.prepare {
		if i >= len(n.Arguments) {
			continue
		}
		if written, ok := n.Arguments[i].(*ast.StringNode); ok {
			if _, err := prepare(written.Value); err != nil {
				c.fail(written, callee.Value+": "+err.Error(), f.usage)
			}
		}
	}
}

// member refuses fields that names with known fields do not have.
func (c *sourceChecker) member(n *ast.MemberNode, defined []string) {
	base, ok := n.Node.(*ast.IdentifierNode)
	property, named := n.Property.(*ast.StringNode)
	if !ok || !named || slices.Contains(defined, base.Value) {
		return
	}
	if base.Value == "headers" {
		c.headers = append(c.headers, property.Value)
	}
	known := fieldsOf(base.Value)
	if len(known) == 0 || slices.Contains(known, property.Value) {
		return
	}
	hint := "fields: " + strings.Join(known, ", ")
	if near := nearest(property.Value, known); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	c.fail(property, fmt.Sprintf("%s has no field %q", base.Value, property.Value), hint)
}

func (c *sourceChecker) unary(n *ast.UnaryNode) {
	operand := kindsIn(c.scope).of(n.Node)
	isNot := n.Operator == "!" || n.Operator == "not"
	switch {
	case operand == unknown || operand == null && isNot:
	case isNot && operand != condition:
		c.fail(n, fmt.Sprintf("%s wants true or false; this is %s", n.Operator, operand.article()))
	case !isNot && operand != number && operand != duration:
		c.fail(n, fmt.Sprintf("%s wants a number; this is %s", n.Operator, operand.article()))
	}
}

// binary refuses operations on kinds that are known and can never work, or never be true.
func (c *sourceChecker) binary(n *ast.BinaryNode) {
	left, right := kindsIn(c.scope).of(n.Left), kindsIn(c.scope).of(n.Right)
	wrong := func(format string, a ...any) { c.fail(n, fmt.Sprintf(format, a...)) }
	switch n.Operator {
	case "&&", "||", "and", "or":
		for _, k := range []kind{left, right} {
			if k != unknown && k != null && k != condition {
				wrong("%s wants true or false on both sides; one is %s", n.Operator, k.article())
			}
		}
	case "==", "!=":
		if left != right && left != unknown && right != unknown && left != null && right != null {
			wrong("%s and %s are never equal", left.article(), right.article())
		}
	case "<", "<=", ">", ">=":
		if left == null || right == null || left != right && left != unknown && right != unknown || !ordered(left) || !ordered(right) {
			wrong("cannot compare %s with %s", left.orUnknown(), right.orUnknown())
		}
	case "contains", "startsWith", "endsWith":
		for _, k := range []kind{left, right} {
			if k != unknown && k != null && k != text {
				wrong("%s wants text on both sides; one is %s", n.Operator, k.article())
			}
		}
	case "matches":
		c.pattern(n)
	case "in":
		if right != unknown && right != null && right != list && right != mapping {
			wrong(`"in" wants a list or mapping on the right; this is %s`, right.article())
		}
	}
}

func ordered(k kind) bool {
	return k == unknown || k == number || k == text || k == instant || k == duration
}

func (k kind) orUnknown() string {
	if k == unknown {
		return "a value"
	}
	return k.article()
}

// pattern allows only patterns that are known at load: one from a payload could be made slow,
// and a wrong one would be found at night.
func (c *sourceChecker) pattern(n *ast.BinaryNode) {
	written, ok := n.Right.(*ast.StringNode)
	if !ok {
		c.fail(n.Right, "a pattern must be written out", "for a part known at run time use startsWith, contains or glob(pattern, text)")
		return
	}
	if _, err := regexp.Compile(written.Value); err != nil {
		c.fail(n.Right, strings.TrimPrefix(err.Error(), "error parsing regexp: "), "patterns are RE2: https://github.com/google/re2/wiki/Syntax")
	}
}

// nesting is how deep loops are nested.
func nesting(n ast.Node) int {
	deepest := 0
	for _, child := range children(n) {
		deepest = max(deepest, nesting(child))
	}
	if _, isLoop := n.(*ast.PredicateNode); isLoop {
		deepest++
	}
	return deepest
}

// children are the parts of an expression in source order.
func children(n ast.Node) []ast.Node {
	switch n := n.(type) {
	case *ast.UnaryNode:
		return []ast.Node{n.Node}
	case *ast.BinaryNode:
		return []ast.Node{n.Left, n.Right}
	case *ast.ChainNode:
		return []ast.Node{n.Node}
	case *ast.MemberNode:
		return []ast.Node{n.Node, n.Property}
	case *ast.SliceNode:
		return slices.DeleteFunc([]ast.Node{n.Node, n.From, n.To}, func(n ast.Node) bool { return n == nil })
	case *ast.CallNode:
		return n.Arguments
	case *ast.BuiltinNode:
		return n.Arguments
	case *ast.PredicateNode:
		return []ast.Node{n.Node}
	case *ast.ConditionalNode:
		return []ast.Node{n.Cond, n.Exp1, n.Exp2}
	case *ast.VariableDeclaratorNode:
		return []ast.Node{n.Value, n.Expr}
	case *ast.SequenceNode:
		return n.Nodes
	case *ast.ArrayNode:
		return n.Nodes
	case *ast.MapNode:
		return n.Pairs
	case *ast.PairNode:
		return []ast.Node{n.Key, n.Value}
	}
	return nil
}
