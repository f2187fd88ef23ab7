package main

import (
	"fmt"
	"html"
	"regexp"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// line is one line of the terminal.
type line struct {
	runs []run
}

// run is text of one look.
type run struct {
	text        string
	color       string // red, green, yellow, blue, magenta, cyan; "" is the terminal's own
	bold, faint bool
}

var (
	sgr    = regexp.MustCompile("\x1b\\[([0-9;]*)m")
	others = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-ln-z]")
	colors = map[string]string{"31": "red", "32": "green", "33": "yellow", "34": "blue", "35": "magenta", "36": "cyan"}
)

// read takes what a terminal was sent apart.
func read(seen string) (lines []line) {
	seen = strings.TrimRight(strings.ReplaceAll(seen, "\r\n", "\n"), "\n")
	now := run{}
	for text := range strings.SplitSeq(seen, "\n") {
		if i := strings.LastIndexByte(text, '\r'); i >= 0 {
			text = text[i+1:] // a progress bar was written over
		}
		text = others.ReplaceAllString(text, "")
		var l line
		for text != "" {
			at := sgr.FindStringSubmatchIndex(text)
			if at == nil {
				at = []int{len(text), len(text), len(text), len(text)}
			}
			if at[0] > 0 {
				piece := now
				piece.text = text[:at[0]]
				l.runs = append(l.runs, piece)
			}
			if at[1] > at[0] {
				now = now.with(text[at[2]:at[3]])
			}
			text = text[at[1]:]
		}
		lines = append(lines, wrapped(l)...)
	}
	return lines
}

// wrapped goes on in the next line where the terminal ends.
func wrapped(l line) []line {
	out, column := []line{{}}, 0
	for _, r := range l.runs {
		for rest := r.text; rest != ""; {
			piece := ansi.Truncate(rest, columns-column, "")
			if piece == "" {
				out, column = append(out, line{}), 0
				continue
			}
			part := r
			part.text, rest = piece, rest[len(piece):]
			out[len(out)-1].runs = append(out[len(out)-1].runs, part)
			column += ansi.StringWidth(piece)
		}
	}
	return out
}

// with is the look after a sequence.
func (r run) with(codes string) run {
	for code := range strings.SplitSeq(codes, ";") {
		switch code {
		case "", "0":
			r = run{}
		case "1":
			r.bold = true
		case "2":
			r.faint = true
		default:
			if color, ok := colors[code]; ok {
				r.color = color
			}
		}
	}
	return r
}

// The measures of the picture, in pixels.
const (
	cell, leading = 8.4, 20.0
	margin, bar   = 20.0, 38.0
)

const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]g %[2]g" width="%[1]g" height="%[2]g" role="img" aria-label="A terminal: tenterhook jobs and explain">
<!-- Drawn by go run ./docs/images from the program's own output. -->
<style>
text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace; fill: #d6deeb; white-space: pre }
.bold { font-weight: 700; fill: #ffffff } .faint { fill: #7f8ea3 }
.red { fill: #ff6b6b } .green { fill: #5bd77a } .yellow { fill: #f2c94c } .blue { fill: #6cb6ff } .magenta { fill: #d58fe6 } .cyan { fill: #5ad1d8 }
</style>
<rect width="%[1]g" height="%[2]g" rx="10" fill="#161b26"/>
<path d="M0 10a10 10 0 0 1 10-10h%[3]ga10 10 0 0 1 10 10v28h-%[1]gz" fill="#1f2633"/>
<circle cx="20" cy="19" r="6" fill="#ff5f57"/><circle cx="40" cy="19" r="6" fill="#febc2e"/><circle cx="60" cy="19" r="6" fill="#28c840"/>
`

// picture draws the lines. Nothing moves: what a page shows first has to be there at once.
func picture(lines []line) string {
	width, height := 2*margin+columns*cell, bar+2*margin+float64(len(lines))*leading-leading/4
	var b strings.Builder
	fmt.Fprintf(&b, head, width, height, width-20)
	for i, l := range lines {
		y := bar + margin + float64(i)*leading + leading/2
		if len(l.runs) > 0 {
			fmt.Fprintf(&b, `<text y="%g">`, y)
			column := 0
			for _, r := range l.runs {
				fmt.Fprintf(&b, `<tspan x="%g"%s>%s</tspan>`, margin+float64(column)*cell, r.class(), html.EscapeString(r.text))
				column += ansi.StringWidth(r.text)
			}
			b.WriteString("</text>\n")
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (r run) class() string {
	var names []string
	if r.bold && r.color == "" {
		names = append(names, "bold")
	}
	if r.faint {
		names = append(names, "faint")
	}
	if r.color != "" {
		names = append(names, r.color)
	}
	if names == nil {
		return ""
	}
	return ` class="` + strings.Join(names, " ") + `"`
}
