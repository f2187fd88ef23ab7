package expression

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tenterhook/tenterhook/internal/request"
)

// encoder writes values as compact JSON, mappings by name, so that a value has one text only.
type encoder struct {
	b     *budget // nil for a preview, which has its limit
	out   []byte
	limit int
	html  bool // escape <, > and & as encoding/json does
}

// errLong ends a preview.
var errLong = errors.New("the value is too long")

// maxEncodeDepth is beyond what a payload can have.
const maxEncodeDepth = 100

// write makes text in the budget's scratch space and pays for it.
func (b *budget) write(html bool, f func(*encoder) error) (string, error) {
	e := encoder{b: b, out: b.scratch[:0], limit: max(0, b.bytes/4), html: html}
	err := f(&e)
	b.bytes -= 2 * (cap(e.out) - cap(b.scratch)) // it grew by doubling
	b.scratch = e.out
	if errors.Is(err, errLong) {
		err = b.build(maxBytes + 1)
	}
	if err == nil {
		err = b.build(len(e.out))
	}
	if err != nil {
		return "", err
	}
	return string(e.out), nil
}

func (b *budget) encode(v any, html bool) (string, error) {
	return b.write(html, func(e *encoder) error { return e.value(v, 0) })
}

func (b *budget) json(v any) (string, error) { return b.encode(v, false) }

// format is a value as text: nil is empty, text is itself whatever its bytes, numbers keep
// their digits, times are RFC 3339, lists and mappings are JSON.
func (b *budget) format(v any) (string, error) {
	if s, ok := v.(string); ok {
		return s, b.spend(nodeCost)
	}
	return b.write(false, func(e *encoder) error { return e.plain(v) })
}

// plain writes a value as format does.
func (e *encoder) plain(v any) error {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return e.text(v)
	case time.Time:
		return e.text(v.Format(time.RFC3339Nano))
	case time.Duration:
		return e.text(v.String())
	}
	return e.value(v, 0)
}

// room makes room for n bytes. It grows faster than append, which makes less garbage.
func (e *encoder) room(n int) {
	if len(e.out)+n > cap(e.out) {
		e.out = slices.Grow(e.out, max(n, cap(e.out), 256))
	}
}

// text writes bytes as they are.
func (e *encoder) text(s string) error {
	if len(e.out)+len(s) > e.limit {
		return errLong
	}
	e.room(len(s))
	e.out = append(e.out, s...)
	return nil
}

func (e *encoder) value(v any, depth int) error {
	if depth > maxEncodeDepth {
		return fmt.Errorf("nested deeper than %d", maxEncodeDepth)
	}
	if len(e.out) > e.limit {
		return errLong
	}
	if e.b != nil {
		if err := e.b.spend(nodeCost); err != nil {
			return err
		}
	}
	e.room(32)
	switch v := v.(type) {
	case nil:
		e.out = append(e.out, "null"...)
	case excerpt:
		return e.quoted(string(v))
	case bool:
		e.out = strconv.AppendBool(e.out, v)
	case string:
		return e.quoted(v)
	case int64:
		e.out = strconv.AppendInt(e.out, v, 10)
	case int:
		e.out = strconv.AppendInt(e.out, int64(v), 10)
	case float64:
		e.out = request.AppendFloat(e.out, v)
	case request.Number:
		return e.text(string(v))
	case time.Time:
		return e.quoted(v.Format(time.RFC3339Nano))
	case time.Duration:
		return e.quoted(v.String())
	case []any:
		return e.list(len(v), func(i int) any { return v[i] }, depth)
	case []int:
		return e.list(len(v), func(i int) any { return v[i] }, depth)
	default:
		m, ok, err := asMapping(e.b, v)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("a value of type %T has no text", v)
		}
		return e.mapping(m, depth)
	}
	return nil
}

func (e *encoder) list(n int, item func(int) any, depth int) error {
	e.out = append(e.out, '[')
	for i := range n {
		if i > 0 {
			e.out = append(e.out, ',')
		}
		if err := e.value(item(i), depth+1); err != nil {
			return err
		}
	}
	e.out = append(e.out, ']')
	return nil
}

// maxPreviewNames is the most names of a mapping that are sorted for a preview.
const maxPreviewNames = 256

func (e *encoder) mapping(m map[string]any, depth int) error {
	names, err := e.names(m)
	if err != nil {
		return err
	}
	e.out = append(e.out, '{')
	for i, name := range names {
		if i > 0 {
			e.out = append(e.out, ',')
		}
		if err := e.quoted(name); err != nil {
			return err
		}
		e.out = append(e.out, ':')
		if err := e.value(m[name], depth+1); err != nil {
			return err
		}
	}
	e.out = append(e.out, '}')
	return nil
}

