package ui

import (
	"html/template"
	"regexp"
	"strconv"
	"strings"
)

// escapes are the sequences of a terminal: those that set colours, which are kept, and all
// others (titles, links, movements, queries), which are dropped whole.
var escapes = regexp.MustCompile(
	"\x1b\\[([0-9;:]*)m" + // colours: the group
		"|\x1b\\[[0-?]*[ -/]*[@-~]" + // other control sequences
		"|\x1b[\\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\\\|$)" + // titles, links and other strings
		"|\x1b[ -/]*[0-~]")

// pen is how text is written: the numbers of SGR, by what they mean here.
type pen struct {
	bold, faint, italic, underline bool
	fore, back                     int // 1 to 16; 0 is the page's own
}

// ansi is a command's output as HTML, in its colours. The colours are classes of the style sheet,
// so none can hide text or leave its place.
func ansi(output string) template.HTML {
	var b strings.Builder
	var p pen
	from := 0
	for _, at := range escapes.FindAllStringSubmatchIndex(output, -1) {
		p.write(&b, output[from:at[0]])
		if at[2] >= 0 {
			p.set(output[at[2]:at[3]])
		}
		from = at[1]
	}
	p.write(&b, output[from:])
	return template.HTML(b.String())
}

func (p *pen) write(b *strings.Builder, text string) {
	if text == "" {
		return
	}
	escaped := template.HTMLEscapeString(clean(overwritten(text)))
	class := p.class()
	if class == "" {
		b.WriteString(escaped)
		return
	}
	b.WriteString(`<span class="` + class + `">` + escaped + `</span>`)
}

// overwritten leaves of each line what stands there after its carriage returns, as a progress
// bar leaves it.
func overwritten(text string) string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if !strings.Contains(text, "\r") {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		line = strings.TrimRight(line, "\r")
		lines[i] = line[strings.LastIndexByte(line, '\r')+1:]
	}
	return strings.Join(lines, "\n")
}

func (p *pen) class() string {
	var names []string
	add := func(on bool, name string) {
		if on {
			names = append(names, name)
		}
	}
	add(p.bold, "a-b")
	add(p.faint, "a-f")
	add(p.italic, "a-i")
	add(p.underline, "a-u")
	add(p.fore > 0, "a-"+strconv.Itoa(p.fore))
	add(p.back > 0, "a-bg"+strconv.Itoa(p.back))
	return strings.Join(names, " ")
}

// set reads the numbers of one sequence.
func (p *pen) set(numbers string) {
	codes := strings.FieldsFunc(numbers, func(r rune) bool { return r == ';' || r == ':' })
	if len(codes) == 0 {
		codes = []string{"0"}
	}
	for i := 0; i < len(codes); i++ {
		n, err := strconv.Atoi(codes[i])
		if err != nil {
			continue
		}
		if n == 38 || n == 48 { // of 256 or of 16 million
			color, used := extended(codes[i+1:])
			i += used
			if n == 38 {
				p.fore = color
			} else {
				p.back = color
			}
			continue
		}
		p.one(n)
	}
}

func (p *pen) one(n int) {
	switch {
	case n == 0:
		*p = pen{}
	case n == 1:
		p.bold = true
	case n == 2:
		p.faint = true
	case n == 3:
		p.italic = true
	case n == 4:
		p.underline = true
	case n == 22:
		p.bold, p.faint = false, false
	case n == 23:
		p.italic = false
	case n == 24:
		p.underline = false
	case n >= 30 && n <= 37:
		p.fore = n - 29
	case n == 39:
		p.fore = 0
	case n >= 40 && n <= 47:
		p.back = n - 39
	case n == 49:
		p.back = 0
	case n >= 90 && n <= 97:
		p.fore = n - 81
	case n >= 100 && n <= 107:
		p.back = n - 91
	}
}

// extended is the nearest of the 16 colours to one of 256 or of 16 million, and how many numbers
// it took.
func extended(codes []string) (color, used int) {
	number := func(i int) int {
		if i >= len(codes) {
			return 0
		}
		n, _ := strconv.Atoi(codes[i]) // 0 when it is none
		return n
	}
	switch {
	case number(0) == 5 && len(codes) > 1:
		return of256(number(1)), 2
	case number(0) == 2 && len(codes) > 3:
		return nearest(number(1), number(2), number(3)), 4
	}
	return 0, len(codes)
}

func of256(n int) int {
	switch {
	case n < 0 || n > 255:
		return 0
	case n < 16:
		return n + 1
	case n < 232:
		level := func(c int) int { return c * 255 / 5 }
		n -= 16
		return nearest(level(n/36), level(n/6%6), level(n%6))
	}
	gray := (n - 232) * 255 / 23
	return nearest(gray, gray, gray)
}

// nearest picks by which of red, green and blue are strong, and by how bright the whole is.
func nearest(r, g, b int) int {
	strongest := max(r, g, b)
	if strongest < 60 {
		return 9 // dark gray rather than black, which no page can show on black
	}
	color := 1
	for i, c := range []int{r, g, b} {
		if c*2 > strongest {
			color += 1 << i
		}
	}
	if strongest > 200 {
		color += 8
	}
	return color
}
