package config

import (
	"encoding/json"
	"log/slog"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Text is a scalar that remembers its place. Value has the references expanded.
type Text struct {
	Value   string
	node    Node
	parts   []part   // how Value was made of the scalar's text; nil when it is that text
	exposed []string // references to files that others can read
}

// part is a stretch of Value: a copy of the scalar's text from raw on, or what a reference at
// raw became.
type part struct {
	from, to int // in Value
	raw      int // in the scalar's text
	copied   bool
}

// Literal is a scalar in which nothing is expanded, such as the text of a shell command.
type Literal struct{ Text }

// Pos is where the scalar begins.
func (t Text) Pos() Pos { return t.node.Pos() }

// Place implements Placed.
func (t Text) Place() (Pos, int) { return t.node.Place() }

// String is the value.
func (t Text) String() string { return t.Value }

// At is the place in the file of a byte offset of Value. What a reference became is at the
// reference.
func (t Text) At(offset int) Pos {
	raw := offset
	for _, p := range t.parts {
		if offset >= p.from && (offset < p.to || p.to == len(t.Value)) {
			raw = p.raw
			if p.copied {
				raw += offset - p.from
			}
			break
		}
	}
	return t.node.at(raw)
}

// Written reports whether the bytes [from, to) of Value stand in the file as they are, one after
// the other: not what a reference came to, and not a dollar sign that $$ stands for. What is
// behind the end of Value counts as written.
func (t Text) Written(from, to int) bool {
	if t.parts == nil {
		return true
	}
	for _, p := range t.parts {
		if from >= p.from && from < p.to {
			return p.copied && to <= p.to
		}
	}
	return from >= len(t.Value)
}

// Span is the place of the bytes [from, to) of Value.
func (t Text) Span(from, to int) Placed {
	return span{t, max(0, min(from, len(t.Value))), max(0, min(to, len(t.Value)))}
}

// span is looked up only when somebody wants to know: it takes a walk through the scalar.
type span struct {
	text     Text
	from, to int
}

func (s span) Place() (Pos, int) {
	width := 1
	start, end := s.text.At(s.from), s.text.At(max(s.from, s.to-1))
	if s.to > s.from && end.Line == start.Line && end.Col >= start.Col {
		width = end.Col - start.Col + 1
	}
	return start, width
}

// at is the place of a byte offset of the scalar's own value, found by walking value and source
// side by side.
func (n Node) at(offset int) Pos {
	pos := n.Pos()
	src := n.source()
	if n.y == nil || src == nil || src.lines == nil || n.y.Kind != yaml.ScalarNode || offset <= 0 && n.y.Style&(yaml.LiteralStyle|yaml.FoldedStyle|yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0 {
		return pos
	}
	w := &walk{lines: src.lines, line: n.y.Line - 1, col: n.y.Column - 1, style: n.y.Style}
	w.begin(n.y.Value)
	for i, r := range n.y.Value {
		w.settle(r)
		if i >= offset {
			break
		}
		w.step(r)
	}
	if w.line >= len(w.lines) { // behind the end
		return pos
	}
	return Pos{File: pos.File, Line: w.line + 1, Col: w.col + 1}
}

// walk is a place in the source of a scalar that moves along with its value.
type walk struct {
	lines  []string
	line   int // from 0
	col    int // from 0, in characters
	style  yaml.Style
	indent int // of a block scalar's content
	runes  []rune
	filled int // of runes: what follows is blank
	at     int // the line that runes are, from 1
}

func (w *walk) block() bool { return w.style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 }

// begin moves to the first character of the content.
func (w *walk) begin(value string) {
	switch {
	case w.style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		w.col++
	case w.block():
		w.line++
		w.indent = w.blockIndent(value)
		w.col = w.indent
	}
}

// blockIndent is how much of each line's indentation belongs to the block: what the first line
// that is not blank has in the source and not in the value.
func (w *walk) blockIndent(value string) int {
	for line := range strings.Lines(value) {
		content := strings.TrimLeft(line, " ")
		if content == "\n" || content == "" {
			continue
		}
		for i := w.line; i < len(w.lines); i++ {
			if text := strings.TrimLeft(w.lines[i], " "); text != "" {
				return max(0, len(w.lines[i])-len(text)-(len(line)-len(content)))
			}
		}
	}
	return 0
}

// rest is what follows on the line.
func (w *walk) rest() []rune {
	if w.line >= len(w.lines) {
		return nil
	}
	if w.at != w.line+1 {
		w.at, w.runes = w.line+1, []rune(w.lines[w.line])
		for w.filled = len(w.runes); w.filled > 0 && strings.ContainsRune(" \t\r", w.runes[w.filled-1]); {
			w.filled--
		}
	}
	return w.runes[min(w.col, len(w.runes)):]
}

// blank reports whether nothing but blanks follows on the line.
func (w *walk) blank() bool { return w.col >= w.filled }

// settle moves over source that makes no character of the value, so that the place is that of
// the value's next character r.
func (w *walk) settle(r rune) {
	for w.line < len(w.lines) {
		rest := w.rest()
		switch {
		case len(rest) == 0 && (w.block() && r == '\n' || w.style&yaml.FoldedStyle != 0 && r == ' '):
			return // the line's end is the character
		case len(rest) == 0 && !w.block() && (r == ' ' || r == '\n'):
			return
		case len(rest) == 0:
			w.next()
		case !w.block() && r != ' ' && r != '\t' && w.blank():
			w.next()
		case w.style&yaml.DoubleQuotedStyle != 0 && rest[0] == '\\' && len(rest) == 1:
			w.next()
		default:
			return
		}
	}
}

// next moves to the content of the next line.
func (w *walk) next() {
	w.line++
	w.col = w.indent
	if !w.block() && w.line < len(w.lines) {
		w.col = len(w.lines[w.line]) - len(strings.TrimLeft(w.lines[w.line], " \t"))
	}
}

// step moves over the source of the value's character r.
func (w *walk) step(r rune) {
	rest := w.rest()
	switch {
	case len(rest) == 0:
		w.next()
	case !w.block() && (r == ' ' || r == '\n') && w.blank():
		w.next()
	case w.style&yaml.SingleQuotedStyle != 0 && rest[0] == '\'':
		w.col += 2
	case w.style&yaml.DoubleQuotedStyle != 0 && rest[0] == '\\' && len(rest) > 1:
		w.col += escapeLength(rest[1])
	default:
		w.col++
	}
}

func escapeLength(kind rune) int {
	switch kind {
	case 'x':
		return 4
	case 'u':
		return 6
	case 'U':
		return 10
	}
	return 2
}

// redacted stands for a secret wherever something is written.
const redacted = "[redacted]"

// Secret is a scalar whose value nothing shows: every way of formatting it says [redacted].
type Secret struct {
	value   *string // behind a pointer: fmt prints unexported fields without asking their methods
	literal bool
	place   Node
}

// Secret is the text as a value that nothing shows.
func (t Text) Secret() Secret {
	return Secret{value: &t.Value, literal: len(t.parts) == 0, place: t.node}
}

// Reveal is the value. The slice is the caller's.
func (s Secret) Reveal() []byte {
	if s.value == nil {
		return nil
	}
	return []byte(*s.value)
}

// Place implements Placed.
func (s Secret) Place() (Pos, int) { return s.place.Place() }

// String implements fmt.Stringer; it covers every verb but %#v, which GoString covers.
func (s Secret) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return redacted }

// MarshalJSON implements json.Marshaler.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }

// MarshalText implements encoding.TextMarshaler.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalYAML implements yaml.Marshaler.
func (s Secret) MarshalYAML() (any, error) { return redacted, nil }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// weakSecrets are values that stand where a secret should.
var weakSecrets = map[string]bool{
	"changeme": true, "change-me": true, "change_me": true, "secret": true, "***": true, "password": true, "passw0rd": true,
	"test": true, "your-secret-here": true, "your_secret_here": true, "your-secret": true, "mysecret": true, "my-secret": true,
	"xxx": true, "todo": true, "example": true, "placeholder": true, "hunter2": true,
}

func (s *Secret) decode(n Node, d *Diagnostics) bool {
	before := problems(d)
	t := n.Text(d)
	*s = Secret{value: &t.Value, literal: len(t.parts) == 0, place: n}
	if problems(d) > before {
		return false
	}
	n.l.hide(t.Value)
	switch {
	case t.Value == "":
		d.Errorf(n, "the secret is empty").Hint("openssl rand -hex 32 makes a good one")
		return false
	case weakSecrets[strings.ToLower(t.Value)]:
		d.Warnf(n, "the secret is a placeholder that anyone can guess").Hint("openssl rand -hex 32 makes a good one")
	case len(t.Value) < 16:
		d.Warnf(n, "the secret is shorter than 16 bytes").Hint("openssl rand -hex 32 makes a good one")
	}
	for _, reference := range t.exposed {
		d.Warnf(n, "others on this machine can read the file of %s", reference).Hint("chmod 600 the file")
	}
	if src := n.source(); s.literal && src != nil && src.readable {
		d.Warnf(n, "the file holds a secret and others on this machine can read it").Hint("chmod 600 %s, or use ${NAME} or ${file:…}", src.name)
	}
	return true
}

// runeCount is the width of a value on one line.
func runeCount(s string) int {
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		s = s[:i]
	}
	return utf8.RuneCountInString(s)
}
