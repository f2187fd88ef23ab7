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

// maxOutput bounds what one template makes.
const maxOutput = 4 << 20

// CompileTemplate compiles a template. The error is an *Error whose place is in the whole text.
func CompileTemplate(src string, s Scope) (*Template, error) {
	t := &Template{source: src}
	for at := 0; at < len(src); {
		start := strings.Index(src[at:], "${{")
		if start < 0 {
			t.parts = append(t.parts, templatePart{text: src[at:]})
			break
		}
		start += at
		if start > at {
			t.parts = append(t.parts, templatePart{text: src[at:start]})
		}
		end := closing(src, start+3)
		if end < 0 {
			return nil, &Error{Offset: start, Width: 3, Message: "${{ is never closed", Hints: []string{"an expression ends with }}"}}
		}
		inner := src[start+3 : end]
		lead := len(inner) - len(strings.TrimLeft(inner, " \t\r\n"))
		p, err := Compile(strings.TrimSpace(inner), s)
		if err != nil {
			var at *Error
			if errors.As(err, &at) {
				at.Offset += start + 3 + lead
			}
			return nil, err
		}
		t.parts = append(t.parts, templatePart{program: p, offset: start + 3 + lead})
		at = end + 2
	}
	return t, nil
}

// closing is the place of the }} that ends the expression that begins at from, minding quotes
// and braces; -1 when there is none.
func closing(s string, from int) int {
	var quote byte
	depth := 0
	for i := from; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0 && c == '\\' && quote != '`':
			i++
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
		case c == '"' || c == '\'' || c == '`':
			quote = c
		case c == '{':
			depth++
		case c == '}' && depth > 0:
			depth--
		case c == '}' && strings.HasPrefix(s[i:], "}}"):
			return i
		}
	}
	return -1
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

// Uses reports whether an expression of the template mentions a name.
func (t *Template) Uses(name string) bool {
	for _, p := range t.parts {
		if p.program != nil && p.program.Uses(name) {
			return true
		}
	}
	return false
}

// Text evaluates the template. It is not present when the whole template is one expression that
// came to nil; inside a longer text nil is the empty text.
func (t *Template) Text(in *Input) (text string, present bool, err error) {
	if len(t.parts) == 1 && t.parts[0].program == nil {
		return t.source, true, nil
	}
	b := newBudget(in)
	var out strings.Builder
	for _, p := range t.parts {
		if p.program == nil {
			out.WriteString(p.text)
			continue
		}
		v, err := p.program.run(b)
		if err != nil {
			return "", false, t.place(p, err)
		}
		if v == nil && len(t.parts) == 1 {
			return "", false, nil
		}
		s, err := format(b, v)
		if err != nil {
			return "", false, t.place(p, &EvalError{Message: err.Error()})
		}
		if out.Len()+len(s.(string)) > maxOutput {
			return "", false, &EvalError{Message: fmt.Sprintf("the text is larger than %d MiB", maxOutput>>20)}
		}
		out.WriteString(s.(string))
	}
	return out.String(), true, nil
}

// Value is the value of a template that is exactly one expression, with its type; of any other
// template it is the text.
func (t *Template) Value(in *Input) (any, error) {
	if len(t.parts) == 1 && t.parts[0].program != nil {
		v, err := t.parts[0].program.Value(in)
		if err != nil {
			return nil, t.place(t.parts[0], err)
		}
		return v, nil
	}
	s, _, err := t.Text(in)
	return s, err
}

// place moves an evaluation error's place into the template.
func (t *Template) place(p templatePart, err error) error {
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
	text, err := encode(newBudget(in), v)
	if err != nil {
		return nil, &EvalError{Message: err.Error()}
	}
	return []byte(text.(string)), nil
}

// Literal is a template in which nothing is an expression.
func Literal(text string) *Template {
	return &Template{source: text, parts: []templatePart{{text: text}}}
}
