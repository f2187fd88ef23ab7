package expression

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"regexp/syntax"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tenterhook/tenterhook/internal/request"
)

// asText is a value that is text. An integer too large to compute with is not.
func asText(v any) (string, bool) {
	s, ok := v.(string)
	return s, ok
}

func isNumberText(v any) bool {
	_, ok := v.(request.Number)
	return ok
}

func asInt64(v any) (int64, bool) {
	switch n := v.(type) {
	case int64:
		return n, true
	case int:
		return int64(n), true
	}
	rv := reflect.ValueOf(v)
	if v != nil && rv.CanInt() {
		return rv.Int(), true
	}
	return 0, false
}

func asInt(v any) (int, bool) {
	n, ok := asInt64(v)
	if f, isFloat := v.(float64); isFloat && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int(f), true
	}
	return int(n), ok
}

func asFloat(v any) (float64, bool) {
	if f, ok := v.(float64); ok {
		return f, true
	}
	if _, ok := v.(time.Duration); ok {
		return 0, false
	}
	n, ok := asInt64(v)
	return float64(n), ok
}

// kindOf names what a value is, for people.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "nil"
	case string:
		return "text"
	case bool:
		return "true or false"
	case []any, []string:
		return "a list"
	case map[string]any, headerMap:
		return "a mapping"
	case time.Time:
		return "a time"
	case time.Duration:
		return "a duration"
	}
	return "a number"
}

func typeName(v any) string {
	return map[string]string{
		"nil": "nil", "text": "string", "true or false": "bool", "a list": "array", "a mapping": "map", "a time": "time", "a duration": "duration",
		"a number": "number",
	}[kindOf(v)]
}

// maxDescribed bounds a value that is shown.
const maxDescribed = 200

// describe is a value as an error shows it: JSON, cut, of a value of any size.
func describe(v any) string {
	b := &budget{steps: maxSteps, bytes: 8 * maxDescribed, work: maxWork, deadline: time.Now().Add(maxTime)}
	if s, ok := v.(string); ok && len(s) > maxDescribed {
		v = strings.ToValidUTF8(s[:maxDescribed], "") + "…"
	}
	text, err := encode(b, v)
	if err != nil {
		return kindOf(v) + " too large to show"
	}
	s := text.(string)
	if len(s) > maxDescribed {
		return strings.ToValidUTF8(s[:maxDescribed], "") + "…"
	}
	return s
}

// format is a value as text: nil is empty, numbers keep their digits, times are RFC 3339, lists
// and mappings are compact JSON. Text that is not UTF-8 stays as it is.
func format(b *budget, v any) (any, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, b.build(len(v))
	case time.Time:
		return v.Format(time.RFC3339Nano), nil
	case time.Duration:
		return v.String(), nil
	}
	return encode(b, v)
}

// encode is a value as compact JSON, mappings by name.
func encode(b *budget, v any) (any, error) {
	out, err := appendJSON(b, nil, v, 0)
	if err != nil {
		return nil, err
	}
	return string(out), nil
}

// maxEncodeDepth is beyond what a payload can have.
const maxEncodeDepth = 100

func appendJSON(b *budget, out []byte, v any, depth int) ([]byte, error) {
	if depth > maxEncodeDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxEncodeDepth)
	}
	before := len(out)
	switch v := v.(type) {
	case nil:
		out = append(out, "null"...)
	case bool:
		out = strconv.AppendBool(out, v)
	case string:
		if err := b.build(len(v)); err != nil {
			return nil, err
		}
		out = appendString(out, v)
	case request.Number:
		out = append(out, v...)
	case float64:
		return appendFloat(out, v)
	case time.Time:
		out = appendString(out, v.Format(time.RFC3339Nano))
	case time.Duration:
		out = appendString(out, v.String())
	case []any:
		return appendList(b, out, v, depth)
	case []string:
		items, err := list(v)
		if err != nil {
			return nil, err
		}
		return appendList(b, out, items.([]any), depth)
	case map[string]any:
		return appendMap(b, out, v, depth)
	case headerMap:
		m := map[string]any{}
		for name := range v {
			m[strings.ToLower(name)] = v.get(name)
		}
		return appendMap(b, out, m, depth)
	default:
		n, ok := asInt64(v)
		if !ok {
			return nil, fmt.Errorf("a value of type %T has no text", v)
		}
		out = strconv.AppendInt(out, n, 10)
	}
	if err := b.build(len(out) - before); err != nil {
		return nil, err
	}
	return out, b.tick()
}

// appendFloat writes what JSON writes; a whole number has no fraction.
func appendFloat(out []byte, f float64) ([]byte, error) {
	text, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("%v is not a number", f)
	}
	return append(out, text...), nil
}

func appendList(b *budget, out []byte, items []any, depth int) ([]byte, error) {
	out = append(out, '[')
	for i, item := range items {
		if i > 0 {
			out = append(out, ',')
		}
		var err error
		if out, err = appendJSON(b, out, item, depth+1); err != nil {
			return nil, err
		}
	}
	return append(out, ']'), b.tick()
}

func appendMap(b *budget, out []byte, m map[string]any, depth int) ([]byte, error) {
	out = append(out, '{')
	for i, name := range sortedKeys(m) {
		if i > 0 {
			out = append(out, ',')
		}
		if err := b.build(len(name)); err != nil {
			return nil, err
		}
		out = append(appendString(out, name), ':')
		var err error
		if out, err = appendJSON(b, out, m[name], depth+1); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), b.tick()
}

const hexDigits = "0123456789abcdef"

// appendString writes a JSON string. Only what must be escaped is; bytes that are not UTF-8
// become U+FFFD.
func appendString(out []byte, s string) []byte {
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
		case c < ' ':
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
	return append(out, '"')
}

// instructions is how large the program of a pattern is: what each byte of text may cost.
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
