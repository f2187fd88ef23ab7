package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/term"

	"github.com/tenterhook/tenterhook/internal/job"
)

// look is how a stream is written to: for people at a terminal, or plain.
type look struct {
	terminal bool
	color    bool
	width    int // of the terminal in cells; 0 is no bound
}

func newLook(w io.Writer, environ []string) look {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return look{}
	}
	l := look{terminal: true, color: true}
	for _, line := range environ {
		name, value, _ := strings.Cut(line, "=")
		if name == "NO_COLOR" && value != "" || name == "TERM" && value == "dumb" {
			l.color = false
		}
	}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil {
		l.width = width
	}
	return l
}

// style is how a piece of text looks at a terminal.
type style = lipgloss.Style

// The paints: the terminal's own sixteen colours, so that its theme decides how they look.
var (
	plain  = lipgloss.NewStyle()
	bold   = lipgloss.NewStyle().Bold(true)
	faint  = lipgloss.NewStyle().Faint(true)
	red    = lipgloss.NewStyle().Foreground(lipgloss.Red)
	green  = lipgloss.NewStyle().Foreground(lipgloss.Green)
	yellow = lipgloss.NewStyle().Foreground(lipgloss.Yellow)
	blue   = lipgloss.NewStyle().Foreground(lipgloss.Blue)
)

func (l look) paint(how style, s string) string {
	if !l.color || s == "" {
		return s
	}
	return how.Render(s)
}

// statePaint is the colour of a job's state.
func statePaint(s job.State) style {
	switch s {
	case job.Succeeded:
		return green
	case job.Failed, job.TimedOut, job.Interrupted:
		return red
	case job.Running:
		return blue
	case job.Queued, job.Scheduled:
		return yellow
	}
	return faint
}

// table is rows of cells under titles.
type table struct {
	columns []column
	rows    [][]cell
	least   []int // widths that columns have at least; nil for none
	bare    bool  // without titles
}

type column struct {
	title string
	right bool // numbers
	gives bool // is cut when the terminal is too narrow
}

// cell is text from outside as well as from us: table makes it printable.
type cell struct {
	text  string
	style style
}

func (t *table) row(cells ...cell) { t.rows = append(t.rows, cells) }

// more prints rows that came after those that were printed, under them as far as they are no wider.
func (t *table) more(w io.Writer, l look) {
	if len(t.rows) > 0 {
		t.write(w, l)
		t.rows, t.bare = nil, true
	}
}

// write prints the table with aligned columns, two spaces apart.
func (t *table) write(w io.Writer, l look) {
	const gap = 2
	widths, total := make([]int, len(t.columns)), -gap
	for i, c := range t.columns {
		widths[i] = ansi.StringWidth(c.title)
		if t.least != nil {
			widths[i] = max(widths[i], t.least[i])
		}
		for _, row := range t.rows {
			row[i].text = printable(row[i].text)
			widths[i] = max(widths[i], ansi.StringWidth(row[i].text))
		}
		total += widths[i] + gap
	}
	for i, c := range t.columns {
		if over := total - l.width; c.gives && l.width > 0 && over > 0 {
			narrow := max(widths[i]-over, ansi.StringWidth(c.title), 8)
			total -= widths[i] - narrow
			widths[i] = narrow
		}
	}
	t.least = widths
	rows := t.rows
	if !t.bare {
		head := make([]cell, len(t.columns))
		for i, c := range t.columns {
			head[i] = cell{c.title, bold}
		}
		rows = append([][]cell{head}, rows...)
	}
	for _, row := range rows {
		var line strings.Builder
		for i, c := range row {
			text := ansi.Truncate(c.text, widths[i], "…")
			pad := strings.Repeat(" ", widths[i]-ansi.StringWidth(text))
			text = l.paint(c.style, text)
			if t.columns[i].right {
				text = pad + text
			} else {
				text += pad
			}
			line.WriteString(text)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", gap))
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

// facts prints names and values, one a line, and leaves out those without a value.
func facts(w io.Writer, l look, pairs ...[2]string) {
	width := 0
	for _, p := range pairs {
		if p[1] != "" {
			width = max(width, len(p[0]))
		}
	}
	for _, p := range pairs {
		if p[1] != "" {
			name := p[0] + strings.Repeat(" ", width-len(p[0]))
			fmt.Fprintf(w, "%s  %s\n", l.paint(faint, name), p[1])
		}
	}
}

// writeJSON prints v as one indented document.
func writeJSON(w io.Writer, v any) error {
	b, err := json.Marshal(v, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	_, err = fmt.Fprintf(w, "%s\n", printableJSON(string(b)))
	return err
}

// age is how long ago t was, in one unit.
func age(now, t time.Time) string {
	d := now.Sub(t)
	switch {
	case t.IsZero():
		return ""
	case d < 0:
		return "0s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// took is the time from start to end with two or three digits; "" before there is a start.
func took(start, end time.Time) string {
	d := end.Sub(start)
	switch {
	case start.IsZero() || end.IsZero():
		return ""
	case d < 0:
		return "0ms"
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

// size is a number of bytes for people.
func size(n int) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// count is n things.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// localTime is an instant in the local zone.
func localTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05.000 MST")
}
