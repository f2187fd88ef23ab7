// Package expression is the language of match:, let: and ${{ }}: expr-lang with the names of a
// delivery, in which a missing field is nil, an error is never mistaken for false, and nothing
// a payload holds can make an evaluation run long or large. It is the only package that knows
// the expression library.
package expression

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"
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
	maxSource = 4096
	maxAST    = 1000
)

// Program is a compiled expression. It is immutable and safe for concurrent use.
type Program struct {
	source  string
	scope   Scope
	program *vm.Program
	uses    map[string]bool
}

// Compile compiles an expression of any type. The error is an *Error.
func Compile(src string, s Scope) (*Program, error) {
	p, _, err := compile(src, s)
	return p, err
}

// CompileMatch compiles a condition: what is known not to be true or false is refused.
func CompileMatch(src string, s Scope) (*Program, error) {
	p, tree, err := compile(src, s)
	if err != nil {
		return nil, err
	}
	kind := staticKind(tree.Node)
	if kind == "" && p.program.Node() != nil {
		if t := p.program.Node().Type(); t != nil && t.Kind() != reflect.Interface && t.Kind() != reflect.Bool {
			kind = t.Kind().String()
		}
	}
	if kind != "" {
		return nil, &Error{Width: len(src), Message: "a match is a condition, true or false; this is " + article(kind), Hints: []string{`compare it with something, such as == "main"`}}
	}
	return p, nil
}

func article(kind string) string {
	if strings.ContainsAny(kind[:1], "aeio") {
		return "an " + kind
	}
	return "a " + kind
}

func compile(src string, s Scope) (*Program, *parser.Tree, error) {
	if strings.TrimSpace(src) == "" {
		return nil, nil, &Error{Message: "the expression is empty"}
	}
	if len(src) > maxSource {
		return nil, nil, &Error{Message: fmt.Sprintf("the expression is longer than %d bytes", maxSource), Width: 1}
	}
	tree, err := parse(src)
	if err != nil {
		return nil, nil, err
	}
	check := &checker{src: src, scope: s, uses: map[string]bool{}}
	if err := check.run(&tree.Node); err != nil {
		return nil, nil, err
	}
	options := append(options(), expr.Env(environment()), expr.Patch(&guard{lets: check.lets}))
	program, err := expr.Compile(src, options...)
	if err != nil {
		return nil, nil, compileError(src, err)
	}
	return &Program{source: src, scope: s, program: program, uses: check.uses}, tree, nil
}

// options name every function and switch the library's own off.
func options() []expr.Option {
	out := []expr.Option{expr.DisableAllBuiltins(), expr.MaxNodes(2 * maxAST)}
	for name := range functions {
		out = append(out, expr.Function(name, call(name)))
	}
	for name, f := range internals {
		out = append(out, expr.Function(name, f.run, f.types...))
	}
	return out
}

// parse makes the tree as it was written, before anything is patched.
func parse(src string) (*parser.Tree, error) {
	config := conf.CreateNew()
	for _, option := range append(options(), expr.Env(environment())) {
		option(config)
	}
	config.MaxNodes = maxAST
	tree, err := parser.ParseWithConfig(src, config)
	if err != nil {
		return nil, compileError(src, err)
	}
	return tree, nil
}

// environment is the type of what a program is run with. Names that cost something to compute
// are not in it: the guard makes calls of them.
func environment() types.Map {
	m := types.Map{budgetName: types.Any}
	for name, kind := range plainNames {
		m[name] = kind
	}
	return m
}

// compileError makes an Error of the library's, placed in bytes.
func compileError(src string, err error) error {
	var at *file.Error
	if !errors.As(err, &at) {
		return &Error{Message: firstLine(err.Error()), Width: 1}
	}
	offset, width := span(src, at.Location)
	return &Error{Offset: offset, Width: width, Message: firstLine(at.Message)}
}

