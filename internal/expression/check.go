package expression

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/types"
)

// plainNames cost nothing to have: they are simply there, with their type.
var plainNames = map[string]types.Type{
	"event": types.String, "method": types.String, "path": types.String, "ip": types.String, "hook": types.String,
}

// lazyNames are computed when they are first used.
var lazyNames = map[string]bool{
	"payload": true, "body": true, "headers": true, "query": true, "form": true, "params": true, "delivery": true,
	"branch": true, "tag": true, "repo": true, "sha": true, "actor": true, "changed_files": true,
	"job": true, "attempt": true,
}

// lazyTexts are the lazy names that are always text.
var lazyTexts = map[string]bool{"body": true, "branch": true, "tag": true, "repo": true, "sha": true, "actor": true}

// members are the fields of names whose fields are known.
var members = map[string][]string{
	"delivery": {"id", "key", "received_at"},
	"job":      {"id", "error", "exit_code", "output"},
}

// predicateFunctions take a condition for each element. The others the library has are refused:
// they can be made to run away, or hide what they do.
var predicateFunctions = []string{"all", "none", "any", "one", "filter", "map", "count", "sum", "find", "findIndex", "findLast", "findLastIndex", "reduce"}

// maxNesting bounds predicates inside predicates.
const maxNesting = 3

// checker looks an expression over as it was written, so that what it says is said in the
// language's own words.
type checker struct {
	src      string
	scope    Scope
	uses     map[string]bool
	lets     map[string]bool
	declared map[string]bool
	named    []*ast.IdentifierNode
	callees  map[ast.Node]bool
	err      *Error
}

func (c *checker) run(root *ast.Node) error {
	c.lets, c.declared, c.callees = map[string]bool{}, map[string]bool{}, map[ast.Node]bool{}
	for _, name := range c.scope.Lets {
		c.lets[name] = true
	}
	ast.Walk(root, c)
	for _, n := range c.named {
		if !c.callees[n] {
			c.name(n)
		}
	}
	if depth := nesting(*root); depth > maxNesting {
		c.fail(*root, fmt.Sprintf("conditions over elements are nested %d deep, at most %d", depth, maxNesting))
	}
	if c.err != nil {
		return c.err
	}
	return nil
}

func (c *checker) fail(n ast.Node, message string, hints ...string) {
	offset, width := span(c.src, n.Location())
	if c.err == nil || offset < c.err.Offset {
		c.err = &Error{Offset: offset, Width: width, Message: message, Hints: hints}
	}
}

// Visit implements ast.Visitor; children come before their parent.
func (c *checker) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		c.named = append(c.named, n)
	case *ast.VariableDeclaratorNode:
		c.declared[n.Name] = true
		if isKnown(n.Name) || strings.HasPrefix(n.Name, "__") {
			c.fail(n, fmt.Sprintf("%q already means something", n.Name))
		}
	case *ast.CallNode:
		c.call(n)
	case *ast.BuiltinNode:
		if !slices.Contains(predicateFunctions, n.Name) {
			c.fail(n, fmt.Sprintf("%s is not a function of this language", n.Name), functionHint(n.Name)...)
		}
	case *ast.MemberNode:
		c.member(n)
	case *ast.BinaryNode:
		if n.Operator == "matches" {
			c.pattern(n)
		}
	}
}

func (c *checker) name(n *ast.IdentifierNode) {
	switch {
	case c.declared[n.Value], c.lets[n.Value]:
	case !c.scope.Job && (n.Value == "job" || n.Value == "attempt"):
		c.fail(n, fmt.Sprintf("%s is known only after a job has ended", n.Value), "on_success, on_failure and on_cancel can use it")
	case isKnown(n.Value):
	case functions[n.Value].run != nil:
		c.fail(n, fmt.Sprintf("%s is a function: it is written %s(…)", n.Value, n.Value))
	default:
		c.fail(n, fmt.Sprintf("unknown name %q", n.Value), c.nameHint(n.Value)...)
	}
	c.uses[n.Value] = true
}

func isKnown(name string) bool {
	_, plain := plainNames[name]
	return plain || lazyNames[name]
}

func (c *checker) nameHint(name string) []string {
	var names []string
	for n := range plainNames {
		names = append(names, n)
	}
	for n := range lazyNames {
		if c.scope.Job || n != "job" && n != "attempt" {
			names = append(names, n)
		}
	}
	names = append(names, c.scope.Lets...)
	slices.Sort(names)
	if near := nearest(name, names); near != "" {
		return []string{fmt.Sprintf("did you mean %q?", near)}
	}
	return []string{"names: " + strings.Join(names, ", ")}
}

func functionHint(name string) []string {
	names := slices.Clone(predicateFunctions)
	for n := range functions {
		names = append(names, n)
	}
	slices.Sort(names)
	if near := nearest(name, names); near != "" {
		return []string{fmt.Sprintf("did you mean %q?", near)}
	}
	return []string{"functions: " + strings.Join(names, ", ")}
}

