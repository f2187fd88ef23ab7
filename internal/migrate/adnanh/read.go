package adnanh

import (
	"strings"

	"github.com/tenterhook/tenterhook/internal/migrate"
)

// peerHook is a hook as adnanh/webhook knows it. Its keys are those of version 2.8.2.
type peerHook struct {
	line, col, end int
	id             string
	command, dir   string
	message        string
	headers        []header
	output         bool // include-command-output-in-response
	outputOnError  bool
	arguments      []argument
	environment    []argument
	files          []argument
	parsed         []argument // parse-parameters-as-json
	rule           *rule      // nil: every request triggers
	mismatch       int
	success        int
	soft           bool
	contentType    string
	methods        []string
}

type header struct{ name, value string }

// argument is where a value of a request comes from.
type argument struct {
	line, col    int
	source, name string
	envname      string
	base64       bool
}

// rule is a node of a trigger rule. Of several words in one object the peer takes the first of
// and, or, not, match.
type rule struct {
	line, col int
	word      string // and, or, not, match; "" never triggers
	of        []*rule
	match     match
}

type match struct {
	kind                       string // type
	value, regex, secret, cidr string
	parameter                  argument
}

func readHooks(root *value, notes *migrate.Notes) []*peerHook {
	switch root.kind {
	case isNull:
		return nil
	case isList:
	default:
		n := notes.Refuse(root.line, root.col, "expected a list of hooks, found %s", kindNames[root.kind])
		if root.kind == isMap {
			n.Hint("put the hook into a list: - id: …")
		}
		return nil
	}
	var out []*peerHook
	for _, item := range root.list {
		if item.kind != isMap {
			notes.Refuse(item.line, item.col, "a hook is a mapping, found %s", kindNames[item.kind])
			continue
		}
		out = append(out, readHook(item, notes))
	}
	return out
}

func readHook(v *value, notes *migrate.Notes) *peerHook {
	f := v.fields("a hook", notes)
	h := &peerHook{
		line: v.line, col: v.col, end: v.last(),
		id: f.text("id"), command: f.text("execute-command"), dir: f.text("command-working-directory"), message: f.text("response-message"),
		output: f.flag("include-command-output-in-response"), outputOnError: f.flag("include-command-output-in-response-on-error"),
		mismatch: f.number("trigger-rule-mismatch-http-response-code"), success: f.number("success-http-response-code"),
		soft: f.flag("trigger-signature-soft-failures"), contentType: f.text("incoming-payload-content-type"),
		arguments: readArguments(f, "pass-arguments-to-command"), environment: readArguments(f, "pass-environment-to-command"),
		files: readArguments(f, "pass-file-to-command"), parsed: readArguments(f, "parse-parameters-as-json"),
	}
	for _, m := range f.list("http-methods") {
		if m.kind == isList || m.kind == isMap {
			notes.Refuse(m.line, m.col, "a method is text, found %s", kindNames[m.kind])
			continue
		}
		if word := strings.ToUpper(strings.TrimSpace(m.text)); word != "" {
			h.methods = append(h.methods, word)
		}
	}
	for _, item := range f.list("response-headers") {
		if item.kind != isMap {
			notes.Refuse(item.line, item.col, "a response header is {name, value}, found %s", kindNames[item.kind])
			continue
		}
		of := item.fields("a response header", notes)
		h.headers = append(h.headers, header{of.text("name"), of.text("value")})
		of.close()
	}
	if r := f.get("trigger-rule"); r != nil {
		h.rule = readRule(r, notes)
	}
	f.close()
	return h
}

// last is the last line of a value, as far as it is known.
func (v *value) last() int {
	line := v.line + strings.Count(strings.TrimRight(v.text, "\n"), "\n")
	for _, item := range v.list {
		line = max(line, item.last())
	}
	for _, e := range v.entries {
		line = max(line, e.line, e.value.last())
	}
	return line
}

func readArguments(f *fields, key string) []argument {
	var out []argument
	for _, item := range f.list(key) {
		if item.kind != isMap {
			f.notes.Refuse(item.line, item.col, "an element of %s is {source, name}, found %s", key, kindNames[item.kind]).
				Hint("{source: string, name: …} is a constant")
			continue
		}
		out = append(out, readArgument(item, f.notes))
	}
	return out
}

func readArgument(v *value, notes *migrate.Notes) argument {
	f := v.fields("an argument", notes)
	a := argument{line: v.line, col: v.col, source: f.text("source"), name: f.text("name"), envname: f.text("envname"), base64: f.flag("base64decode")}
	f.close()
	return a
}

func readRule(v *value, notes *migrate.Notes) *rule {
	r := &rule{line: v.line, col: v.col}
	if v.kind == isNull {
		return r
	}
	if v.kind != isMap {
		notes.Refuse(v.line, v.col, "a rule is a mapping with and, or, not or match, found %s", kindNames[v.kind])
		return r
	}
	f := v.fields("a rule", notes)
	var also []string
	for _, word := range []string{"and", "or", "not", "match"} {
		of := f.get(word)
		switch {
		case of == nil:
		case r.word != "":
			also = append(also, word)
		default:
			r.word = word
			r.read(of, notes)
		}
	}
	if len(also) > 0 {
		notes.Warn(v.line, v.col, "beside %s, %s never had an effect, and is left out", r.word, strings.Join(also, ", "))
	}
	f.close()
	return r
}

func (r *rule) read(of *value, notes *migrate.Notes) {
	switch r.word {
	case "and", "or":
		if of.kind != isList {
			notes.Refuse(of.line, of.col, "%s is a list of rules, found %s", r.word, kindNames[of.kind])
			return
		}
		for _, item := range of.list {
			r.of = append(r.of, readRule(item, notes))
		}
	case "not":
		r.of = []*rule{readRule(of, notes)}
	default:
		if of.kind != isMap {
			notes.Refuse(of.line, of.col, "match is a mapping, found %s", kindNames[of.kind])
			return
		}
		f := of.fields("match", notes)
		r.match = match{kind: f.text("type"), value: f.text("value"), regex: f.text("regex"), secret: f.text("secret"), cidr: f.text("ip-range")}
		if p := f.get("parameter"); p != nil && p.kind == isMap {
			r.match.parameter = readArgument(p, notes)
		} else if p != nil {
			notes.Refuse(p.line, p.col, "parameter is {source, name}, found %s", kindNames[p.kind])
		}
		r.line, r.col = of.line, of.col
		f.close()
	}
}
