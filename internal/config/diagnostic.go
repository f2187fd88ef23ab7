package config

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Pos is a place in a configuration. Line and Col count from 1, Col in characters; a place
// without a line (an environment variable, a missing file) has Line 0.
type Pos struct {
	File      string
	Line, Col int
}

// String is file:line:col, or the file alone.
func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// Placed is anything that has a place and a width in characters.
type Placed interface{ Place() (Pos, int) }

// Place implements Placed.
func (p Pos) Place() (Pos, int) { return p, 1 }

// Severity tells a problem, which keeps a configuration from being used, from a warning.
type Severity int

// The severities.
const (
	Problem Severity = iota
	Warning
)

// String is the word people and programs are shown.
func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "problem"
}

// Diagnostic is one thing to say about a configuration.
type Diagnostic struct {
	Severity Severity
	Pos      Pos
	Width    int // characters under the caret
	Message  string
	Hints    []string
	Source   string // the line, with secrets masked; "" without a line
}

// Hint adds what would be right, and returns the diagnostic.
func (d *Diagnostic) Hint(format string, a ...any) *Diagnostic {
	d.Hints = append(d.Hints, fmt.Sprintf(format, a...))
	return d
}

// MarshalJSON writes {severity, file, line, column, message, hints, source}.
func (d Diagnostic) MarshalJSON() ([]byte, error) {
	hints := d.Hints
	if hints == nil {
		hints = []string{}
	}
	return json.Marshal(struct {
		Severity string   `json:"severity"`
		File     string   `json:"file"`
		Line     int      `json:"line"`
		Column   int      `json:"column"`
		Message  string   `json:"message"`
		Hints    []string `json:"hints"`
		Source   string   `json:"source"`
	}{d.Severity.String(), d.Pos.File, d.Pos.Line, d.Pos.Col, d.Message, hints, d.Source})
}

// Diagnostics collects everything there is to say about a configuration. Its zero value is
// ready; it is an error when it holds a problem.
type Diagnostics struct {
	list    []*Diagnostic
	quiet   bool             // nothing is listed, only counted
	counts  [Warning + 1]int // of all that were added, also those that are not listed
	sources map[string]*source
	mask    func(string) string // takes secrets out of what is shown; nil: there are none
	name    string              // of the main file, for the closing line
	unread  map[Pos]bool        // places of values that could not be read
}

// maxDiagnostics bounds how much of each severity is said of one configuration.
const maxDiagnostics = 200

// Errorf adds a problem.
func (d *Diagnostics) Errorf(at Placed, format string, a ...any) *Diagnostic {
	return d.add(Problem, at, fmt.Sprintf(format, a...))
}

// Warnf adds a warning.
func (d *Diagnostics) Warnf(at Placed, format string, a ...any) *Diagnostic {
	return d.add(Warning, at, fmt.Sprintf(format, a...))
}

// mistyped adds a problem about a value that is not of the kind that is wanted. Whatever is
// said of its place later is said of the zero value that stands in for it, and is dropped.
func (d *Diagnostics) mistyped(n Node, format string, a ...any) *Diagnostic {
	one := d.Errorf(n, format, a...)
	if d.unread == nil {
		d.unread = map[Pos]bool{}
	}
	d.unread[one.Pos] = true
	return one
}

func (d *Diagnostics) add(s Severity, at Placed, message string) *Diagnostic {
	one := &Diagnostic{Severity: s, Message: message}
	if d.counts[s]++; d.quiet || d.counts[s] > maxDiagnostics {
		return one
	}
	pos, width := at.Place()
	one.Pos, one.Width = pos, max(width, 1)
	if d.unread[pos] {
		return one
	}
	d.list = append(d.list, one)
	return one
}

// Located is an error that knows where in a scalar's text it is: an offset and a width in
// bytes, and advice.
type Located interface {
	error
	Where() (offset, width int)
	Advice() []string
}

// Within adds err as a problem inside the scalar t: at its own place when it is Located, else
// at the scalar's start.
func (d *Diagnostics) Within(t Text, err error) *Diagnostic {
	located, ok := err.(Located)
	if !ok {
		return d.Errorf(t, "%s", err.Error())
	}
	offset, width := located.Where()
	one := d.Errorf(t.Span(offset, offset+width), "%s", located.Error())
	one.Hints = append(one.Hints, located.Advice()...)
	return one
}

// Err returns the diagnostics as an error, or nil when there is no problem among them.
func (d *Diagnostics) Err() error {
	if d == nil {
		return nil
	}
	for _, one := range d.list {
		if one.Severity == Problem {
			return d
		}
	}
	return nil
}

// Error is the first problem and how many there are.
func (d *Diagnostics) Error() string {
	all := d.All()
	problems, _ := count(all)
	for _, one := range all {
		if one.Severity == Problem && problems == 1 {
			return fmt.Sprintf("%s: %s", one.Pos, one.Message)
		} else if one.Severity == Problem {
			return fmt.Sprintf("%s: %s (and %d more)", one.Pos, one.Message, problems-1)
		}
	}
	return "no problems"
}

