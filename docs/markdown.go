package docs

import (
	"html"
	"regexp"
	"strconv"
	"strings"
)

// heading is one of a page.
type heading struct {
	level    int
	id, text string
}

// writer makes HTML of the Markdown that these pages are written in: headings, paragraphs, lists,
// tables, fenced code; code, emphasis, links, pictures, tags. It is not all of Markdown. A test holds
// it against goldmark, for every page: that library would be a tenth of what the program may grow by.
type writer struct {
	out      strings.Builder
	headings []heading
	ids      map[string]int
	link     func(string) string // where a link leads
}

func render(src string, link func(string) string) *writer {
	w := &writer{ids: map[string]int{}, link: link}
	w.blocks(strings.Split(strings.TrimRight(src, "\n"), "\n"), false)
	return w
}

var (
	headed  = regexp.MustCompile(`^(#{1,6}) +(.*?)\s*$`)
	item    = regexp.MustCompile(`^( {0,3})([-*]|\d{1,9}\.)( +)(.*)$`)
	columns = regexp.MustCompile(`^\|? *:?-+:? *(\| *:?-+:? *)*\|?\s*$`)
)

// blocks writes lines. The paragraphs of a tight list have no element of their own.
func (w *writer) blocks(lines []string, tight bool) {
	for i := 0; i < len(lines); {
		switch line := lines[i]; {
		case strings.TrimSpace(line) == "":
			i++
		case strings.HasPrefix(line, "```"):
			i = w.code(lines, i)
		case strings.HasPrefix(line, "<!--"):
			i = w.comment(lines, i)
		case headed.MatchString(line):
			w.heading(headed.FindStringSubmatch(line))
			i++
		case strings.HasPrefix(line, "|") && i+1 < len(lines) && columns.MatchString(lines[i+1]):
			i = w.table(lines, i)
		case item.MatchString(line):
			i = w.list(lines, i)
		default:
			i = w.paragraph(lines, i, tight)
		}
	}
}

func (w *writer) code(lines []string, i int) int {
	w.out.WriteString(`<pre tabindex="0"><code`) // what may be scrolled has to be within reach of the keyboard
	if language, _, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(lines[i], "```")), " "); language != "" {
		w.out.WriteString(` class="language-` + escape(language) + `"`)
	}
	w.out.WriteString(">")
	for i++; i < len(lines) && !strings.HasPrefix(lines[i], "```"); i++ {
		w.out.WriteString(escape(lines[i]) + "\n")
	}
	w.out.WriteString("</code></pre>\n")
	return i + 1
}

func (w *writer) comment(lines []string, i int) int {
	for ; i < len(lines); i++ {
		w.out.WriteString(lines[i] + "\n")
		if strings.Contains(lines[i], "-->") {
			break
		}
	}
	return i + 1
}

func (w *writer) heading(parts []string) {
	level, text := len(parts[1]), parts[2]
	id := Anchor(text)
	if n := w.ids[id]; n > 0 {
		w.ids[id]++
		id += "-" + strconv.Itoa(n)
	} else {
		w.ids[id] = 1
	}
	written := w.inline(text)
	w.headings = append(w.headings, heading{level, id, html.UnescapeString(tags.ReplaceAllString(written, ""))})
	element := "h" + strconv.Itoa(level)
	w.out.WriteString("<" + element + ` id="` + escape(id) + `">` + written + "</" + element + ">\n")
}

func (w *writer) table(lines []string, i int) int {
	names, marks := cells(lines[i]), cells(lines[i+1])
	row := func(element string, texts []string) {
		w.out.WriteString("<tr>\n")
		for n := range names {
			text := ""
			if n < len(texts) {
				text = texts[n]
			}
			w.out.WriteString("<" + element)
			if n < len(marks) && strings.HasSuffix(marks[n], ":") && !strings.HasPrefix(marks[n], ":") {
				w.out.WriteString(` class="num"`)
			}
			w.out.WriteString(">" + w.inline(text) + "</" + element + ">\n")
		}
		w.out.WriteString("</tr>\n")
	}
	w.out.WriteString("<table>\n<thead>\n")
	row("th", names)
	w.out.WriteString("</thead>\n")
	i += 2
	if i < len(lines) && strings.HasPrefix(lines[i], "|") {
		w.out.WriteString("<tbody>\n")
		for ; i < len(lines) && strings.HasPrefix(lines[i], "|"); i++ {
			row("td", cells(lines[i]))
		}
		w.out.WriteString("</tbody>\n")
	}
	w.out.WriteString("</table>\n")
	return i
}

