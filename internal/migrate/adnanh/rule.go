package adnanh

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

// condition is an expression with what binds its parts: comparisons bind more than &&, which
// binds more than ||.
type condition struct {
	parts []string // with their operators in front, but for the first
	level level
}

type level int

const (
	alternatives level = iota
	conjunction
	comparison
)

var (
	always = condition{[]string{"true"}, comparison}
	never  = condition{[]string{"false"}, comparison}
)

func one(s string) condition { return condition{[]string{s}, comparison} }

func (c condition) String() string { return strings.Join(c.parts, " ") }

func (c condition) is(other condition) bool { return c.String() == other.String() }

// within is the condition as a part of another one.
func (c condition) within(l level) string {
	if c.level < l {
		return "(" + c.String() + ")"
	}
	return c.String()
}

// join joins conditions; those that change nothing are left out.
func join(of []condition, l level) condition {
	neutral, decides, operator := always, never, "&& "
	if l == alternatives {
		neutral, decides, operator = never, always, "|| "
	}
	var kept []condition
	for _, c := range of {
		if c.is(decides) {
			return decides
		}
		if !c.is(neutral) {
			kept = append(kept, c)
		}
	}
	switch len(kept) {
	case 0:
		return neutral
	case 1:
		return kept[0]
	}
	var parts []string
	for i, c := range kept {
		texts := []string{c.within(comparison)}
		if c.level == l {
			texts = c.parts // the same operator: no brackets, each part on its own
		}
		if i > 0 {
			texts = append([]string{operator + texts[0]}, texts[1:]...)
		}
		parts = append(parts, texts...)
	}
	return condition{parts, l}
}

func not(c condition) condition {
	switch {
	case c.is(always):
		return never
	case c.is(never):
		return always
	}
	s := c.String()
	if c.level == comparison && strings.Count(s, " == ") == 1 && !strings.Contains(s, "matches") && !strings.HasPrefix(s, "!") {
		return one(strings.Replace(s, " == ", " != ", 1))
	}
	return one("!(" + s + ")")
}

// refusal says why a hook cannot be carried over.
type refusal struct{ why string }

func (r *refusal) Error() string { return r.why }

func refuse(format string, a ...any) error { return &refusal{fmt.Sprintf(format, a...)} }

// maxSteps bounds the translation of one rule: what is said twice for a not inside an and doubles
// with each level.
const maxSteps = 2000

// condition translates a rule.
//
// In the peer a rule has a value, and a flag that a parameter was missing. An and fails where
// the flag of an element is set, which only makes a difference for a not: "not x" is true when
// what x looks at is missing, but not inside an and. There the condition says first that it is
// there.
func (t *translation) condition(r *rule) (condition, error) {
	if t.steps++; t.steps > maxSteps {
		return never, refuse("its rule is nested so deep that nobody could read what became of it")
	}
	switch r.word {
	case "and":
		return t.conjunction(r)
	case "or":
		var of []condition
		for _, element := range r.of {
			c, err := t.condition(element)
			if err != nil {
				return never, err
			}
			of = append(of, c)
		}
		return join(of, alternatives), nil
	case "not":
		c, err := t.condition(r.of[0])
		return not(c), err
	case "match":
		return t.match(r)
	}
	return never, nil
}

func (t *translation) conjunction(r *rule) (condition, error) {
	var of []condition
	for _, element := range r.of {
		c, err := t.condition(element)
		if err != nil {
			return never, err
		}
		if element.word == "not" {
			guard, err := t.unflagged(element.of[0])
			if err != nil {
				return never, err
			}
			if !c.is(guard) {
				of = append(of, guard)
			}
		}
		of = append(of, c)
	}
	return join(of, conjunction), nil
}

// unflagged is the condition that a rule does not end with the flag of a missing parameter.
func (t *translation) unflagged(r *rule) (condition, error) {
	if t.steps++; t.steps > maxSteps {
		return t.condition(r) // which refuses
	}
	switch r.word {
	case "match":
		if found, ok := t.find(r.match.parameter); ok && found.present != "" && r.match.kind != "ip-whitelist" {
			return one(found.present), nil
		}
	case "not":
		return t.unflagged(r.of[0])
	case "and":
		result := always
		for i := len(r.of) - 1; i >= 0; i-- { // the first flag counts, unless an element was false before
			c, err := t.condition(r.of[i])
			if err != nil {
				return never, err
			}
			own, err := t.unflagged(r.of[i])
			if err != nil {
				return never, err
			}
			result = join([]condition{own, join([]condition{not(c), result}, alternatives)}, conjunction)
		}
		return result, nil
	}
	return always, nil
}

