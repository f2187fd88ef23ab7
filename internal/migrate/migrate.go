// Package migrate holds what the importers of other programs' configurations share: a hooks.yaml
// that is built key by key and written as a person would write it, and the notes about what could
// not be carried over. Each program has a package of its own below; none of them starts anything.
package migrate

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/tenterhook/tenterhook/internal/config"
)

// Document is a hooks.yaml to be.
type Document struct {
	Head   []string // comment lines at the top, without #
	Server []Pair   // of server:
	Hooks  []Hook
}

// Hook is one hook of a Document.
type Hook struct {
	Name  string
	Notes []string // comments above it, each a sentence
	Keys  []Pair   // in the order they are written, name first
	// Refused says why the hook is written as a comment: what it did cannot be said. Original are
	// the lines it had, without those that hold secrets.
	Refused  string
	Original []string
}

// Pair is a key with its value, and a comment about them.
type Pair struct {
	Key     string
	Value   Value
	Comment string
}

// Value is something that a key can have. It writes itself in one line, or as a block below its
// key.
type Value interface {
	flow() string
	// block are the lines below the key, without indentation; nil when there is only the flow form.
	block() []string
}

// Text is a scalar, quoted as it must be.
type Text string

// Expression is the text of an expression, which is folded at its && and || when it is long.
type Expression struct {
	Parts []string // with their operators in front, but for the first
}

// Word is YAML as it is: a number, true, a duration.
type Word string

// List is a list.
type List []Value

// Map is a mapping.
type Map []Pair

// Texts is a list of scalars; one alone stands without brackets.
func Texts(words ...string) Value {
	if len(words) == 1 {
		return Text(words[0])
	}
	var out List
	for _, w := range words {
		out = append(out, Text(w))
	}
	return out
}

// Literal is a text in which $ is written so that nothing is expanded.
func Literal(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		out.WriteByte(s[i])
		if s[i] == '$' && i+1 < len(s) && (s[i+1] == '$' || s[i+1] == '{' || s[i+1] == before[0]) {
			out.WriteByte('$')
		}
	}
	return out.String()
}

// InTemplate is Literal for values that may hold ${{ }}: where the text itself has a ${{, the
// dollar sign is an expression.
func InTemplate(s string) string {
	s = strings.ReplaceAll(s, "${{", before)
	return strings.ReplaceAll(Literal(s), before, `${{ "$" }}{{`)
}

// before stands where a ${{ will be.
const before = "\x00"

// plain is what YAML reads as the text that it is, in a block as well as between brackets.
var (
	plain     = regexp.MustCompile(`^[A-Za-z./_~][A-Za-z0-9 ./_~+=@$%^*()!&|<>;-]*$`)
	plainFlow = regexp.MustCompile(`^([A-Za-z./_]|[0-9.]+/)[A-Za-z0-9 ./_~+=@^*()-]*$`)
	oddWord   = regexp.MustCompile(`(?i)^(~|y|n|yes|no|on|off|true|false|null|\.inf|\.nan|[-+]?[0-9._]+(e[-+]?[0-9]+)?|0x[0-9a-f]+)$`)
	blockable = regexp.MustCompile("^[A-Za-z!(`][^\x00-\x1f\x7f]*$")
)

func quote(s string, isPlain *regexp.Regexp) string {
	if isPlain.MatchString(s) && !oddWord.MatchString(s) && !strings.HasSuffix(s, " ") {
		return s
	}
	return quoted(s)
}

// quoted is a scalar between quotes: single ones when nothing has to be escaped but them.
func quoted(s string) string {
	var out strings.Builder
	simple := true
	out.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			out.WriteByte('\\')
			out.WriteRune(r)
		case r == '\n':
			simple = false
			out.WriteString(`\n`)
		case r == '\t':
			simple = false
			out.WriteString(`\t`)
		case r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff || r >= 0xfff0 && r <= 0xffff:
			simple = false
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			out.WriteRune(r)
		}
	}
	out.WriteByte('"')
	if simple && strings.ContainsAny(s, `"\`) {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	return out.String()
}

func (t Text) flow() string    { return quote(string(t), plainFlow) }
func (t Text) block() []string { return nil }
func (w Word) flow() string    { return string(w) }
func (w Word) block() []string { return nil }

func (e Expression) flow() string {
	if s := e.alone(); !strings.ContainsAny(s, ",[]{}") {
		return s
	}
	return quoted(strings.Join(e.Parts, " "))
}

// alone is the expression where no brackets are around it.
func (e Expression) alone() string {
	s := strings.Join(e.Parts, " ")
	if blockable.MatchString(s) && !oddWord.MatchString(s) && !strings.Contains(s, ": ") && !strings.Contains(s, " #") && !strings.HasSuffix(s, ":") && !strings.HasPrefix(s, "`") && s[0] != '!' {
		return s
	}
	return quoted(s)
}

func (e Expression) block() []string {
	if len(e.Parts) < 2 || strings.Contains(strings.Join(e.Parts, ""), "\n") {
		return nil
	}
	return append([]string{">-"}, e.Parts...)
}

func (l List) flow() string {
	var items []string
	for _, v := range l {
		items = append(items, v.flow())
	}
	return "[" + strings.Join(items, ", ") + "]"
}

