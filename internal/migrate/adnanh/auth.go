package adnanh

import (
	"encoding/base64"
	"reflect"
	"regexp"
	"strings"

	"github.com/tenterhook/tenterhook/internal/migrate"
)

// credential is one way in which a sender proves itself.
type credential struct {
	scheme string // hmac, scalr, token, bearer, basic
	hash   string // of hmac
	place  string // header, query or field
	name   string
	user   string // of basic
	secret string
}

// same reports whether only the secrets differ.
func (c credential) same(other credential) bool {
	c.secret, other.secret = "", ""
	return c == other
}

// divided is a rule taken apart: what says who the sender is, and what the business is.
type divided struct {
	proofs    [][]credential // all are needed, of each any
	addresses []string       // allow_ips; nil: any
	rest      *rule          // nil: nothing more
}

// isSignature reports whether a match type is a signature of the body.
func isSignature(kind string) bool { return signatureHash(kind) != "" }

func signatureHash(kind string) string {
	for _, prefix := range []string{"payload-hmac-", "payload-hash-"} {
		switch hash := strings.TrimPrefix(kind, prefix); hash {
		case "sha1", "sha256", "sha512":
			return hash
		}
	}
	return ""
}

var secretWords = regexp.MustCompile(`(?i)token|secret|api[-_]?key|^key$|auth|passw|signature|^sig$`)

// secretName reports whether what has this name is a secret, to judge by it.
func secretName(name string) bool { return secretWords.MatchString(name) }

// divide takes a rule apart. Signatures must be found; with all, tokens and addresses are taken,
// too, which may stay in an expression where they cannot be.
func (t *translation) divide(r *rule, all bool) (divided, error) {
	switch {
	case r == nil:
		return divided{}, nil
	case r.word == "and":
		return t.divideAnd(r, all)
	case r.word == "or":
		return t.divideOr(r, all)
	case r.word == "not" && hasSignature(r):
		return divided{}, refuse("a signature under not, line %d, lets in who signs wrong", r.line)
	case r.word != "match":
		return divided{rest: r}, nil
	case r.match.kind == "ip-whitelist" && all:
		networks, wrong := t.networks(r)
		if len(networks) == 0 {
			return divided{}, refuse("%q, line %d, is no address and no network: adnanh/webhook answered every such request with 500", strings.Join(wrong, " "), r.line)
		}
		for _, w := range wrong {
			t.warn(r.line, r.col, "%q is no address and no network, and is left out", w)
		}
		return divided{addresses: networks}, nil
	}
	c, err := t.credential(r, all)
	if err != nil || c == nil {
		return divided{rest: r}, err
	}
	return divided{proofs: [][]credential{{*c}}}, nil
}

func (t *translation) divideAnd(r *rule, all bool) (divided, error) {
	var out divided
	rest := &rule{line: r.line, col: r.col, word: "and"}
	for _, element := range r.of {
		d, err := t.divide(element, all)
		switch {
		case err != nil:
			return divided{}, err
		case d.addresses != nil && out.addresses != nil: // both lists: one stays a condition
			d = divided{rest: element}
		}
		out.proofs = append(out.proofs, d.proofs...)
		if d.addresses != nil {
			out.addresses = d.addresses
		}
		if d.rest != nil {
			rest.of = append(rest.of, d.rest)
		}
	}
	if len(rest.of) > 0 {
		out.rest = rest
	}
	return out, nil
}

