package hook

import (
	"slices"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/action"
	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/expression"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

// nameSpec is what a rule of rules: says beside an inline one.
type nameSpec struct {
	Name config.Text `yaml:"name" doc:"Unique in the hook; required when the hook has more than one rule."`
}

// ruleSpec is what every rule may say beside its action.
type ruleSpec struct {
	Match       config.Text `yaml:"match" doc:"An expression that is true or false. Names: event, payload, header(), branch, repo, … and those of let:." default:"true"`
	Retry       *retrySpec  `yaml:"retry" doc:"Further attempts after one that failed."`
	Report      config.Node `yaml:"report" doc:"Tell the sender what becomes of the job: github-status, github-deployment, gitlab-status or gitea-status; a mapping, or a list."`
	OnInterrupt config.Text `yaml:"on_interrupt" doc:"What a run cut off by a crash becomes. Otherwise retry when there is more than one attempt, else fail." oneof:"fail retry"`
}

type retrySpec struct {
	Attempts *int           `yaml:"attempts" doc:"Attempts in all." default:"1 for commands, 5 for http"`
	Initial  *time.Duration `yaml:"initial" doc:"The pause before the second attempt." default:"10s"`
	Factor   *float64       `yaml:"factor" doc:"Each further pause is so many times the one before." default:"2"`
	Max      *time.Duration `yaml:"max" doc:"The longest pause." default:"1h"`
	Jitter   config.Text    `yaml:"jitter" doc:"full: a pause is a random part of what it could be." oneof:"full none" default:"full"`
}

// compileRules compiles rules:, or the one rule written inline in the hook's own mapping m.
func compileRules(h *Hook, m *config.Map, node config.Node, spec *hookSpec, scope expression.Scope, c Context, d *config.Diagnostics) {
	if h.Hold != nil && !isInline(node) {
		m.Close()
		return
	}
	if h.Hold != nil {
		d.Errorf(spec.Hold, "hold and an action contradict each other: nothing is run for what is held").Hint("the action belongs to the hook that takes the deliveries")
	}
	if spec.Rules.IsZero() || isInline(node) {
		if !spec.Rules.IsZero() {
			d.Errorf(node.Key("rules"), "a hook has rules: or one rule written in the hook itself, not both")
		}
		if rule := compileRule(h, h.Name, m, node, scope, c, d); rule != nil {
			h.Rules = []*Rule{rule}
		}
		return
	}
	m.Close()
	nodes := spec.Rules.List()
	if len(nodes) == 0 {
		d.Errorf(spec.Rules, "rules is empty: nothing would ever run").Hint("give it a rule with match: and run:")
	}
	seen := map[string]bool{}
	for _, ruleNode := range nodes {
		compileNamedRule(h, ruleNode, len(nodes) > 1, seen, scope, c, d)
	}
}

func compileNamedRule(h *Hook, node config.Node, needsName bool, seen map[string]bool, scope expression.Scope, c Context, d *config.Diagnostics) {
	if node.Kind() != config.KindMap {
		d.Errorf(node, "a rule is a mapping with match: and an action (run:, exec: or http:)")
		return
	}
	full := withDefaults(node, c.Defaults)
	m := full.Map(d)
	var s nameSpec
	m.Decode(&s)
	name := s.Name.Value
	switch {
	case name == "" && needsName:
		d.Errorf(node, "a rule needs a name when the hook has more than one").Hint("add name: to each rule")
	case name == "":
		name = h.Name
	case seen[name]:
		d.Errorf(s.Name, "rule %q is declared twice in hook %q", name, h.Name)
	}
	checkName(s.Name, "rule", d)
	seen[name] = true
	if rule := compileRule(h, name, m, full, scope, c, d); rule != nil {
		h.Rules = append(h.Rules, rule)
	}
}

// defaultKeys are the rule keys that defaults: may set: those that make sense for every rule.
var defaultKeys = slices.Concat([]string{"timeout"}, commandOnly, ruleOnly)

// commandOnly are the defaults that only commands know.
var commandOnly = []string{"grace", "shell", "env", "dir", "user", "umask", "no_new_privs", "sandbox", "limits"}

// ruleOnly are the defaults that an action which follows a job does not have.
var ruleOnly = []string{"retry", "on_interrupt", "start_within", "priority", "concurrency", "on", "on_success", "on_failure", "on_cancel"}

// checkDefaults refuses keys in defaults: that no rule could take from it.
func checkDefaults(defaults config.Node, d *config.Diagnostics) {
	if defaults.IsZero() {
		return
	}
	m := defaults.Map(d)
	m.Know(defaultKeys...)
	m.Close()
}

// withDefaults is the rule with the keys of defaults: that it does not set itself. A default
// that only some actions know (dir, shell) is not forced on the others.
func withDefaults(rule, defaults config.Node) config.Node {
	if !rule.Find("http").IsZero() {
		return rule.WithDefaults(defaults.Without(commandOnly...))
	}
	return rule.WithDefaults(defaults)
}

// compileRule reads one rule from m, whose keys may be shared with the hook (inline rules), and
// closes m: a key that nobody has asked for by then is a problem.
func compileRule(h *Hook, name string, m *config.Map, node config.Node, scope expression.Scope, c Context, d *config.Diagnostics) *Rule {
	var spec ruleSpec
	var flow flowSpec
	var after afterSpec
	m.Decode(&spec)
	m.Decode(&flow)
	m.Decode(&after)
	r := &Rule{Name: name, Hook: h, Match: node.Find("match").Literal().Value, after: map[string][]FollowUp{}}
	r.Action = action.Compile(m, node, action.Context{
		Dir: c.Dir, Scope: scope, Diagnostics: d, Hook: h.Name, Rule: name, Mask: c.masks,
	})
	m.Close()
	if spec.Match.Value != "" {
		r.match = compileMatch(spec.Match, scope, d)
		if r.match != nil {
			r.shownMatch = h.shown(r.match.Source())
		}
		warnUnsigned(h, spec.Match, r.match, d)
	} else if !node.Find("match").IsZero() {
		d.Errorf(node.Find("match"), "match is empty").Hint("leave match out to take every delivery")
	}
	compileFlow(r, &flow, node, scope, c, d)
	compileReports(r, spec.Report, scope, d)
	compileAfter(r, &after, node, scope, c, d)
	if r.Action == nil {
		return nil
	}
	if c.Fleet && r.Action.Survives() {
		d.Errorf(node.Find("survive"), "survive: true is for one daemon on a file: when a node is gone, others take its jobs over and cannot know what lives on there").
			Hint("leave survive out, or use store: {url: sqlite:tenterhook.db}")
	}
	r.Retry = compileRetry(spec.Retry, node.Find("retry"), r.Action.Retry(), d)
	r.OnInterrupt = compileOnInterrupt(spec.OnInterrupt, r.Retry, d)
	return r
}

// warnUnsigned warns of a rule that decides on a header the signature does not cover.
func warnUnsigned(h *Hook, text config.Text, match *expression.Program, d *config.Diagnostics) {
	signer, ok := h.verifier.(verify.HeaderSigner)
	if !ok || match == nil {
		return
	}
	covered := signer.SignedHeaders()
	for _, name := range match.Headers() {
		if slices.ContainsFunc(covered, func(s string) bool { return strings.EqualFold(s, name) }) {
			continue
		}
		at := config.Placed(text)
		if i := strings.Index(text.Value, name); i >= 0 {
			at = text.Span(i, i+len(name))
		}
		d.Warnf(at, "header %s is not signed: whoever has one signed request can send it again with another value", name).
			Hint("decide on payload, or on event where the sender's preset has it")
	}
}

func compileMatch(text config.Text, scope expression.Scope, d *config.Diagnostics) *expression.Program {
	p, _ := config.Compile(text, d, func(source string) (*expression.Program, error) { return expression.CompileMatch(source, scope) })
	return p
}

func compileOnInterrupt(text config.Text, retry job.RetryPolicy, d *config.Diagnostics) string {
	switch text.Value {
	case "":
		if retry.Attempts > 1 {
			return "retry"
		}
		return "fail"
	case "fail", "retry":
		return text.Value
	}
	suggest(d.Errorf(text, "unknown on_interrupt %q", text.Value), text.Value, []string{"fail", "retry"})
	return "fail"
}

// compileRetry lays what the rule says over its action kind's own policy.
func compileRetry(spec *retrySpec, node config.Node, p job.RetryPolicy, d *config.Diagnostics) job.RetryPolicy {
	if spec == nil {
		return p
	}
	set(&p.Attempts, spec.Attempts)
	set(&p.Initial, spec.Initial)
	set(&p.Factor, spec.Factor)
	set(&p.Max, spec.Max)
	switch spec.Jitter.Value {
	case "", "full":
	case "none":
		p.Jitter = false
	default:
		suggest(d.Errorf(spec.Jitter, "unknown jitter %q", spec.Jitter.Value), spec.Jitter.Value, []string{"full", "none"})
	}
	if p.Attempts < 1 || p.Attempts > 100 {
		d.Errorf(within(node, "attempts"), "attempts is between 1 (no retry) and 100, found %d", p.Attempts)
	}
	if p.Factor < 1 || p.Factor > 100 {
		d.Errorf(within(node, "factor"), "factor is between 1 and 100, found %g", p.Factor)
	}
	if p.Max < p.Initial && spec.Max != nil {
		d.Errorf(within(node, "max"), "max (%s) is shorter than initial (%s)", p.Max, p.Initial)
	}
	p.Max = max(p.Max, p.Initial)
	return p
}

// set copies a value that was written over its default.
func set[T any](into, written *T) {
	if written != nil {
		*into = *written
	}
}

// within is the node of a key, or the mapping's own when the key is absent.
func within(node config.Node, key string) config.Node {
	if found := node.Find(key); !found.IsZero() {
		return found
	}
	return node
}

// isInline reports whether a hook's own mapping holds its one rule.
func isInline(hook config.Node) bool {
	return slices.ContainsFunc(hook.Entries(), func(e config.Entry) bool {
		return e.Key.Value == "match" || slices.ContainsFunc(action.Kinds(), func(k action.Kind) bool { return k.Name == e.Key.Value })
	})
}

func join(words []string) string { return strings.Join(words, ", ") }