func count(all []Diagnostic) (problems, warnings int) {
	for _, one := range all {
		if one.Severity == Problem {
			problems++
		} else {
			warnings++
		}
	}
	return problems, warnings
}

// All returns the diagnostics by place, each once, with their source lines. Secrets are masked by
// what is known of them now, which is more than when the diagnostic was added.
func (d *Diagnostics) All() []Diagnostic {
	if d == nil {
		return nil
	}
	out := make([]Diagnostic, 0, len(d.list))
	seen := map[remark]bool{}
	lines := map[Pos]string{} // as they are shown; many may be said of one long line
	for _, one := range d.list {
		shown := *one
		if src := d.sources[one.Pos.File]; src != nil {
			at := Pos{File: one.Pos.File, Line: one.Pos.Line}
			if _, known := lines[at]; !known {
				lines[at] = src.line(one.Pos.Line)
			}
			shown.Source = lines[at]
		}
		if d.mask != nil {
			shown.Message = d.mask(one.Message)
			shown.Hints = nil
			for _, hint := range one.Hints {
				shown.Hints = append(shown.Hints, d.mask(hint))
			}
		}
		if key := (remark{one.Pos, one.Message}); !seen[key] {
			seen[key] = true
			out = append(out, shown)
		}
	}
	slices.SortStableFunc(out, func(a, b Diagnostic) int {
		return cmp.Or(cmp.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col))
	})
	return out
}

// remark is what makes two diagnostics the same.
type remark struct {
	pos     Pos
	message string
}

// Print writes every diagnostic with its source line and a caret, and a closing count. Nothing
// is written when there is nothing to say.
func (d *Diagnostics) Print(w io.Writer, color bool) {
	var b strings.Builder
	all := d.All()
	for _, one := range all {
		one.print(&b, color)
	}
	if problems, warnings := count(all); problems+warnings > 0 {
		fmt.Fprintf(&b, "%s: %s\n", d.name, strings.Join(slices.DeleteFunc([]string{plural(problems, "problem"), plural(warnings, "warning")}, func(s string) bool { return s == "" }), ", "))
	}
	_, _ = io.WriteString(w, b.String()) // whoever prints has nobody to tell
}

func plural(n int, word string) string {
	switch n {
	case 0:
		return ""
	case 1:
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

func (d Diagnostic) print(b *strings.Builder, color bool) {
	paint := func(code, s string) string {
		if !color {
			return s
		}
		return "\x1b[" + code + "m" + s + "\x1b[0m"
	}
	message := d.Message
	if d.Severity == Warning {
		message = "warning: " + message
	}
	shade := "1;31"
	if d.Severity == Warning {
		shade = "1;33"
	}
	fmt.Fprintf(b, "%s: %s\n", paint("1", d.Pos.String()), paint(shade, printable(message)))
	if d.Source != "" {
		text, lead, width := clip(d.Source, d.Pos.Col, d.Width)
		number := fmt.Sprint(d.Pos.Line)
		gutter := strings.Repeat(" ", len(number))
		fmt.Fprintf(b, "%s |\n%s | %s\n%s | %s%s\n", gutter, number, text, gutter, lead, paint(shade, "^"+strings.Repeat("~", width-1)))
	}
	for _, hint := range d.Hints {
		fmt.Fprintf(b, "  %s %s\n", paint("36", "hint:"), printable(hint))
	}
}

// clip returns the part of a source line around the caret, the blanks that put the caret under
// its place (tabs stay tabs), and the caret's width within the part.
func clip(line string, col, width int) (text, lead string, under int) {
	const most = 120
	runes := []rune(line)
	start := 0
	if len(runes) > most && col > most/2 {
		start = min(col-most/2, len(runes)-most)
	}
	end := min(len(runes), start+most)
	var b strings.Builder
	for i := start; i < min(col-1, end); i++ {
		switch {
		case runes[i] == '\t':
			b.WriteByte('\t')
		case wide(runes[i]):
			b.WriteString("  ")
		default:
			b.WriteByte(' ')
		}
	}
	return printable(string(runes[start:end])), b.String(), max(1, min(width, end-col+1))
}

// wide reports whether a terminal shows the character in two cells.
func wide(r rune) bool {
	return r >= 0x1100 && r <= 0x115f || r >= 0x2e80 && r <= 0xa4cf || r >= 0xac00 && r <= 0xd7a3 || r >= 0xf900 && r <= 0xfaff || r >= 0xfe30 && r <= 0xfe6f || r >= 0xff00 && r <= 0xff60 || r >= 0x1f300 && r <= 0x1faff
}

// printable replaces what would act on a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && r < ' ' || r == 0x7f || r == utf8.RuneError || r >= 0x80 && r < 0xa0 {
			return '·'
		}
		return r
	}, s)
}
