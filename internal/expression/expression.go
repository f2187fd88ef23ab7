// Package expression is the language of match:, let: and ${{ }}: expr-lang with the names of a
// delivery, in which a missing field is nil, an error is never mistaken for false, and nothing
// a payload holds can make an evaluation run long or large. It is the only package that knows
// the expression library.
//
// An expression is parsed once; its tree is kept as it was written, for what is said about it,
// and rewritten for what is run: every operator, member access, function and loop of the
// library becomes one of ours (see guard), which knows nil, keeps digits and spends from a
// budget. The library's own operators, functions and optimizer are not used.
package expression

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
)

// Scope says which names an expression may use beside those every expression has.
type Scope struct {
	Lets []string // names defined by let: before it
	Job  bool     // job.* and attempt
}

// Error is a problem found when an expression is compiled. Offset and Width are bytes of the
// source.
type Error struct {
	Offset, Width int
	Message       string
	Hints         []string
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Where is the place in the source.
func (e *Error) Where() (offset, width int) { return e.Offset, e.Width }

// Advice is what would be right.
func (e *Error) Advice() []string { return e.Hints }

// The bounds of a source.
const (
	maxSource = 4096 // bytes
	maxNodes  = 1000
)

// Program is a compiled expression. It is immutable and safe for concurrent use.
type Program struct {
	source string
	scope  Scope
	root   ast.Node // as it was written
	uses   map[string]bool
	named  []string // headers
	code   *vm.Program
	sites  sites

	explained func() *explanation // compiled on first use
}

// Compile compiles an expression of any type. The error is an *Error.
func Compile(src string, s Scope) (p *Program, err error) {
	defer func() { // a bug of the library must not stop a daemon that reloads
		if r := recover(); r != nil {
			p, err = nil, &Error{Width: 1, Message: fmt.Sprintf("the expression cannot be compiled: %v", r)}
		}
	}()
	if strings.TrimSpace(src) == "" {
		return nil, &Error{Message: "the expression is empty"}
	}
	if len(src) > maxSource {
		return nil, &Error{Width: 1, Message: fmt.Sprintf("the expression is longer than %d bytes", maxSource)}
	}
	tree, err := parse(src)
	if err != nil {
		return nil, err
	}
	check := newChecker(src, s)
	if err := check.run(&tree.Node); err != nil {
		return nil, err
	}
	g := newGuard(s, nil)
	code, err := generate(src, g.rewrite(tree.Node))
	if err != nil {
		return nil, err
	}
	p = &Program{source: src, scope: s, root: tree.Node, uses: check.uses, named: check.headers, code: code, sites: g.sites}
	p.explained = sync.OnceValue(p.compileExplanation)
	return p, nil
}

// CompileMatch compiles a condition: what is known not to be true or false is refused.
func CompileMatch(src string, s Scope) (*Program, error) {
	p, err := Compile(src, s)
	if err != nil {
		return nil, err
	}
	if other := otherThanCondition(p.root, s); other != "" {
		return nil, &Error{
			Width: len(src), Message: "a match is a condition, true or false; this is " + other,
			Hints: []string{`compare it with something, such as == "main"`},
		}
	}
	return p, nil
}

// CompileNumber compiles a number: what is known to be none is refused.
func CompileNumber(src string, s Scope) (*Program, error) {
	p, err := Compile(src, s)
	if err != nil {
		return nil, err
	}
	if kind := kindsIn(s).of(body(p.root)); kind != unknown && kind != number {
		return nil, &Error{Width: len(src), Message: "wants a number; this is " + kind.article()}
	}
	return p, nil
}

// otherThanCondition says what an expression is that can be no condition, or "".
func otherThanCondition(n ast.Node, scope Scope) string {
	n = body(n)
	if kind := kindsIn(scope).of(n); kind != unknown && kind != condition {
		return kind.article()
	}
	if operation, ok := n.(*ast.BinaryNode); ok && operation.Operator != "??" && !isCondition(operation.Operator) {
		return "a result of " + operation.Operator
	}
	return ""
}

// parse makes the tree of what was written.
func parse(src string) (*parser.Tree, error) {
	tree, err := parser.ParseWithConfig(src, config(maxNodes))
	if err != nil {
		return nil, compileError(src, err)
	}
	return tree, nil
}

// generate makes the program of a rewritten tree.
func generate(src string, root ast.Node) (*vm.Program, error) {
	tree := &parser.Tree{Node: root, Source: file.NewSource(src)}
	c := config(0)
	if _, err := checker.Check(tree, c); err != nil {
		return nil, compileError(src, err)
	}
	code, err := compiler.Compile(tree, c)
	if err != nil {
		return nil, compileError(src, err)
	}
	return code, nil
}

// config tells the library our functions and takes its own away.
func config(nodes uint) *conf.Config {
	l := library()
	return &conf.Config{
		ShortCircuit: true, MaxNodes: nodes,
		Optimize:  false, // it works on what the library would do, which is not what we do
		Functions: l.functions, Builtins: l.builtins, Disabled: l.disabled,
	}
}

// libraryTables are what every configuration has. They are shared, and nobody changes them: made
// for each expression anew they were half the time and memory of loading many hooks.
type libraryTables struct {
	functions, builtins conf.FunctionsTable
	disabled            map[string]bool
}

var library = sync.OnceValue(func() libraryTables {
	c := conf.CreateNew()
	for name := range c.Builtins {
		c.Disabled[name] = true
	}
	for name, f := range libraryFunctions() {
		c.Functions[name] = f
	}
	return libraryTables{functions: c.Functions, builtins: c.Builtins, disabled: c.Disabled}
})

// compileError makes an Error of the library's, placed in bytes.
func compileError(src string, err error) error {
	var at *file.Error
	if !errors.As(err, &at) {
		return &Error{Message: firstLine(err.Error()), Width: 1}
	}
	offset, width := place(src, at.Location)
	e := &Error{Offset: offset, Width: width, Message: firstLine(at.Message)}
	token, isToken := strings.CutPrefix(e.Message, "unexpected token ")
	switch {
	case token == "EOF":
		e.Message = "the expression ends early"
	case isToken:
		if _, value, ok := strings.Cut(token, "("); ok {
			token = strings.TrimSuffix(value, ")")
		}
		e.Message = "unexpected " + token
	case strings.Contains(e.Message, "exceeds maximum allowed nodes"):
		e.Message = fmt.Sprintf("the expression has more than %d parts", maxNodes)
	}
	if token == `"="` {
		e.Hints = []string{"== compares"}
	}
	return e
}

// place is a library's location, in characters, as bytes.
func place(src string, l file.Location) (offset, width int) {
	from, to, n := len(src), len(src), 0
	for i := range src {
		if n == l.From {
			from = i
		}
		if n == l.To {
			to = i
			break
		}
		n++
	}
	return from, max(1, to-from)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// Uses reports whether the expression itself mentions a name or function. What a let: name
// uses in turn is known to Lets.Uses; branch and the like count as themselves, although most
// are read from the payload.
func (p *Program) Uses(name string) bool { return p.uses[name] }

// Headers are the request's headers that the expression names, as it writes them.
func (p *Program) Headers() []string { return p.named }

// Source is the expression as it was compiled.
func (p *Program) Source() string { return p.source }

// Value evaluates the expression. It is nil, or a bool, string, int64, float64, request.Number,
// time.Time, time.Duration, []any or map[string]any, and must not be changed: it may be part of
// the payload. The error is an *EvalError, or a *request.DecodeError when the expression needs a
// body that cannot be read.
func (p *Program) Value(in *Input) (any, error) {
	return p.run(in.begin())
}

// Bool evaluates a condition. A value that is not true or false, nil among them, is an
// *EvalError.
func (p *Program) Bool(in *Input) (bool, error) {
	v, err := p.Value(in)
	if err != nil {
		return false, err
	}
	return p.condition(v)
}

// condition is what a condition came to.
func (p *Program) condition(v any) (bool, error) {
	b, ok := v.(bool)
	if !ok {
		return false, &EvalError{
			Message: "a match is a condition, true or false; this came to " + describe(v),
			Width:   len(p.source), Values: []Value{{Expr: cut(p.source), Value: bounded(v, maxDescribed)}},
		}
	}
	return b, nil
}

func (p *Program) run(b *budget) (any, error) { return p.runCode(b, p.code) }

// runCode runs one of the program's codes: the plain one, or the one that notes.
func (p *Program) runCode(b *budget, code *vm.Program) (any, error) {
	v, err := b.run(code)
	if err != nil {
		return nil, p.evalError(b, err)
	}
	switch n := v.(type) { // of the library's making
	case int:
		return int64(n), nil
	case []int:
		if v, err = asList(b, n); err != nil {
			return nil, p.evalError(b, err)
		}
	case headerMap:
		return n.mapping(), nil
	}
	return v, nil
}
