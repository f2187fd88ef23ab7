package adnanh

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// reference is where a value of a request is found in our expressions.
type reference struct {
	expr string
	// texts says that it is never anything but text or missing; of what else may stand there
	// text() makes the text that the peer compared.
	texts bool
	// usual says that its name tells of text, and scalar that it tells of text or a number.
	usual, scalar bool
	// present is a condition that it is there; "" when it always is.
	present string
	// constant is the value of a source: string.
	constant *string
}

// text is the expression for the value as text.
func (r reference) text() string {
	if r.texts {
		return r.expr
	}
	return "text(" + r.expr + ")"
}

// template is the value as ${{ }}, which writes text and numbers as the peer does.
func (r reference) template() string {
	if r.scalar || r.usual {
		return "${{ " + r.expr + " }}"
	}
	return "${{ " + r.text() + " }}"
}

// find says where an argument's value is. ok is false for a source that the peer does not know.
func (t *translation) find(a argument) (r reference, ok bool) {
	switch a.source {
	case "header":
		return t.findHeader(a.name), true
	case "url", "query":
		return t.findQuery(a.name), true
	case "payload":
		return t.findPayload(a.name), true
	case "raw-request-body":
		return reference{expr: "body", texts: true}, true
	case "string":
		return reference{expr: quoteText(a.name), texts: true, constant: &a.name}, true
	case "entire-payload":
		return reference{expr: "text(payload)", texts: true}, true
	case "entire-headers":
		t.once(a, "entire-headers: names are in lower case now, and headers that carry a signature or secret are not among them")
		return reference{expr: "text(headers)", texts: true}, true
	case "entire-query":
		return reference{expr: "text(query)", texts: true}, true
	case "request":
		switch strings.ToLower(a.name) {
		case "method":
			return reference{expr: "method", texts: true}, true
		case "remote-addr":
			t.once(a, "remote-addr: ip is the address alone, without the port")
			return reference{expr: "ip", texts: true}, true
		}
	}
	return reference{}, false
}

func (t *translation) findHeader(name string) reference {
	if let, rest, ok := t.let("header", name); ok {
		return inLet(let, rest)
	}
	if t.provider == "github" && strings.EqualFold(name, "X-GitHub-Event") {
		return reference{expr: "event", texts: true, present: `event != ""`}
	}
	expr := "header(" + quoteText(name) + ")"
	return reference{expr: expr, texts: true, present: expr + " != nil"}
}

func (t *translation) findQuery(name string) reference {
	if let, rest, ok := t.let("query", name); ok {
		return inLet(let, rest)
	}
	expr := "query" + member(name)
	return reference{expr: expr, texts: true, present: expr + " != nil"}
}

// findPayload follows a dotted path. Paths that only the peer's own look-up understands are left
// to at().
func (t *translation) findPayload(path string) reference {
	if let, rest, ok := t.let("payload", path); ok {
		return inLet(let, rest)
	}
	segments := strings.Split(path, ".")
	start := "payload"
	switch first := segments[0]; {
	case first == "root" && len(segments) > 1 && isIndex(segments[1]): // the peer's name for a list that is the whole body
		start, segments = "payload["+segments[1]+"]", segments[1:]
		if segments = segments[1:]; len(segments) == 0 {
			return found(start)
		}
	case isDigits(first): // the peer's payload is always a mapping
		start, segments = start+member(first), segments[1:]
		if len(segments) == 0 {
			return found(start)
		}
	case first == "root" && len(segments) == 1:
		return found(`at(payload, "root")`)
	case first == "payload":
		start = "(form ?? payload)" // a form of nothing but payload={…} is unwrapped in ours
	}
	expr, ok := walk(start, segments)
	if !ok {
		return found("at(payload, " + quoteText(path) + ")")
	}
	return named(expr, segments[len(segments)-1])
}

func inLet(name, rest string) reference {
	if rest == "" {
		return found(name)
	}
	segments := strings.Split(rest, ".")
	if expr, ok := walk(name, segments); ok {
		return named(expr, segments[len(segments)-1])
	}
	return found("at(" + name + ", " + quoteText(rest) + ")")
}

func found(expr string) reference { return reference{expr: expr, present: expr + " != nil"} }

// named is a member, whose name tells what it usually is.
func named(expr, name string) reference {
	r := found(expr)
	r.usual, r.scalar = usuallyText[name], usuallyScalar[name]
	return r
}

// walk is a path of members and indexes; false when a segment has a meaning of the peer's own.
func walk(start string, segments []string) (string, bool) {
	for _, s := range segments {
		switch {
		case s == "" || isDigits(s) && !isIndex(s):
			return "", false
		case isIndex(s):
			start += "[" + s + "]"
		case len(s) > 1 && s[0] == '-' && isIdentifier(s[1:]):
			start += member("@" + s[1:]) // an attribute of XML
		default:
			start += member(s)
		}
	}
	return start, true
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// operators are words that cannot stand after a dot.
var operators = []string{"in", "not", "and", "or", "matches", "contains", "startsWith", "endsWith", "let", "if", "else", "nil", "true", "false"}

func isIdentifier(s string) bool { return identifier.MatchString(s) && !slices.Contains(operators, s) }

func member(name string) string {
	if isIdentifier(name) {
		return "." + name
	}
	return "[" + quoteText(name) + "]"
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// isIndex reports whether a segment is an index as a person writes one.
func isIndex(s string) bool { return isDigits(s) && len(s) < 7 && (s == "0" || s[0] != '0') }

// usuallyText are names under which senders put text. A pattern needs no text() around it.
var usuallyText = words(`action after avatar_url before branch canon_url clone_url default_branch description display_name email event_name
	event_type full_name git_url hash hostname html_url login message namespace object_kind path path_with_namespace project_name ref
	ref_type repo_name sha slug ssh_url subject summary tag_name title user_email user_name user_username username uuid web_url name`)

// usuallyScalar are names under which they put text or numbers, which are written the same.
var usuallyScalar = words(`id number iid count size amount version build_id build_number project_id user_id issue_id job_id run_id total
	created_at updated_at timestamp status state type kind key label tag event language currency`)

func words(s string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(s) {
		out[w] = true
	}
	return out
}

// quoteText is a text as an expression has it.
func quoteText(s string) string {
	var out strings.Builder
	out.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			out.WriteByte('\\')
			out.WriteRune(r)
		case r == '\n':
			out.WriteString(`\n`)
		case r == '\r':
			out.WriteString(`\r`)
		case r == '\t':
			out.WriteString(`\t`)
		case r < ' ' || r == 0x7f:
			out.WriteString(`\u00` + strconv.FormatInt(int64(r)+0x100, 16)[1:])
		default:
			out.WriteRune(r)
		}
	}
	out.WriteByte('"')
	return out.String()
}

// quotePattern prefers backquotes, in which a backslash is one.
func quotePattern(s string) string {
	if strings.Contains(s, `\`) && !strings.ContainsAny(s, "`\n\r\t") {
		return "`" + s + "`"
	}
	return quoteText(s)
}
