package docs

import (
	"html"
	"regexp"
	"strings"
)

var (
	tags     = regexp.MustCompile(`<[^>]*>`)
	tag      = regexp.MustCompile(`^</?[a-z][a-z0-9]*(?:\s+[a-z-]+(?:="[^"]*")?)*\s*/?>`)
	address  = regexp.MustCompile(`^<((?:https?://|mailto:)[^>\s]*)>`)
	src      = regexp.MustCompile(`^<img .*src="([^"]*)"`)
	entity   = regexp.MustCompile(`^&(?:[a-zA-Z]+|#\d+);`)
	markable = "\\`*_{}[]()#+-.!|<>~&\"'$%,/:;=?@^"
)

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(s)
}

// inline makes HTML of the text of a paragraph, heading or cell.
func (w *writer) inline(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		i += w.piece(&b, s, i)
	}
	return b.String()
}

// piece writes what begins at s[i], and returns its length.
func (w *writer) piece(b *strings.Builder, s string, i int) int {
	rest := s[i:]
	switch s[i] {
	case '\\':
		if len(rest) > 1 && strings.IndexByte(markable, rest[1]) >= 0 {
			b.WriteString(escape(rest[1:2]))
			return 2
		}
	case '`':
		if n := code(b, rest); n > 0 {
			return n
		}
	case '!', '[':
		if n := w.anchored(b, rest); n > 0 {
			return n
		}
	case '<':
		if found := address.FindStringSubmatch(rest); found != nil {
			b.WriteString(`<a href="` + escape(found[1]) + `">` + escape(found[1]) + "</a>")
			return len(found[0])
		}
		if found := tag.FindString(rest); found != "" {
			n := len(found)
			if source := src.FindStringSubmatch(found); source != nil && elsewhere(w.link(source[1])) {
				found = ""
			}
			b.WriteString(found)
			return n
		}
	case '&':
		if found := entity.FindString(rest); found != "" {
			b.WriteString(escape(html.UnescapeString(found)))
			return len(found)
		}
	case '*':
		if n := w.emphasis(b, s, i); n > 0 {
			return n
		}
	}
	b.WriteString(escape(rest[:1]))
	return 1
}

// code writes what stands between runs of backquotes; 0 when nothing closes it.
func code(b *strings.Builder, rest string) int {
	run := len(rest) - len(strings.TrimLeft(rest, "`"))
	mark := rest[:run]
	for at := run; at < len(rest); {
		end := strings.Index(rest[at:], mark)
		if end < 0 {
			break
		}
		end += at
		after := end + run
		if (after == len(rest) || rest[after] != '`') && rest[end-1] != '`' {
			text := strings.ReplaceAll(rest[run:end], "\n", " ")
			if strings.HasPrefix(text, " ") && strings.HasSuffix(text, " ") && strings.TrimSpace(text) != "" {
				text = text[1 : len(text)-1]
			}
			b.WriteString("<code>" + escape(text) + "</code>")
			return after
		}
		at = after
	}
	b.WriteString(mark)
	return run
}

// anchored writes a link or a picture; 0 when it is none.
func (w *writer) anchored(b *strings.Builder, rest string) int {
	open := strings.IndexByte(rest[:min(2, len(rest))], '[')
	if open < 0 || open == 1 && rest[0] != '!' {
		return 0
	}
	closed := bracket(rest, open)
	if closed < 0 || !strings.HasPrefix(rest[closed+1:], "(") {
		return 0
	}
	end := strings.IndexByte(rest[closed:], ')')
	if end < 0 {
		return 0
	}
	text, to := rest[open+1:closed], escape(w.link(rest[closed+2:closed+end]))
	switch {
	case open == 1 && elsewhere(to): // no request leaves for another host
		b.WriteString("<em>" + w.inline(text) + "</em>")
	case open == 1:
		b.WriteString(`<img src="` + to + `" alt="` + tags.ReplaceAllString(w.inline(text), "") + `">`)
	default:
		b.WriteString(`<a href="` + to + `">` + w.inline(text) + "</a>")
	}
	return closed + end + 1
}

// elsewhere reports whether a picture is at another host.
func elsewhere(to string) bool { return strings.Contains(to, "://") }

// bracket is where the one that opens at open is closed; -1 for nowhere.
func bracket(s string, open int) int {
	depth, quoted := 0, false
	for i := open; i < len(s); i++ {
		switch c := s[i]; {
		case c == '`':
			quoted = !quoted
		case quoted:
		case c == '\\':
			i++
		case c == '[':
			depth++
		case c == ']':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// emphasis writes what stands between stars; 0 when they are only stars.
func (w *writer) emphasis(b *strings.Builder, s string, i int) int {
	element, mark := "em", "*"
	if strings.HasPrefix(s[i:], "**") {
		element, mark = "strong", "**"
	}
	rest := s[i+len(mark):]
	if rest == "" || strings.HasPrefix(rest, " ") || strings.HasPrefix(rest, "\n") {
		return 0
	}
	quoted := false
	for at := 0; at < len(rest); at++ {
		switch {
		case rest[at] == '`':
			quoted = !quoted
		case rest[at] == '\\':
			at++
		case !quoted && strings.HasPrefix(rest[at:], mark) && at > 0 && rest[at-1] != ' ' && (mark == "**" || !strings.HasPrefix(rest[at:], "**")):
			b.WriteString("<" + element + ">" + w.inline(rest[:at]) + "</" + element + ">")
			return at + 2*len(mark)
		}
	}
	return 0
}
