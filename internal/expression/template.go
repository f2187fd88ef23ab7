package expression

import (
	"errors"
	"fmt"
	"strings"
)

// Template is text with ${{ expression }} parts. It is immutable and safe for concurrent use.
type Template struct {
	source string
	parts  []templatePart
}

type templatePart struct {
	text    string
	program *Program // nil for text
	offset  int      // of the expression in the template
}

// The bounds of a template.
const (
	maxOutput = 4 << 20 // bytes of what it makes
	maxParts  = 1000
)

// CompileTemplate compiles a template. The error is an *Error whose place is in the whole text.
func CompileTemplate(src string, s Scope) (*Template, error) {
	return CompileTemplateWhere(src, s, func(int, int) bool { return true })
}

// CompileTemplateWhere is CompileTemplate for a text of which some was not written as a template: a
// ${{ opens an expression only where written(from, to) says that its bytes are.
func CompileTemplateWhere(src string, s Scope, written func(from, to int) bool) (*Template, error) {
	t := &Template{source: src}
	for at := 0; at < len(src); {
		start := opening(src, at, written)
		if start < 0 {
			t.parts = append(t.parts, templatePart{text: src[at:]})
			break
		}
		if start > at {
			t.parts = append(t.parts, templatePart{text: src[at:start]})
		}
		end := closing(src, start+3)
		if end < 0 {
			return nil, &Error{Offset: start, Width: 3, Message: "${{ is never closed", Hints: []string{"an expression ends with }}"}}
		}
		part, err := compilePart(src[start+3:end], start+3, s)
		if err != nil {
			return nil, err
		}
		if t.parts = append(t.parts, part); len(t.parts) > maxParts {
			return nil, &Error{Offset: start, Width: 3, Message: fmt.Sprintf("there are more than %d parts", maxParts)}
		}
		at = end + 2
	}
	return t, nil
}

// opening is the place of the next ${{ that was written as one; -1 when there is none.
func opening(src string, from int, written func(from, to int) bool) int {
	for {
		start := strings.Index(src[from:], "${{")
		if start < 0 {
			return -1
		}
		if start += from; written(start, start+3) {
			return start
		}
		from = start + 3
	}
}

// compilePart compiles what is between the braces, which begins at offset.
func compilePart(inner string, offset int, s Scope) (templatePart, error) {
	offset += len(inner) - len(strings.TrimLeft(inner, " \t\r\n"))
	p, err := Compile(strings.TrimSpace(inner), s)
	var at *Error
	if errors.As(err, &at) {
		at.Offset += offset
	}
	return templatePart{program: p, offset: offset}, err
}

// closing is the place of the }} that ends the expression that begins at from, minding quotes,
// comments and braces; -1 when there is none.
func closing(s string, from int) int {
	depth := 0
	for i := from; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\'' || c == '`':
			i = quoteEnd(s, i)
		case strings.HasPrefix(s[i:], "/*"):
			length := strings.Index(s[i+2:], "*/")
			if length < 0 {
				return -1
			}
			i += length + 3
		case c == '{':
			depth++
		case c == '}' && depth > 0:
			depth--
		case strings.HasPrefix(s[i:], "}}"):
			return i
		}
	}
	return -1
}

// quoteEnd is the place of the quote that ends the text that begins at from, or the end of s.
func quoteEnd(s string, from int) int {
	quote := s[from]
	for i := from + 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quote != '`':
			i++
		case s[i] == quote:
			return i
		}
	}
	return len(s)
}

// Constant returns the text of a template without expressions, and whether it is one.
func (t *Template) Constant() (string, bool) {
	for _, p := range t.parts {
		if p.program != nil {
			return "", false
		}
	}
	return t.source, true
}

// Source is the template as it was compiled.
func (t *Template) Source() string { return t.source }

// Uses reports whether an expression of the template mentions a name, as Program.Uses.
func (t *Template) Uses(name string) bool {
	for _, p := range t.parts {
		if p.program != nil && p.program.Uses(name) {
			return true
		}
	}
	return false
}

// Text evaluates the template, all of it within the bounds of one expression. It is not present
// when the whole template is one expression that came to nil; inside a longer text nil is the
// empty text. The error is an *EvalError, placed in the template, or a *request.DecodeError.
func (t *Template) Text(in *Input) (s string, present bool, err error) {
	return t.TextEscaped(in, func(_, value string) string { return value })
}

// TextEscaped is Text with escape applied to what each expression came to; before is the text
// that stands before it.
func (t *Template) TextEscaped(in *Input, escape func(before, value string) string) (s string, present bool, err error) {
	if s, ok := t.Constant(); ok {
		return s, true, nil
	}
	b := in.begin()
	var out strings.Builder
	for _, p := range t.parts {
		s, isNil, err := p.render(b)
		if err != nil {
			return "", false, err
		}
		if isNil && len(t.parts) == 1 {
			return "", false, nil
		}
		if p.program != nil {
			s = escape(out.String(), s)
		}
		if out.Len()+len(s) > maxOutput {
			return "", false, &EvalError{Message: fmt.Sprintf("the text is larger than %d MiB", maxOutput>>20), Width: len(t.source)}
		}
		if len(t.parts) == 1 {
			return s, true, nil
		}
		out.WriteString(s)
	}
	return out.String(), true, nil
}

// render is what a part comes to, and whether that is nil.
func (p *templatePart) render(b *budget) (s string, isNil bool, err error) {
	if p.program == nil {
		return p.text, false, nil
	}
	v, err := p.program.run(b)
	if err != nil {
		return "", false, p.place(err)
	}
	s, err = b.format(v)
	if err != nil {
		return "", false, p.place(&EvalError{Message: err.Error(), Width: len(p.program.source)})
	}
	return s, v == nil, nil
}

// Value is the value of a template that is exactly one expression, with its type: nil, bool,
// string, int64, float64, request.Number, time.Time, time.Duration, a list or a mapping. Of any
// other template it is the text.
func (t *Template) Value(in *Input) (any, error) {
	if len(t.parts) == 1 && t.parts[0].program != nil {
		v, err := t.parts[0].program.Value(in)
		if err != nil {
			return nil, t.parts[0].place(err)
		}
		return v, nil
	}
	s, _, err := t.Text(in)
	return s, err
}

// place moves an evaluation error's place into the template.
func (p *templatePart) place(err error) error {
	var eval *EvalError
	if errors.As(err, &eval) {
		moved := *eval
		moved.Offset += p.offset
		return &moved
	}
	return err
}

// JSON is a value as compact JSON, bounded like an evaluation.
func JSON(in *Input, v any) ([]byte, error) {
	s, err := in.begin().json(v)
	if err != nil {
		return nil, &EvalError{Message: err.Error()}
	}
	return []byte(s), nil
}

// Literal is a template in which nothing is an expression.
func Literal(text string) *Template {
	return &Template{source: text, parts: []templatePart{{text: text}}}
}
