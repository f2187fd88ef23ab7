package adnanh

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/migrate"
)

// translation is one hook on its way.
type translation struct {
	*writer
	hook     *peerHook
	provider string
	lets     map[string]letName // source and name, of parse-parameters-as-json
	letKeys  []migrate.Pair
	comments []string        // comments above the hook
	steps    int             // of the rule's translation
	said     map[string]bool // warnings that are given once
}

type letName struct{ name string }

func (t *translation) warn(line, col int, format string, a ...any) *config.Diagnostic {
	return t.notes.Warn(line, col, "hook %q: %s", t.hook.id, fmt.Sprintf(format, a...))
}

// once warns of something that many arguments may have.
func (t *translation) once(a argument, format string, v ...any) {
	if message := fmt.Sprintf(format, v...); !t.said[message] {
		t.said[message] = true
		t.warn(a.line, a.col, "%s", message)
	}
}

// literal is a constant in which nothing is expanded but what the template took from outside.
func (t *translation) literal(s string) string { return t.references.restore(migrate.Literal(s)) }

// constant is literal for values that may hold ${{ }}.
func (t *translation) constant(s string) string { return t.references.restore(migrate.InTemplate(s)) }

// translate makes the hook. The error is a refusal.
func (t *translation) translate() (migrate.Hook, error) {
	h := t.hook
	name, path, err := t.address()
	if err != nil {
		return migrate.Hook{}, err
	}
	t.parsedParameters()
	d, err := t.divide(h.rule, true)
	if err != nil {
		return migrate.Hook{}, err
	}
	t.provider = preset(d.proofs)
	match := always
	if d.rest != nil {
		if match, err = t.condition(d.rest); err != nil {
			return migrate.Hook{}, err
		}
	}
	keys := []migrate.Pair{{Key: "name", Value: migrate.Text(name)}, {Key: "path", Value: migrate.Text(path)}}
	keys = append(keys, t.methods()...)
	keys = append(keys, t.sender(d)...)
	keys = append(keys, t.body(d)...)
	keys = append(keys, t.respond(!match.is(always))...)
	if len(t.letKeys) > 0 {
		keys = append(keys, migrate.Pair{Key: "let", Value: migrate.Map(t.letKeys)})
	}
	if !match.is(always) {
		var parts []string
		for _, p := range match.parts {
			parts = append(parts, t.literal(p))
		}
		keys = append(keys, migrate.Pair{Key: "match", Value: migrate.Expression{Parts: parts}})
	}
	keys = append(keys, t.command()...)
	t.warnOfWithheld(d)
	return migrate.Hook{Name: name, Notes: t.comments, Keys: keys}, nil
}

var (
	nameChars = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)
	pathChars = regexp.MustCompile(`[?#%\\\s\x00{}]`)
)

// address is the hook's name and path. Of two hooks with one id the peer takes the first.
func (t *translation) address() (name, path string, err error) {
	id := t.hook.id
	switch {
	case id == "":
		return "", "", refuse("it has no id, and so no address")
	case t.ids[id]:
		return "", "", refuse("another hook before it has the id %q, and got its requests", id)
	}
	t.ids[id] = true
	path = "/" + strings.Trim(t.options.Prefix, "/") + "/" + strings.TrimPrefix(id, "/")
	if t.options.Prefix == "" {
		path = "/" + strings.TrimPrefix(id, "/")
	}
	if pathChars.MatchString(path) {
		return "", "", refuse("its path %s has a character that a path here cannot have", path)
	}
	base := strings.Trim(nameChars.ReplaceAllString(id, "-"), "-")
	base = base[:min(len(base), 60)]
	if base == "" {
		base = "hook"
	}
	name = base
	for n := 2; t.names[name]; n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	t.names[name] = true
	return name, path, nil
}