func (l List) block() []string {
	if len(l) == 0 {
		return nil
	}
	out := []string{""}
	for _, v := range l {
		lines := under("", v)
		out = append(out, "- "+strings.TrimPrefix(lines[0], " "))
		for _, line := range lines[1:] {
			out = append(out, "  "+line)
		}
	}
	return out
}

func (m Map) flow() string {
	var items []string
	for _, p := range m {
		items = append(items, quote(p.Key, plainFlow)+": "+p.Value.flow())
	}
	return "{" + strings.Join(items, ", ") + "}"
}

func (m Map) block() []string {
	if len(m) == 0 {
		return nil
	}
	out := []string{""}
	for _, p := range m {
		out = append(out, p.lines()...)
	}
	return out
}

// width is how long a line may become before its value is written below it.
const width = 110

// lines are the pair, without indentation.
func (p Pair) lines() []string {
	lines := under(quote(p.Key, plainFlow)+":", p.Value)
	if p.Comment == "" {
		return lines
	}
	if with := lines[0] + "  # " + p.Comment; len(with) <= width+10 && len(lines) == 1 {
		return []string{with}
	}
	return append(comment(p.Comment), lines...)
}

// under is a value after its key: on the same line, or below it when that is too long.
func under(key string, v Value) []string {
	flow := v.flow()
	switch v := v.(type) { // with no brackets around it
	case Text:
		flow = quote(string(v), plain)
	case Expression:
		flow = v.alone()
	}
	below := v.block()
	if len(key)+1+len(flow) <= width && !commented(v) || below == nil {
		return []string{key + " " + flow}
	}
	first := key
	if below[0] != "" {
		first += " " + below[0]
	}
	out := []string{first}
	for _, line := range below[1:] {
		out = append(out, "  "+line)
	}
	if key == "" { // an element of a list: its first line stands behind the dash
		out = out[1:]
		for i := range out {
			out[i] = strings.TrimPrefix(out[i], "  ")
		}
	}
	return out
}

func commented(v Value) bool {
	m, ok := v.(Map)
	for _, p := range m {
		if ok && (p.Comment != "" || commented(p.Value)) {
			return true
		}
	}
	return false
}

// comment is a sentence as comment lines.
func comment(s string) []string {
	var out []string
	line := "#"
	for _, word := range strings.Fields(s) {
		if len(line)+1+len(word) > width && line != "#" {
			out, line = append(out, line), "#"
		}
		line += " " + word
	}
	return append(out, line)
}

// Bytes is the document as YAML.
func (d *Document) Bytes() []byte {
	var lines []string
	for _, head := range d.Head {
		lines = append(lines, comment(head)...)
	}
	if len(lines) > 0 {
		lines = append(lines, "")
	}
	if len(d.Server) > 0 {
		lines = append(lines, Pair{Key: "server", Value: Map(d.Server)}.lines()...)
		lines = append(lines, "")
	}
	lines = append(lines, hooksKey(d.Hooks))
	for i, h := range d.Hooks {
		if i > 0 {
			lines = append(lines, "")
		}
		for _, line := range h.lines() {
			if line != "" {
				line = "  " + line
			}
			lines = append(lines, line)
		}
	}
	return []byte(strings.Join(lines, "\n") + "\n")
}

// hooksKey is hooks: with the empty list when nothing stands below it.
func hooksKey(hooks []Hook) string {
	for _, h := range hooks {
		if h.Refused == "" {
			return "hooks:"
		}
	}
	return "hooks: []"
}

func (h Hook) lines() []string {
	var out []string
	if h.Refused != "" {
		out = append(out, comment(fmt.Sprintf("%q is not carried over: %s", h.Name, h.Refused))...)
		for _, line := range h.Original {
			out = append(out, strings.TrimRight("#   "+line, " "))
		}
		return out
	}
	for _, note := range h.Notes {
		out = append(out, comment(note)...)
	}
	first := true
	for _, p := range h.Keys {
		for _, line := range p.lines() {
			if first {
				out, first = append(out, "- "+line), false
				continue
			}
			out = append(out, "  "+line)
		}
	}
	return out
}

// Notes collects what there is to say about a configuration that is carried over.
type Notes struct {
	File string
	List []config.Diagnostic
}

// Warn says what is different now.
func (n *Notes) Warn(line, col int, format string, a ...any) *config.Diagnostic {
	return n.add(config.Warning, line, col, format, a)
}

// Refuse says what keeps the configuration from being read.
func (n *Notes) Refuse(line, col int, format string, a ...any) *config.Diagnostic {
	return n.add(config.Problem, line, col, format, a)
}

func (n *Notes) add(severity config.Severity, line, col int, format string, a []any) *config.Diagnostic {
	n.List = append(n.List, config.Diagnostic{
		Severity: severity, Pos: config.Pos{File: n.File, Line: line, Col: col}, Message: fmt.Sprintf(format, a...),
	})
	return &n.List[len(n.List)-1]
}

// Failed reports whether something keeps the configuration from being read.
func (n *Notes) Failed() bool {
	for _, d := range n.List {
		if d.Severity == config.Problem {
			return true
		}
	}
	return false
}
