package request

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Number is a JSON integer that int64 cannot hold, with all its digits. It is text, not a
// number, to expressions: nothing is computed with it, so nothing is rounded.
type Number string

// The bounds of a parsed body.
const (
	maxDepth  = 64
	maxNodes  = 100_000
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
	d := jsonDecoder{Decoder: jsontext.NewDecoder(bytes.NewReader(body)), nodes: maxNodes}
	v, err := d.value(0)
	if err != nil {
		return nil, plainJSON(err)
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return nil, errors.New("there is more after the value")
	}
	return v, nil
}

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

type jsonDecoder struct {
	*jsontext.Decoder
	nodes int
}

func (d *jsonDecoder) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, errDeep
	}
	if d.nodes--; d.nodes < 0 {
		return nil, errWide
	}
	token, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	switch token.Kind() {
	case 'n':
		return nil, nil
	case 't':
		return true, nil
	case 'f':
		return false, nil
	case '"':
		return token.String(), nil
	case '0':
		return number(token.String())
	case '{':
		return d.object(depth)
	default:
		return d.array(depth)
	}
}

func (d *jsonDecoder) object(depth int) (any, error) {
	out := map[string]any{}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		key := name.String()
		if out[key], err = d.value(depth + 1); err != nil {
			return nil, err
		}
	}
	_, err := d.ReadToken()
	return out, err
}

func (d *jsonDecoder) array(depth int) (any, error) {
	out := []any{}
	for d.PeekKind() != ']' {
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	_, err := d.ReadToken()
	return out, err
}

// number keeps every digit of an integer, and reads the rest as float64.
func number(text string) (any, error) {
	if !strings.ContainsAny(text, ".eE") {
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			return i, nil
		}
		return Number(text), nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) {
		return nil, errors.New("a number is too large")
	}
	return f, nil
}
