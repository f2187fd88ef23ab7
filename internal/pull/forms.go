package pull

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Forms are the bytes that a delivery may have been sent as, the likeliest first. Of one whose body
// is as it was sent there is one. Of one that a server has parsed and written again as JSON there are
// the ways in which senders write JSON: the values, their order and their digits are the same, and
// the blanks and escapes are not known. A signature tells which it was; where none of them
// verifies, the delivery cannot be verified.
//
// What JavaScript's numbers cannot hold, such as 1.0 or an integer of 20 digits, is lost on the way,
// and members that have whole numbers as their names have changed places. Such a delivery is refused.
func (d *Delivered) Forms(yield func(body []byte) bool) {
	if form, ok := d.asForm(); ok {
		yield(form)
		return
	}
	if !yield(d.Body) || !d.Rewritten {
		return
	}
	var compact bytes.Buffer
	if json.Compact(&compact, d.Body) != nil {
		return
	}
	indented := &bytes.Buffer{}
	if json.Indent(indented, d.Body, "", "  ") != nil { // Stripe, Gitea
		return
	}
	spaced := spaced(compact.Bytes())                                     // Python's json.dumps
	line := func(b []byte) []byte { return append(bytes.Clone(b), '\n') } // Go's json.Encoder
	for _, layout := range [][]byte{compact.Bytes(), indented.Bytes(), spaced, line(compact.Bytes()), line(indented.Bytes())} {
		for _, escape := range escapes {
			if body := escape(layout); !bytes.Equal(body, d.Body) && !yield(body) {
				return
			}
		}
	}
}

// escapes are the ways in which a text is written.
var escapes = []func([]byte) []byte{
	func(b []byte) []byte { return b },
	func(b []byte) []byte { // Go, Rails
		return escaped(b, func(r rune) bool { return r == '<' || r == '>' || r == '&' || r == '\u2028' || r == '\u2029' })
	},
	func(b []byte) []byte { return escaped(b, func(r rune) bool { return r > 0x7e }) }, // Python
	func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("/"), []byte(`\/`)) },    // PHP, with what follows
	func(b []byte) []byte {
		return bytes.ReplaceAll(escaped(b, func(r rune) bool { return r > 0x7e }), []byte("/"), []byte(`\/`))
	},
}

// escaped writes some characters as \u and four digits. Outside of texts JSON has none of them.
func escaped(b []byte, which func(rune) bool) []byte {
	var out bytes.Buffer
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case !which(r) || r == utf8.RuneError && n == 1:
			out.Write(b[:n])
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&out, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
		b = b[n:]
	}
	return out.Bytes()
}

// spaced has a blank after each comma and colon between values.
func spaced(compact []byte) []byte {
	out := make([]byte, 0, len(compact)+len(compact)/8)
	inText, after := false, false
	for _, c := range compact {
		out = append(out, c)
		switch {
		case after:
			after = false
		case inText && c == '\\':
			after = true
		case c == '"':
			inText = !inText
		case !inText && (c == ',' || c == ':'):
			out = append(out, ' ')
		}
	}
	return out
}

// asForm is the body of a form that a server has parsed. Of several fields the order is lost: a
// signature of them will hardly verify.
func (d *Delivered) asForm() ([]byte, bool) {
	if !d.Rewritten || !strings.HasPrefix(d.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return nil, false
	}
	return []byte(query(d.Body)), true
}