// knownMethods are those that a hook here may take.
var knownMethods = []string{"POST", "GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}

// methods are any by default, in the peer. A sender that is known by name only ever posts.
func (t *translation) methods() []migrate.Pair {
	methods := t.hook.methods
	if methods == nil {
		methods = t.options.Methods
	}
	if len(methods) == 0 {
		if t.provider != "" {
			return nil
		}
		return []migrate.Pair{{Key: "methods", Value: list(knownMethods), Comment: "any, as before; keep what the sender uses"}}
	}
	var out []string
	for _, m := range methods {
		switch {
		case !slices.Contains(knownMethods, m):
			t.warn(t.hook.line, t.hook.col, "no hook here takes the method %s: it is left out", m)
		case !slices.Contains(out, m):
			out = append(out, m)
		}
	}
	switch {
	case len(out) == 0:
		return []migrate.Pair{{Key: "enabled", Value: migrate.Word("false"), Comment: "none of its methods is known here: " + strings.Join(methods, ", ")}}
	case len(out) == 1 && out[0] == http.MethodPost:
		return nil
	}
	return []migrate.Pair{{Key: "methods", Value: list(out)}}
}

func list(of []string) migrate.List {
	var out migrate.List
	for _, s := range of {
		out = append(out, migrate.Text(s))
	}
	return out
}

// sender are the keys about who may send, and about what is a duplicate.
func (t *translation) sender(d divided) []migrate.Pair {
	keys := t.verification(d.proofs)
	if keys == nil {
		comment, why := "anyone who reaches it starts it, as before", "nothing says who its sender is: anyone who reaches it starts it"
		if d.addresses != nil {
			comment, why = "an address is no proof, and is all there was", "only an address says who its sender is, which is no proof"
		}
		t.warn(t.hook.line, t.hook.col, "%s", why).Hint("give it a signature or a token: verify: {scheme: token, header: X-Token}")
		keys = append(keys, migrate.Pair{Key: "verify", Value: migrate.Word("none"), Comment: comment})
		if t.options.Exposed {
			keys = append(keys, migrate.Pair{Key: "public", Value: migrate.Word("true"), Comment: "without it, verify: none is refused where other machines can call"})
		}
	}
	if t.provider == "" && len(d.proofs) > 0 && !slices.ContainsFunc(slices.Concat(d.proofs...), func(c credential) bool { return c.scheme == "hmac" || c.scheme == "scalr" }) {
		t.warn(t.hook.line, t.hook.col, "the secret of its value rule is a token now: it says who sends, and not that the body is theirs").
			Hint("a signature of the body does, if the sender has one: verify: {scheme: hmac, header: …}")
	}
	if d.addresses != nil {
		keys = append(keys, migrate.Pair{Key: "allow_ips", Value: list(d.addresses)})
	}
	for _, c := range slices.Concat(d.proofs...) {
		if c.scheme == "hmac" && c.hash == "sha1" && strings.EqualFold(c.name, "X-Hub-Signature") && t.provider == "" {
			t.comments = append(t.comments, "GitHub signs with SHA-256, too: provider: github instead of verify: checks that, with the same secret.")
			keys = append(keys, migrate.Pair{Key: "max_body", Value: migrate.Word("25MiB")})
			break
		}
	}
	return keys
}

// body are the keys about what is read, and how often.
func (t *translation) body(divided) []migrate.Pair {
	var keys []migrate.Pair
	if format := t.format(); format != "" {
		keys = append(keys, migrate.Pair{Key: "parse", Value: migrate.Text(format)})
	}
	switch t.provider {
	case "github", "gitea", "gogs", "gitlab":
		return keys // their deliveries have ids
	}
	return append(keys, migrate.Pair{Key: "dedupe", Value: migrate.Word("none"), Comment: "a request that comes twice runs twice, as before"})
}

// format is how incoming-payload-content-type makes the body be read.
func (t *translation) format() string {
	contentType := t.hook.contentType
	for _, known := range []struct{ part, format string }{
		{"json", "json"}, {"x-www-form-urlencoded", "form"}, {"xml", "xml"}, {"multipart/form-data", "multipart"},
	} {
		if strings.Contains(contentType, known.part) {
			return known.format
		}
	}
	if contentType != "" {
		t.warn(t.hook.line, t.hook.col, "adnanh/webhook does not read %s: the payload was always empty; it is the text of the body now", contentType)
		return "text"
	}
	return ""
}

// parsedParameters makes let: names of parse-parameters-as-json.
func (t *translation) parsedParameters() {
	for _, a := range t.hook.parsed {
		source := a.source
		if source == "url" {
			source = "query"
		}
		if source == "payload" && strings.Contains(a.name, ".") {
			t.warn(a.line, a.col, "parse-parameters-as-json of the nested %s made adnanh/webhook fail; it is left out", a.name).Hint("let: {data: fromJSON(payload.%s)}", a.name)
			continue
		}
		r, ok := t.find(argument{source: source, name: a.name})
		if !ok || source != "payload" && source != "header" && source != "query" {
			t.warn(a.line, a.col, "parse-parameters-as-json has no source %q: it never had an effect, and is left out", a.source)
			continue
		}
		expr := r.expr + ", " + r.expr // or as it is, when it is no JSON
		if source == "payload" && a.name == "payload" {
			expr = "form.payload ?? payload.payload"
		}
		name := t.letName(a.name)
		t.lets[source+" "+canonical(source, a.name)] = letName{name}
		t.letKeys = append(t.letKeys, migrate.Pair{Key: name, Value: migrate.Expression{Parts: []string{t.literal("fromJSON(" + expr + ")")}}})
	}
}

// taken are words that expressions have already.
var taken = words(`payload body form event hook method path ip headers query params delivery branch tag repo sha actor changed_files commits
	job attempt header glob cidr semver age in_window now date duration short json fromJSON text string at fromBase64 toBase64 len lower
	upper trim split join replace int float abs min max first last keys values uniq get toJSON reverse take concat flatten sort mean
	round ceil floor type all any none one filter map count sum find reduce`)

func (t *translation) letName(of string) string {
	name := strings.Trim(regexp.MustCompile(`[^A-Za-z0-9_]+`).ReplaceAllString(of, "_"), "_")
	if name == "payload" || name == "" {
		name = "data"
	}
	if !isIdentifier(name) || taken[name] {
		name = "parsed_" + name
	}
	for _, p := range t.letKeys {
		if p.Key == name {
			return t.letName(of + "_2")
		}
	}
	return name
}

func canonical(source, name string) string {
	if source == "header" {
		return http.CanonicalHeaderKey(name)
	}
	return name
}

// let is the name of a parameter that was parsed, and the path inside it.
func (t *translation) let(source, path string) (name, rest string, ok bool) {
	first, rest, _ := strings.Cut(path, ".")
	if l, found := t.lets[source+" "+canonical(source, first)]; found {
		return l.name, rest, true
	}
	return "", "", false
}
