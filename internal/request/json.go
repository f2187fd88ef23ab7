package request

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// Number is a JSON number whose digits neither int64 nor float64 would give back: an integer
// beyond int64, or a fraction such as 1.50 or 1e3. It holds the number exactly as it was sent,
// within the range of float64.
type Number string

// MarshalJSON writes the number as it was sent.
func (n Number) MarshalJSON() ([]byte, error) { return []byte(n), nil }

// The bounds of a parsed body.
const (
	maxDepth  = 64
	maxNodes  = 100_000
	maxLines  = 10_000
	maxFields = 1000
	maxParts  = 32
)

var (
	errDeep = fmt.Errorf("nested deeper than %d", maxDepth)
	errWide = fmt.Errorf("more than %d values", maxNodes)
)

// decodeJSON reads exactly one JSON value. Duplicate names, invalid UTF-8, trailing data and
// numbers beyond float64 are refused: parsers differ about them, and that difference is an
// attack on match rules.
func decodeJSON(body []byte) (any, error) {
	tokens := decoders.Get().(*jsontext.Decoder)
	defer func() {
		tokens.Reset(noBody{}) // lets go of the body
		decoders.Put(tokens)
	}()
	tokens.Reset(bytes.NewBuffer(body)) // read in place; any other reader would be copied
	d := jsonDecoder{Decoder: tokens, nodes: maxNodes}
	if len(body) <= shareBelow {
		d.text = string(body)
	}
	v, err := d.value(0)
	if err != nil {
		return nil, plainJSON(err)
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return nil, errors.New("there is more after the value")
	}
	return v, nil
}

// decodeLines reads JSON values between line ends; empty lines are none.
func decodeLines(body []byte) (any, error) {
	out := []any{}
	for line := range bytes.Lines(body) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if len(out) >= maxLines {
			return nil, errWide
		}
		v, err := decodeJSON(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", len(out)+1, err)
		}
		out = append(out, v)
	}
	return out, nil
}

// decoders keep their tables of names between bodies.
var decoders = sync.Pool{New: func() any { return jsontext.NewDecoder(noBody{}) }}

type noBody struct{}

func (noBody) Read([]byte) (int, error) { return 0, io.EOF }

// plainJSON keeps the cause of a syntax error and drops what could repeat the body.
func plainJSON(err error) error {
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		switch {
		case errors.Is(err, jsontext.ErrDuplicateName):
			return fmt.Errorf("a name is there twice in one object, at byte %d", syntax.ByteOffset)
		case errors.Is(err, io.ErrUnexpectedEOF):
			return errors.New("it ends early")
		}
		return fmt.Errorf("syntax error at byte %d", syntax.ByteOffset)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it ends early")
	}
	return err
}

// shareBelow is up to which size of a body its texts are parts of one copy of it: one allocation
// instead of one for each. Larger ones are not held in memory whole for the sake of one text.
const shareBelow = 64 << 10

type jsonDecoder struct {
	*jsontext.Decoder
	nodes int
	text  string // the body, "" when its texts are copied one by one
	items []any  // of the lists that are being read, the innermost last
}

// scalar reads a string or number as it is written, or unquotes a string with an escape in it.
func (d *jsonDecoder) scalar() (string, error) {
	if d.text == "" {
		token, err := d.ReadToken()
		if err != nil {
			return "", err
		}
		return token.String(), nil
	}
	value, err := d.ReadValue()
	if err != nil {
		return "", err
	}
	end := int(d.InputOffset())
	switch {
	case value[0] != '"':
		return d.text[end-len(value) : end], nil
	case bytes.IndexByte(value, '\\') < 0:
		return d.text[end-len(value)+1 : end-1], nil
	}
	unquoted, err := jsontext.AppendUnquote(nil, value)
	return string(unquoted), err
}

// value reads one value inside depth others.
func (d *jsonDecoder) value(depth int) (any, error) {
	if d.nodes--; d.nodes < 0 {
		return nil, errWide
	}
	kind := d.PeekKind()
	switch kind {
	case '"':
		return d.scalar()
	case '0':
		text, err := d.scalar()
		if err != nil {
			return nil, err
		}
		return number(text)
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	switch kind {
	case 'n':
		return nil, nil
	case 't':
		return true, nil
	case 'f':
		return false, nil
	default:
		if depth == maxDepth {
			return nil, errDeep
		}
		if kind == '{' {
			return d.object(depth + 1)
		}
		return d.array(depth + 1)
	}
}

func (d *jsonDecoder) object(depth int) (any, error) {
	out := map[string]any{}
	for d.PeekKind() != '}' {
		key, err := d.scalar()
		if err != nil {
			return nil, err
		}
		if out[key], err = d.value(depth); err != nil {
			return nil, err
		}
	}
	_, err := d.ReadToken()
	return out, err
}

func (d *jsonDecoder) array(depth int) (any, error) {
	first := len(d.items)
	for d.PeekKind() != ']' {
		v, err := d.value(depth)
		if err != nil {
			return nil, err
		}
		d.items = append(d.items, v)
	}
	out := make([]any, len(d.items)-first) // once, and of the right size
	copy(out, d.items[first:])
	d.items = d.items[:first]
	_, err := d.ReadToken()
	return out, err
}

// number is an int64 or a float64 where these have the digits of text, and else a Number.
func number(text string) (any, error) {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil && text != "-0" {
		return i, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, errors.New("a number is too large")
	}
	if string(AppendFloat(nil, f)) == text {
		return f, nil
	}
	return Number(text), nil
}

// AppendFloat writes a float as JSON does: no exponent unless it is very large or very small.
func AppendFloat(out []byte, f float64) []byte {
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	from := len(out)
	out = strconv.AppendFloat(out, f, format, -1, 64)
	if n := len(out); format == 'e' && n-from >= 4 && out[n-4] == 'e' && out[n-3] == '-' && out[n-2] == '0' {
		out[n-2] = out[n-1] // 1e-09 is written 1e-9
		out = out[:n-1]
	}
	return out
}