// divideOr knows three forms: any of several proofs, any of several networks, and the same
// signature in every branch.
func (t *translation) divideOr(r *rule, all bool) (divided, error) {
	signed := hasSignature(r)
	if len(r.of) == 0 || !signed && !all {
		return divided{rest: r}, nil
	}
	var parts []divided
	onlyProofs, onlyAddresses := true, true
	for _, element := range r.of {
		d, err := t.divide(element, !signed || element.word == "match")
		if err != nil {
			return divided{}, err
		}
		onlyProofs = onlyProofs && len(d.proofs) == 1 && d.rest == nil && d.addresses == nil
		onlyAddresses = onlyAddresses && len(d.proofs) == 0 && d.rest == nil && d.addresses != nil
		parts = append(parts, d)
	}
	var out divided
	switch {
	case onlyProofs:
		var any []credential
		for _, d := range parts {
			any = append(any, d.proofs[0]...)
		}
		if signed && !t.hook.soft && len(any) > 1 {
			t.warn(r.line, r.col, "each of its %d secrets is tried now; without trigger-signature-soft-failures adnanh/webhook gave up after the first wrong one", len(any))
		}
		return divided{proofs: [][]credential{any}}, nil
	case onlyAddresses:
		for _, d := range parts {
			out.addresses = append(out.addresses, d.addresses...)
		}
		return out, nil
	case !signed:
		return divided{rest: r}, nil
	}
	return t.factor(r, parts)
}

// factor takes the proof out that every branch of an or has.
func (t *translation) factor(r *rule, parts []divided) (divided, error) {
	out := divided{proofs: parts[0].proofs, rest: &rule{line: r.line, col: r.col, word: "or"}}
	for _, d := range parts {
		if !reflect.DeepEqual(d.proofs, out.proofs) || d.addresses != nil {
			return divided{}, refuse("a signature inside or, line %d, is one of several ways in, each with its own conditions; here a sender is verified first, before any rule. Split the hook into one for each sender", r.line)
		}
		if d.rest == nil {
			out.rest = nil
		}
		if out.rest != nil {
			out.rest.of = append(out.rest.of, d.rest)
		}
	}
	return out, nil
}

func hasSignature(r *rule) bool {
	if r.word == "match" {
		return r.match.kind == "scalr-signature" || isSignature(r.match.kind)
	}
	for _, element := range r.of {
		if hasSignature(element) {
			return true
		}
	}
	return false
}

// credential is the proof a match asks for; nil when it asks for none.
func (t *translation) credential(r *rule, all bool) (*credential, error) {
	m := r.match
	switch {
	case m.kind == "scalr-signature" || isSignature(m.kind):
		if m.secret == "" {
			return nil, refuse("its signature rule, line %d, has no secret: it never ran", r.line)
		}
		if m.kind == "scalr-signature" {
			return &credential{scheme: "scalr", secret: m.secret}, nil
		}
		place, ok := map[string]string{"header": "header", "url": "query", "query": "query"}[m.parameter.source]
		if !ok || m.parameter.name == "" {
			return nil, refuse("a signature from %q, line %d, cannot be checked: it has to be in a header or the query", m.parameter.source, r.line)
		}
		return &credential{scheme: "hmac", hash: signatureHash(m.kind), place: place, name: m.parameter.name, secret: m.secret}, nil
	case m.kind == "value" && all && m.value != "" && secretName(m.parameter.name):
		return t.token(m), nil
	}
	return nil, nil
}

// token is a secret that the sender repeats.
func (t *translation) token(m match) *credential {
	switch m.parameter.source {
	case "header":
		scheme, rest, _ := strings.Cut(m.value, " ")
		if strings.EqualFold(m.parameter.name, "Authorization") && rest != "" && !strings.Contains(rest, " ") {
			if scheme == "Bearer" {
				return &credential{scheme: "bearer", secret: rest}
			}
			pair, err := base64.StdEncoding.Strict().DecodeString(rest)
			if user, password, ok := strings.Cut(string(pair), ":"); scheme == "Basic" && err == nil && ok && user != "" && password != "" {
				return &credential{scheme: "basic", user: user, secret: password}
			}
		}
		return &credential{scheme: "token", place: "header", name: m.parameter.name, secret: m.value}
	case "url", "query":
		return &credential{scheme: "token", place: "query", name: m.parameter.name, secret: m.value}
	case "payload":
		for _, s := range strings.Split(m.parameter.name, ".") {
			if !isIdentifier(s) {
				return nil
			}
		}
		if _, _, parsed := t.let("payload", m.parameter.name); !parsed && !otherThanText(m.value) {
			return &credential{scheme: "token", place: "field", name: m.parameter.name, secret: m.value}
		}
	}
	return nil
}

