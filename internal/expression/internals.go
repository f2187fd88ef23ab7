package expression

import (
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/expr-lang/expr/builtin"
)

// internal is a function that only the guard calls. It gets the budget first. Those that give
// true or false, or a list, say so: the library then does not ask.
type internal struct {
	run   func(b *budget, a []any) (any, error)
	gives reflect.Type
}

var (
	givesAny  = reflect.TypeFor[func(...any) any]()
	givesBool = reflect.TypeFor[func(...any) bool]()
	givesText = reflect.TypeFor[func(...any) string]()
	givesList = reflect.TypeFor[func(...any) []any]()
)

// operationError is an operation that cannot be done with what it met. The operands are those
// of the node at the operation's place.
type operationError struct {
	message   string
	operands  []any
	condition bool // what is around the node wants true or false
}

func (e *operationError) Error() string { return e.message }

func cannot(operands []any, format string, a ...any) error {
	return &operationError{message: fmt.Sprintf(format, a...), operands: operands}
}

func internals() map[string]internal {
	all := map[string]internal{
		"__let":              {func(b *budget, a []any) (any, error) { return b.let(a[0].(string)) }, givesAny},
		"__get":              {func(_ *budget, a []any) (any, error) { return get(a[0], a[1]), nil }, givesAny},
		"__path":             {func(_ *budget, a []any) (any, error) { return walk(a[0], a[1].([]any)), nil }, givesAny},
		"__slice":            {slice, givesAny},
		"__key":              {mapKey, givesText},
		"__list":             {elements, givesList},
		"__sum":              {total, givesAny},
		"__each":             {func(b *budget, a []any) (any, error) { return a[1], b.step(a[0].(int)) }, givesAny},
		"__test":             {test, givesBool},
		"__condition":        {func(_ *budget, a []any) (any, error) { return truth(a[0]) }, givesBool},
		"__equal":            {func(b *budget, a []any) (any, error) { return equal(b, a[0], a[1]) }, givesBool},
		"__in":               {contained, givesBool},
		"__matches":          {matches, givesBool},
		"__binaryin":         {contained, givesBool},
		"__binary..":         {numbersBetween, givesList},
		"__unary-":           {func(b *budget, a []any) (any, error) { return negate(a) }, givesAny},
		"__unary+":           {func(b *budget, a []any) (any, error) { return plus(a) }, givesAny},
		"__note":             {(*budget).note, givesAny},
		"__began":            {(*budget).began, givesAny},
		"__tested":           {(*budget).tested, givesBool},
		"__binary<":          {ordering(func(c int) bool { return c < 0 }), givesBool},
		"__binary<=":         {ordering(func(c int) bool { return c <= 0 }), givesBool},
		"__binary>":          {ordering(func(c int) bool { return c > 0 }), givesBool},
		"__binary>=":         {ordering(func(c int) bool { return c >= 0 }), givesBool},
		"__binary+":          {add, givesAny},
		"__binary-":          {subtract, givesAny},
		"__binary*":          {multiply, givesAny},
		"__binary/":          {divide, givesAny},
		"__binary%":          {remainder, givesAny},
		"__binary**":         {power, givesAny},
		"__binary^":          {power, givesAny},
		"__binarycontains":   {textOperator("contains", strings.Contains), givesBool},
		"__binarystartsWith": {textOperator("startsWith", strings.HasPrefix), givesBool},
		"__binaryendsWith":   {textOperator("endsWith", strings.HasSuffix), givesBool},
	}
	for word, n := range names {
		gives := givesAny
		if n.kind == text && !strings.HasPrefix(word, "job.") { // those may be nil
			gives = givesText
		}
		all["__name "+word] = internal{func(b *budget, _ []any) (any, error) { return n.read(b) }, gives}
	}
	return all
}

// libraryFunctions are all our functions as the library wants them.
var libraryFunctions = sync.OnceValue(func() map[string]*builtin.Function {
	out := map[string]*builtin.Function{}
	add := func(name string, gives reflect.Type, run func(b *budget, a []any) (any, error)) {
		out[name] = &builtin.Function{Name: name, Types: []reflect.Type{gives}, Func: func(args ...any) (any, error) {
			return run(args[0].(*budget), args[1:])
		}}
	}
	for name, f := range internals() {
		add(name, f.gives, f.run)
	}
	for name, f := range functions {
		gives := givesAny
		if f.gives == condition {
			gives = givesBool
		}
		add(name, gives, f.call(name))
	}
	return out
})

// test is a loop's condition for one element.
func test(b *budget, a []any) (any, error) {
	if err := b.step(a[0].(int)); err != nil {
		return nil, err
	}
	return truth(a[1])
}

// truth is a value where only true and false make sense. What is missing is not true.
func truth(v any) (any, error) {
	switch v := v.(type) {
	case bool:
		return v, nil
	case nil:
		return false, nil
	}
	return nil, &operationError{message: "expected true or false, found " + sayKind(v), operands: []any{v}, condition: true}
}

// textOperator is false when a side is nil: what is missing has no text.
func textOperator(name string, op func(s, part string) bool) func(*budget, []any) (any, error) {
	return func(b *budget, a []any) (any, error) {
		if a[0] == nil || a[1] == nil {
			return false, nil
		}
		s, ok := a[0].(string)
		part, ok2 := a[1].(string)
		if !ok || !ok2 {
			return nil, cannot(a, "%s wants text on both sides, not %s and %s", name, sayKind(a[0]), sayKind(a[1]))
		}
		if err := b.spend(len(s) + nodeCost); err != nil {
			return nil, err
		}
		return op(s, part), nil
	}
}

// maxAtOnce is how much work a pattern may be without the clock being read on the way: the
// time for a character is that of the whole pattern, at worst.
const maxAtOnce = 500_000

func matches(b *budget, a []any) (any, error) {
	if a[0] == nil {
		return false, nil
	}
	s, ok := a[0].(string)
	if !ok {
		return nil, cannot(a[:1], "matches wants text, not %s", sayKind(a[0]))
	}
	p := a[1].(*pattern)
	if work := len(s) * p.size; work <= maxAtOnce {
		if err := b.spend(4*work + nodeCost); err != nil {
			return nil, err
		}
		return p.MatchString(s), nil
	}
	found := p.MatchReader(&watched{b: b, text: strings.NewReader(s), cost: 4 * p.size})
	return found, b.exceeded
}

// watched is a text that ends when the budget does.
type watched struct {
	b    *budget
	text *strings.Reader
	cost int // of each character
}

// ReadRune implements io.RuneReader.
func (w *watched) ReadRune() (rune, int, error) {
	if err := w.b.spend(w.cost); err != nil {
		return 0, 0, err
	}
	return w.text.ReadRune()
}