func (c *checker) call(n *ast.CallNode) {
	callee, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		c.fail(n, "only functions of this language can be called")
		return
	}
	c.callees[callee] = true
	f := functions[callee.Value]
	switch {
	case f.run == nil:
		c.fail(callee, fmt.Sprintf("unknown function %q", callee.Value), functionHint(callee.Value)...)
	case len(n.Arguments) < f.least || len(n.Arguments) > f.most:
		c.fail(callee, fmt.Sprintf("%s takes %s, found %d", callee.Value, f.takes(), len(n.Arguments)), f.usage)
	}
	c.uses[callee.Value] = true
}

func (c *checker) member(n *ast.MemberNode) {
	base, ok := n.Node.(*ast.IdentifierNode)
	property, named := n.Property.(*ast.StringNode)
	if !ok || !named || c.declared[base.Value] {
		return
	}
	known := members[base.Value]
	if known == nil || slices.Contains(known, property.Value) {
		return
	}
	hint := "fields: " + strings.Join(known, ", ")
	if near := nearest(property.Value, known); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	c.fail(property, fmt.Sprintf("%s has no field %q", base.Value, property.Value), hint)
}

// pattern allows only patterns that are known at load: one from a payload could be made slow,
// and a wrong one would be found at night.
func (c *checker) pattern(n *ast.BinaryNode) {
	text, ok := n.Right.(*ast.StringNode)
	if !ok {
		c.fail(n.Right, "a pattern must be written out", `for a part known at run time use startsWith, contains or glob(pattern, text)`)
		return
	}
	if _, err := regexp.Compile(text.Value); err != nil {
		c.fail(n.Right, strings.TrimPrefix(err.Error(), "error parsing regexp: "), "patterns are RE2: https://github.com/google/re2/wiki/Syntax")
	}
}

// nesting is how deep conditions over elements are nested.
func nesting(n ast.Node) int {
	d := &depth{}
	d.walk(n)
	return d.most
}

type depth struct{ now, most int }

func (d *depth) walk(n ast.Node) {
	if n == nil {
		return
	}
	if p, ok := n.(*ast.PredicateNode); ok {
		d.now++
		d.most = max(d.most, d.now)
		d.walk(p.Node)
		d.now--
		return
	}
	for _, child := range children(n) {
		d.walk(child)
	}
}

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
		return []ast.Node{n.Node, n.From, n.To}
	case *ast.CallNode:
		return n.Arguments
	case *ast.BuiltinNode:
		return n.Arguments
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

// staticKind is what an expression is known to be when it is known not to be a condition, or "".
func staticKind(n ast.Node) string {
	switch n := n.(type) {
	case *ast.StringNode:
		return "text"
	case *ast.IntegerNode, *ast.FloatNode:
		return "number"
	case *ast.NilNode:
		return "nil"
	case *ast.ArrayNode:
		return "list"
	case *ast.MapNode:
		return "mapping"
	case *ast.IdentifierNode:
		return names[n.Value]
	case *ast.BinaryNode:
		return operators[n.Operator]
	case *ast.UnaryNode:
		if n.Operator == "-" || n.Operator == "+" {
			return "number"
		}
	case *ast.BuiltinNode:
		return map[string]string{"filter": "list", "map": "list", "count": "number", "sum": "number", "findIndex": "number", "findLastIndex": "number"}[n.Name]
	case *ast.CallNode:
		if callee, ok := n.Callee.(*ast.IdentifierNode); ok {
			return functions[callee.Value].gives
		}
	case *ast.ConditionalNode:
		if kind := staticKind(n.Exp1); kind != "" {
			return kind
		}
		return staticKind(n.Exp2)
	case *ast.SequenceNode:
		return staticKind(n.Nodes[len(n.Nodes)-1])
	case *ast.VariableDeclaratorNode:
		return staticKind(n.Expr)
	}
	return ""
}

// names are what well-known names hold.
var names = map[string]string{
	"event": "text", "body": "text", "method": "text", "path": "text", "ip": "text", "hook": "text", "branch": "text", "tag": "text",
	"repo": "text", "sha": "text", "actor": "text", "changed_files": "list", "headers": "mapping", "query": "mapping", "params": "mapping",
}

// operators are what operators give that do not give a condition.
var operators = map[string]string{
	"+": "sum", "-": "number", "*": "number", "/": "number", "%": "number", "**": "number", "^": "number", "..": "list",
}

// nearest is the candidate that differs little from word, or "".
func nearest(word string, candidates []string) string {
	best, least := "", max(1, len(word)/3)+1
	for _, candidate := range candidates {
		if d := editDistance(word, candidate); d < least {
			best, least = candidate, d
		}
	}
	return best
}

func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal, row[j] = row[j], min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