// presets are the senders whose signature or token has a name of its own.
var presets = []struct{ provider, scheme, hash, header string }{
	{"github", "hmac", "sha256", "X-Hub-Signature-256"},
	{"gitea", "hmac", "sha256", "X-Gitea-Signature"},
	{"gitea", "hmac", "sha256", "X-Forgejo-Signature"},
	{"gogs", "hmac", "sha256", "X-Gogs-Signature"},
	{"gitlab", "token", "", "X-Gitlab-Token"},
}

// preset is the provider that checks just these proofs, or "".
func preset(proofs [][]credential) string {
	if len(proofs) != 1 {
		return ""
	}
	for _, c := range proofs[0] {
		if !c.same(proofs[0][0]) || strings.HasPrefix(c.secret, "whsec_") {
			return ""
		}
	}
	c := proofs[0][0]
	if c.scheme == "scalr" {
		return "scalr"
	}
	for _, p := range presets {
		if c.scheme == p.scheme && c.hash == p.hash && c.place == "header" && strings.EqualFold(c.name, p.header) {
			return p.provider
		}
	}
	return ""
}

// verification are the keys that say how the sender proves itself.
func (t *translation) verification(proofs [][]credential) []migrate.Pair {
	if t.provider != "" {
		keys := []migrate.Pair{{Key: "provider", Value: migrate.Text(t.provider)}}
		if t.provider == "scalr" {
			keys = append(keys, migrate.Pair{Key: "verify", Value: migrate.Map{{Key: "tolerance", Value: migrate.Word("5m")}}})
		}
		return append(keys, t.secrets(proofs[0]))
	}
	switch {
	case len(proofs) == 0:
		return nil
	case len(proofs) == 1 && allSame(proofs[0]):
		return []migrate.Pair{{Key: "verify", Value: scheme(proofs[0][0])}, t.secrets(proofs[0])}
	case len(proofs) == 1:
		return []migrate.Pair{{Key: "verify", Value: t.any(proofs[0])}}
	}
	var all migrate.List
	for _, any := range proofs {
		all = append(all, t.any(any))
	}
	return []migrate.Pair{{Key: "verify", Value: migrate.Map{{Key: "all", Value: all}}}}
}

func allSame(of []credential) bool {
	for _, c := range of {
		if !c.same(of[0]) {
			return false
		}
	}
	return true
}

// any is a scheme with its secret inside it, or several of which one is enough.
func (t *translation) any(of []credential) migrate.Value {
	if allSame(of) {
		return append(scheme(of[0]), t.secrets(of))
	}
	var list migrate.List
	for _, c := range of {
		list = append(list, append(scheme(c), t.secrets([]credential{c})))
	}
	return migrate.Map{{Key: "any", Value: list}}
}

func (t *translation) secrets(of []credential) migrate.Pair {
	var words []string
	for _, c := range of {
		words = append(words, t.literal(c.secret))
	}
	return migrate.Pair{Key: "secret", Value: migrate.Texts(words...)}
}

func scheme(c credential) migrate.Map {
	switch c.scheme {
	case "scalr": // beside other proofs, where no preset can stand
		return migrate.Map{
			{Key: "scheme", Value: migrate.Text("hmac")},
			{Key: "hash", Value: migrate.Text("sha1")},
			{Key: "header", Value: migrate.Text("X-Signature")},
			{Key: "signed", Value: migrate.Text("{body}{header:Date}")},
		}
	case "basic":
		return migrate.Map{{Key: "scheme", Value: migrate.Text("basic")}, {Key: "username", Value: migrate.Text(migrate.Literal(c.user))}}
	case "bearer":
		return migrate.Map{{Key: "scheme", Value: migrate.Text("bearer")}}
	}
	out := migrate.Map{{Key: "scheme", Value: migrate.Text(c.scheme)}}
	if c.hash != "" {
		out = append(out, migrate.Pair{Key: "hash", Value: migrate.Text(c.hash)})
	}
	return append(out, migrate.Pair{Key: c.place, Value: migrate.Text(migrate.Literal(c.name))})
}
