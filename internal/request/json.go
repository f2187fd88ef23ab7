package request

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"
	"unsafe"

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
	maxNodes  = 100_000 // or one for each perNode bytes, where that is more
	perNode   = 32
	maxLines  = 10_000
	maxFields = 1000
	maxParts  = 32
)

var (
	errDeep  = fmt.Errorf("nested deeper than %d", maxDepth)
	errWide  = fmt.Errorf("more than %d values", maxNodes)
	errDense = fmt.Errorf("more than %d values, and more than one in %d bytes", maxNodes, perNode)
	errEarly = errors.New("it ends early")
)

// decodeJSON reads exactly one JSON value. Duplicate names, invalid UTF-8, trailing data and
// numbers beyond float64 are refused: parsers differ about them, and that difference is an
// attack on match rules. It reads what jsontext reads, several times faster; a fuzz test compares
// the two.
func decodeJSON(body []byte) (any, error) { return readJSON(body, nil) }

// mostNodes is how many values may be made of a body. Those of what people send have 50 bytes and more,
// so that a push of the 25 MB that GitHub sends at most has half a million; what is made of a body is
// bounded by its size all the same.
func mostNodes(body []byte) int { return max(maxNodes, len(body)/perNode) }

// readJSON is decodeJSON of which only some may be wanted; see Request.Part.
func readJSON(body []byte, wanted Fields) (any, error) {
	d := decoders.Get().(*jsonDecoder)
	d.body, d.nodes = body, mostNodes(body)
	defer d.forget()
	v, err := d.value(0, wanted)
	if err != nil {
		return nil, err
	}
	if d.blanks(); d.at < len(body) {
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

// window is the size of the pieces of a body of which its texts are parts: one allocation instead
// of one for each text. A text that is kept keeps no more than its piece.
const window = 64 << 10

// jsonDecoder reads one body. Nothing of it is kept by what it made but pieces.
type jsonDecoder struct {
	body   []byte
	at     int // the next byte
	nodes  int // values that may still come
	pieces []string
	passes bool // what is read is only checked
	// unquoted is what plain made of a string with escapes; the next one takes its place.
	unquoted []byte
	// What belongs to the lists and objects that are being read, the innermost last.
	items []any
	names []string
	seen  map[string]struct{} // of hasTwice
}

// decoders keep their room between bodies.
var decoders = sync.Pool{New: func() any { return new(jsonDecoder) }}

// mostRoom is how many values a decoder keeps room for.
const mostRoom = 1024

func (d *jsonDecoder) forget() {
	clear(d.items[:cap(d.items)])
	clear(d.names[:cap(d.names)])
	clear(d.pieces)
	clear(d.seen)
	*d = jsonDecoder{items: d.items[:0], names: d.names[:0], pieces: d.pieces[:0], seen: d.seen, unquoted: d.unquoted[:0]}
	if cap(d.items) <= mostRoom && cap(d.unquoted) <= window {
		decoders.Put(d)
	}
}

// wrong is a syntax error where the decoder stands. It says nothing of the body.
func (d *jsonDecoder) wrong() error {
	if d.at >= len(d.body) {
		return errEarly
	}
	return fmt.Errorf("syntax error at byte %d", d.at)
}

func (d *jsonDecoder) blanks() {
	for d.at < len(d.body) {
		switch d.body[d.at] {
		case ' ', '\t', '\n', '\r':
			d.at++
		default:
			return
		}
	}
}

// next is the next byte that is no blank, 0 at the end.
func (d *jsonDecoder) next() byte {
	if d.blanks(); d.at < len(d.body) {
		return d.body[d.at]
	}
	return 0
}

// value reads one value inside depth others, of which only some may be wanted if it is an object.
func (d *jsonDecoder) value(depth int, wanted Fields) (any, error) {
	if d.nodes--; d.nodes < 0 {
		return nil, errDense
	}
	switch c := d.next(); {
	case c == '"' && d.passes:
		_, err := d.plain()
		return nil, err
	case c == '"':
		return d.text()
	case c == '-' || c >= '0' && c <= '9':
		return d.number()
	case c == 't':
		return true, d.word("true")
	case c == 'f':
		return false, d.word("false")
	case c == 'n':
		return nil, d.word("null")
	case c != '{' && c != '[':
		return nil, d.wrong()
	case depth == maxDepth:
		return nil, errDeep
	case c == '{':
		return d.object(depth+1, wanted)
	default:
		return d.array(depth + 1)
	}
}

func (d *jsonDecoder) word(w string) error {
	for i := range len(w) {
		if d.at >= len(d.body) || d.body[d.at] != w[i] {
			return d.wrong()
		}
		d.at++
	}
	return nil
}

// object reads an object, whose map is made once and of the right size.
func (d *jsonDecoder) object(depth int, wanted Fields) (any, error) {
	firstName, firstItem := len(d.names), len(d.items)
	d.at++
	for c := d.next(); c != '}' || len(d.names) > firstName; {
		if c != '"' {
			return nil, d.wrong()
		}
		name, err := d.name()
		if err != nil {
			return nil, err
		}
		if d.next() != ':' {
			return nil, d.wrong()
		}
		d.at++
		v, err := d.member(depth, name, wanted)
		if err != nil {
			return nil, err
		}
		d.names, d.items = append(d.names, name), append(d.items, v)
		if c = d.next(); c == '}' {
			break
		}
		if c != ',' {
			return nil, d.wrong()
		}
		d.at++
		c = d.next()
	}
	d.at++
	out, err := d.made(d.names[firstName:], d.items[firstItem:], wanted)
	d.names, d.items = d.names[:firstName], d.items[:firstItem]
	return out, err
}

// member reads the value of a name, and only checks it where it is not wanted.
func (d *jsonDecoder) member(depth int, name string, wanted Fields) (any, error) {
	if wanted == nil || d.passes {
		return d.value(depth, nil)
	}
	of, ok := wanted[name]
	d.passes = !ok
	v, err := d.value(depth, of)
	d.passes = false
	return v, err
}

// made is the object of these names and values, or of those that are wanted.
func (d *jsonDecoder) made(names []string, items []any, wanted Fields) (any, error) {
	twice := func() error {
		return fmt.Errorf("a name is there twice in one object, which ends at byte %d", d.at)
	}
	if d.passes || wanted != nil {
		if d.hasTwice(names) {
			return nil, twice()
		}
		if d.passes {
			return nil, nil
		}
		out := make(map[string]any, min(len(names), len(wanted)))
		for i, name := range names {
			if _, ok := wanted[name]; ok {
				out[name] = items[i]
			}
		}
		return out, nil
	}
	out := make(map[string]any, len(names))
	for i, name := range names {
		if out[name] = items[i]; len(out) == i {
			return nil, twice()
		}
	}
	return out, nil
}

// hasTwice reports whether two names are the same. The few of most objects are quicker compared.
func (d *jsonDecoder) hasTwice(names []string) bool {
	const few = 12
	if len(names) <= few {
		for i, name := range names {
			if slices.Contains(names[:i], name) {
				return true
			}
		}
		return false
	}
	if d.seen == nil {
		d.seen = make(map[string]struct{}, len(names))
	}
	clear(d.seen)
	for _, name := range names {
		d.seen[name] = struct{}{}
	}
	return len(d.seen) < len(names)
}

// array reads a list.
func (d *jsonDecoder) array(depth int) (any, error) {
	first := len(d.items)
	d.at++
	for c := d.next(); c != ']' || len(d.items) > first; {
		v, err := d.value(depth, nil)
		if err != nil {
			return nil, err
		}
		d.items = append(d.items, v)
		if c = d.next(); c == ']' {
			break
		}
		if c != ',' {
			return nil, d.wrong()
		}
		d.at++
	}
	d.at++
	var out any
	if !d.passes {
		out = append(make([]any, 0, len(d.items)-first), d.items[first:]...)
	}
	d.items = d.items[:first]
	return out, nil
}

// text reads a string.
func (d *jsonDecoder) text() (string, error) {
	from := d.at
	plain, err := d.plain()
	if err != nil || !plain {
		return string(d.unquoted), err
	}
	return d.part(from+1, d.at-1), nil
}

// name reads the name of a value. In what is only checked it is compared with its neighbours and gone
// before the body is, so that it need not be a copy.
func (d *jsonDecoder) name() (string, error) {
	if !d.passes {
		return d.text()
	}
	from := d.at
	plain, err := d.plain()
	if err != nil || !plain {
		return string(d.unquoted), err
	}
	name := d.body[from+1 : d.at-1]
	return unsafe.String(unsafe.SliceData(name), len(name)), nil
}

// plain goes over a string and reports whether it is what stands there. If not, unquoted is what it
// is, or empty after an error.
func (d *jsonDecoder) plain() (bool, error) {
	from := d.at
	d.at++
	d.unquoted = d.unquoted[:0]
	escaped := false
	for {
		d.at = plainEnd(d.body, d.at)
		if d.at == len(d.body) {
			return false, errEarly
		}
		switch c := d.body[d.at]; {
		case c == '"':
			d.at++
			if !escaped {
				return true, nil
			}
			// It also looks at what is escaped, and at surrogates.
			var err error
			if d.unquoted, err = jsontext.AppendUnquote(d.unquoted, d.body[from:d.at]); err != nil {
				d.unquoted = d.unquoted[:0]
				return false, fmt.Errorf("syntax error in the text at byte %d", from)
			}
			return false, nil
		case c == '\\':
			escaped = true
			d.at = min(d.at+2, len(d.body))
		case c < ' ':
			return false, d.wrong()
		default:
			r, size := utf8.DecodeRune(d.body[d.at:])
			if r == utf8.RuneError && size == 1 {
				return false, d.wrong()
			}
			d.at += size
		}
	}
}

// plainEnd is where the first byte from at on is that is no plain letter of a string: a quotation
// mark, a backslash, a control character, or a part of a letter beyond ASCII. It looks at eight
// bytes at once.
func plainEnd(b []byte, at int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; at+8 <= len(b); at += 8 {
		x := binary.LittleEndian.Uint64(b[at:])
		quotes, slashes := x^ones*'"', x^ones*'\\'
		// Of each term the lowest high bit is exact: only borrowing from a byte below can set one too much.
		if found := ((quotes-ones)&^quotes | (slashes-ones)&^slashes | (x-ones*' ')&^x | x) & highs; found != 0 {
			return at + bits.TrailingZeros64(found)/8
		}
	}
	for ; at < len(b); at++ {
		if c := b[at]; c == '"' || c == '\\' || c < ' ' || c >= utf8.RuneSelf {
			return at
		}
	}
	return at
}

// part is the bytes of the body between two places as text.
func (d *jsonDecoder) part(from, to int) string {
	n := from / window
	if from == to || (to-1)/window != n {
		return string(d.body[from:to])
	}
	for len(d.pieces) <= n {
		d.pieces = append(d.pieces, "")
	}
	begin := n * window
	if d.pieces[n] == "" {
		d.pieces[n] = string(d.body[begin:min(begin+window, len(d.body))])
	}
	return d.pieces[n][from-begin : to-begin]
}

// number reads a number as JSON writes it.
func (d *jsonDecoder) number() (any, error) {
	from := d.at
	d.skip('-')
	if !d.skip('0') && !d.digits() {
		return nil, d.wrong()
	}
	if d.skip('.') && !d.digits() {
		return nil, d.wrong()
	}
	if d.skip('e') || d.skip('E') {
		if !d.skip('+') {
			d.skip('-')
		}
		if !d.digits() {
			return nil, d.wrong()
		}
	}
	if d.passes && inRange(d.body[from:d.at]) {
		return nil, nil
	}
	return number(d.part(from, d.at))
}

func (d *jsonDecoder) skip(c byte) bool {
	if d.at < len(d.body) && d.body[d.at] == c {
		d.at++
		return true
	}
	return false
}

// digits reads one or more.
func (d *jsonDecoder) digits() bool {
	from := d.at
	for d.at < len(d.body) && d.body[d.at] >= '0' && d.body[d.at] <= '9' {
		d.at++
	}
	return d.at > from
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