func (e *encoder) names(m map[string]any) ([]string, error) {
	if e.b != nil {
		return e.b.sortedKeys(m)
	}
	if len(m) > maxPreviewNames {
		e.out = fmt.Appendf(e.out, "{%d names", len(m))
		return nil, errLong
	}
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

const hexDigits = "0123456789abcdef"

// quoted writes a JSON string. Only what must be escaped is; bytes that are not UTF-8 become
// U+FFFD.
func (e *encoder) quoted(s string) error {
	if room := e.limit - len(e.out); len(s) > room {
		if room = max(0, room); e.b == nil { // a preview shows what fits
			e.out = appendQuoted(e.out, s[:room], e.html)
		}
		return errLong
	}
	if e.b != nil {
		if err := e.b.spend(2 * len(s)); err != nil {
			return err
		}
	}
	e.room(len(s) + 2)
	e.out = append(appendQuoted(e.out, s, e.html), '"')
	return nil
}

// appendQuoted writes all of a JSON string but its end.
func appendQuoted(out []byte, s string, html bool) []byte {
	out = append(out, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c == '\n':
			out = append(out, '\\', 'n')
		case c == '\r':
			out = append(out, '\\', 'r')
		case c == '\t':
			out = append(out, '\\', 't')
		case c < ' ' || html && (c == '<' || c == '>' || c == '&'):
			out = append(out, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		case c >= utf8.RuneSelf:
			r, size := utf8.DecodeRuneInString(s[i:])
			out = utf8.AppendRune(out, r)
			i += size
			continue
		default:
			out = append(out, c)
		}
		i++
	}
	return out
}

// maxDescribed bounds a value inside an error's text, maxShown one that is shown by itself.
const (
	maxDescribed = 200
	maxShown     = 512
)

// preview is a value as JSON of about limit bytes, and whether that is all of it.
func preview(v any, limit int) (text string, all bool) {
	e := encoder{limit: limit}
	err := e.value(v, 0)
	switch {
	case err == nil && len(e.out) <= limit:
		return string(e.out), true
	case err != nil && !errors.Is(err, errLong):
		return sayKind(v), false
	}
	out := e.out[:min(len(e.out), limit)]
	for len(out) > 0 && !utf8.Valid(out) {
		out = out[:len(out)-1]
	}
	return string(out) + "…", false
}

// describe is a value as an error shows it.
func describe(v any) string {
	if e, ok := v.(excerpt); ok {
		return string(e)
	}
	text, _ := preview(v, maxDescribed)
	return text
}

// excerpt is the beginning of the JSON of a value that was too large to be kept.
type excerpt string

// bounded is a value that can be kept and shown: itself, or an excerpt of about limit bytes.
func bounded(v any, limit int) any {
	if short, all := preview(v, limit); !all {
		return excerpt(short)
	}
	return v
}

// JSON is what the part came to as JSON of about limit bytes: of a longer value it is text that
// says how it begins. hide takes out of a text what is never shown, in forms of at most longest
// bytes; it is given whole ones, also where the value is cut. nil hides nothing.
func (v Value) JSON(limit int, hide func(string) string, longest int) json.RawMessage {
	if hide == nil {
		hide, longest = func(s string) string { return s }, 0
	}
	switch value := v.Value.(type) {
	case nil:
		return json.RawMessage("null")
	case bool:
		return strconv.AppendBool(nil, value)
	case string:
		s := value
		begin := s[:min(len(s), limit+longest)]
		return quotedJSON(shortened(hide(begin), limit, len(begin) < len(s)))
	}
	text, all := preview(v.Value, limit+longest)
	text = strings.TrimSuffix(text, "…")
	hidden := hide(text)
	if all && len(hidden) <= limit && (hidden == text || json.Valid([]byte(hidden))) {
		return json.RawMessage(hidden)
	}
	return quotedJSON(shortened(hidden, limit, !all))
}

// shortened is a text of at most limit bytes, with a sign when it is not all of it.
func shortened(s string, limit int, more bool) string {
	if len(s) <= limit && !more {
		return s
	}
	end := min(len(s), limit)
	for end > 0 && end < len(s) && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

func quotedJSON(s string) json.RawMessage { return append(appendQuoted(nil, s, false), '"') }

// instructions is how large the program of a pattern is: what each character may cost.
func instructions(source string) int {
	re, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return 1
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return 1
	}
	return len(prog.Inst)
}