// span is a library's location, in characters, as bytes.
func span(src string, l file.Location) (offset, width int) {
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

// Uses reports whether the expression mentions a name. Names of git facts and of let: values
// count as themselves.
func (p *Program) Uses(name string) bool { return p.uses[name] }

// Source is the expression as it was compiled.
func (p *Program) Source() string { return p.source }

// Value evaluates the expression. The error is an *EvalError, or a *request.DecodeError when it
// needs a body that cannot be read.
func (p *Program) Value(in *Input) (any, error) {
	return p.run(newBudget(in))
}

// Bool evaluates a condition. A value that is not true or false is an error.
func (p *Program) Bool(in *Input) (bool, error) {
	v, err := p.Value(in)
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok {
		return false, &EvalError{Message: "a match is a condition, true or false; this came to " + describe(v)}
	}
	return b, nil
}

// vmMemory bounds the elements that lists made by an expression may have.
const vmMemory = 100_000

func (p *Program) run(b *budget) (any, error) {
	v, err := p.machine(b)
	if err == nil {
		return v, nil
	}
	if b.payloadErr != nil {
		return nil, b.payloadErr
	}
	return nil, p.evalError(b, err)
}

// machine runs the program. A panic of the library is its error.
func (p *Program) machine(b *budget) (v any, err error) {
	machine := vm.VM{MemoryBudget: vmMemory}
	return machine.Run(p.program, b.environment())
}

// runPlain evaluates without looking for the values an error met: those are what is asked for.
func (p *Program) runPlain(in *Input) (any, error) {
	b := newBudget(in)
	v, err := p.machine(b)
	if b.payloadErr != nil {
		return nil, b.payloadErr
	}
	if err != nil {
		return nil, errors.New(firstLine(err.Error()))
	}
	return v, nil
}

// EvalError says why an expression could not be evaluated, where, and with which values. It is
// neither true nor false.
type EvalError struct {
	Message       string
	Offset, Width int     // bytes in the source
	Values        []Value // that it met
}

// Error is the message with the values, bounded.
func (e *EvalError) Error() string {
	if len(e.Values) == 0 {
		return e.Message
	}
	var met []string
	for _, v := range e.Values {
		met = append(met, v.Expr+" is "+describe(v.Value))
	}
	return e.Message + ": " + strings.Join(met, ", ")
}

// Where is the place in the source.
func (e *EvalError) Where() (offset, width int) { return e.Offset, e.Width }

// Advice implements what a placed error has; an evaluation error has none.
func (e *EvalError) Advice() []string { return nil }

// maxMet is how many values an EvalError shows.
const maxMet = 4

func (p *Program) evalError(b *budget, err error) error {
	var nested *EvalError
	if errors.As(err, &nested) {
		return nested // of a let
	}
	e := &EvalError{Message: firstLine(err.Error())}
	var at *file.Error
	if errors.As(err, &at) {
		e.Message = firstLine(at.Message)
		e.Offset, e.Width = span(p.source, at.Location)
	}
	if b.exceeded != nil {
		e.Message = b.exceeded.Error()
		return e
	}
	e.Values = p.met(b.in, e.Offset)
	return e
}

// met are the values of the operands of the operation at offset.
func (p *Program) met(in *Input, offset int) []Value {
	tree, err := parse(p.source)
	if err != nil {
		return nil
	}
	finder := &finder{src: p.source, offset: offset}
	ast.Walk(&tree.Node, finder)
	var out []Value
	for _, operand := range finder.operands {
		if len(out) < maxMet && !constant(operand) {
			out = append(out, evaluate(operand, p.scope, in))
		}
	}
	return out
}

// finder looks for the operation that the library places at offset.
type finder struct {
	src      string
	offset   int
	operands []ast.Node
}

func (f *finder) Visit(node *ast.Node) {
	offset, _ := span(f.src, (*node).Location())
	if offset != f.offset {
		return
	}
	switch n := (*node).(type) {
	case *ast.BinaryNode:
		f.operands = []ast.Node{n.Left, n.Right}
	case *ast.UnaryNode:
		f.operands = []ast.Node{n.Node}
	case *ast.CallNode:
		f.operands = n.Arguments
	}
}