// cells takes a row apart at what is not escaped.
func cells(line string) (texts []string) {
	line = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(line), "|"), "|")
	begin := 0
	for i := 0; i <= len(line); i++ {
		if i == len(line) || line[i] == '|' && (i == 0 || line[i-1] != '\\') {
			texts = append(texts, strings.ReplaceAll(strings.TrimSpace(line[begin:i]), `\|`, "|"))
			begin = i + 1
		}
	}
	return texts
}

// list writes items as long as they are of one kind.
func (w *writer) list(lines []string, i int) int {
	first := item.FindStringSubmatch(lines[i])
	ordered := len(first[2]) > 1
	var items [][]string
	loose, blank := false, false
	for i < len(lines) {
		found := item.FindStringSubmatch(lines[i])
		indent := 0
		switch {
		case found != nil && len(found[2]) > 1 == ordered:
			loose = loose || blank && len(items) > 0
			indent = len(found[1]) + len(found[2]) + len(found[3])
			items = append(items, []string{found[4]})
			i++
		default:
			return w.items(items, ordered, first[2], loose, i)
		}
		blank = false
		for ; i < len(lines); i++ { // what belongs to the item
			line := lines[i]
			inside := strings.HasPrefix(line, strings.Repeat(" ", indent))
			if strings.TrimSpace(line) == "" {
				blank = true
				items[len(items)-1] = append(items[len(items)-1], "")
				continue
			}
			if !inside && (blank || item.MatchString(line) || headed.MatchString(line) || strings.HasPrefix(line, "```") || strings.HasPrefix(line, "|")) {
				break
			}
			loose = loose || blank && inside
			blank = false
			if inside {
				line = line[indent:]
			} else {
				line = strings.TrimLeft(line, " ")
			}
			items[len(items)-1] = append(items[len(items)-1], line)
		}
	}
	return w.items(items, ordered, first[2], loose, i)
}

func (w *writer) items(items [][]string, ordered bool, mark string, loose bool, next int) int {
	element := "ul"
	open := "<ul>\n"
	if ordered {
		element, open = "ol", "<ol>\n"
		if start := strings.TrimLeft(strings.TrimSuffix(mark, "."), "0"); start != "1" {
			open = `<ol start="` + start + `">` + "\n"
		}
	}
	w.out.WriteString(open)
	for _, lines := range items {
		for len(lines) > 1 && lines[len(lines)-1] == "" {
			lines = lines[:len(lines)-1]
		}
		w.out.WriteString("<li>")
		if loose {
			w.out.WriteString("\n")
		}
		w.blocks(lines, !loose)
		w.out.WriteString("</li>\n")
	}
	w.out.WriteString("</" + element + ">\n")
	return next
}

func (w *writer) paragraph(lines []string, i int, tight bool) int {
	begin := i
	for i++; i < len(lines); i++ {
		line := lines[i]
		found := item.FindStringSubmatch(line)
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "```") || headed.MatchString(line) || found != nil && (len(found[2]) == 1 || found[2] == "1.") ||
			strings.HasPrefix(line, "|") && i+1 < len(lines) && columns.MatchString(lines[i+1]) {
			break
		}
	}
	var texts []string
	for _, line := range lines[begin:i] {
		texts = append(texts, strings.TrimSpace(line))
	}
	text := w.inline(strings.Join(texts, "\n"))
	switch {
	case !tight:
		w.out.WriteString("<p>" + text + "</p>\n")
	case i < len(lines):
		w.out.WriteString(text + "\n")
	default:
		w.out.WriteString(text)
	}
	return i
}