func (t *translation) match(r *rule) (condition, error) {
	m := r.match
	switch {
	case m.kind == "ip-whitelist":
		return t.addresses(r)
	case m.kind == "scalr-signature" || isSignature(m.kind):
		return never, refuse("a signature inside or or not, line %d, decides together with other rules; here a sender is verified first, before any rule. Split the hook into one for each sender", r.line)
	case m.kind != "value" && m.kind != "regex":
		t.warn(r.line, r.col, "match type %q is unknown to adnanh/webhook, too: the rule was never true", m.kind)
		return never, nil
	}
	at, ok := t.find(m.parameter)
	if !ok {
		return never, refuse("adnanh/webhook has no source %q with the name %q, line %d: it answered every such request with 500", m.parameter.source, m.parameter.name, r.line)
	}
	if m.kind == "regex" {
		return t.pattern(r, at)
	}
	if at.constant != nil {
		if *at.constant == m.value {
			return always, nil
		}
		return never, nil
	}
	if secretName(m.parameter.name) && m.parameter.source != "payload" {
		t.warn(r.line, r.col, "%s looks like a secret, and is compared in an expression, which explain shows", m.parameter.name).
			Hint("verify: {scheme: token, …} keeps it out of sight")
	}
	return t.equal(m, at), nil
}

func (t *translation) equal(m match, at reference) condition {
	if m.value == "<nil>" && m.parameter.source == "payload" { // the peer's text of null
		if i := strings.LastIndexByte(at.expr, '.'); i > 0 && isIdentifier(at.expr[i+1:]) {
			return condition{[]string{quoteText(at.expr[i+1:]) + " in " + at.expr[:i], "&& " + at.expr + " == nil"}, conjunction}
		}
	}
	left := at.expr
	if otherThanText(m.value) {
		left = at.text()
	}
	return one(left + " == " + quoteText(m.value))
}

// otherThanText reports whether a number, true, a list or a mapping may have this text.
func otherThanText(value string) bool {
	return json.Valid([]byte(value)) && value[0] != '"' && value != "null"
}

func (t *translation) pattern(r *rule, at reference) (condition, error) {
	re, err := regexp.Compile(r.match.regex)
	if err != nil {
		return never, refuse("the pattern %q, line %d, is not one: adnanh/webhook answered every such request with 500", r.match.regex, r.line)
	}
	if at.constant != nil {
		if re.MatchString(*at.constant) {
			return always, nil
		}
		return never, nil
	}
	if at.usual {
		return one(at.expr + " matches " + quotePattern(r.match.regex)), nil
	}
	return one(at.text() + " matches " + quotePattern(r.match.regex)), nil
}

// addresses is an ip-whitelist that is not the whole rule.
func (t *translation) addresses(r *rule) (condition, error) {
	networks, wrong := t.networks(r)
	if len(wrong) > 0 {
		return never, refuse("%q, line %d, is no address and no network: adnanh/webhook answered every such request with 500", wrong[0], r.line)
	}
	var of []condition
	for _, n := range networks {
		of = append(of, one("cidr("+quoteText(n)+", ip)"))
	}
	return join(of, alternatives), nil
}

// networks are the networks of an ip-whitelist, and what is none. A single address is exactly
// that: the peer takes a single IPv6 address for a network of 2^96.
func (t *translation) networks(r *rule) (networks, wrong []string) {
	for _, word := range strings.Fields(r.match.cidr) {
		prefix, err := netip.ParsePrefix(word)
		if addr, single := netip.ParseAddr(word); single == nil {
			prefix, err = addr.Prefix(addr.BitLen())
			if addr.Is6() && !addr.Is4In6() {
				t.warn(r.line, r.col, "%s is this one address now; adnanh/webhook let in the whole network %s/32", word, word)
			}
		}
		if err != nil {
			wrong = append(wrong, word)
			continue
		}
		networks = append(networks, prefix.Masked().String())
	}
	if len(networks) == 0 && len(wrong) == 0 {
		wrong = append(wrong, r.match.cidr)
	}
	return networks, wrong
}
