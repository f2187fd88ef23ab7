// Package backtest compares what two configurations make of deliveries that were stored: which
// rules match, what they would run, and what would not be let in. Nothing is run or stored.
package backtest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
)

// MostIDs is how many ids of deliveries a change names, the newest ones.
const MostIDs = 20

// Report is what changes from one configuration to another.
type Report struct {
	Deliveries int     `json:"deliveries"` // that were compared
	Lost       int     `json:"lost"`       // matches, of all rules
	Complete   bool    `json:"complete"`   // all that were asked for were compared, in the time there was
	Hooks      []*Hook `json:"hooks"`      // in the order in which they were met
	Rules      []*Rule `json:"rules"`      // by hook, in the order in which they were met

	hooks map[string]*Hook
	rules map[[2]string]*Rule
}

// Hook is what changes for all deliveries of a hook.
type Hook struct {
	Hook       string `json:"hook"`
	Deliveries int    `json:"deliveries"`
	Gone       bool   `json:"gone"`        // the new configuration has no such hook
	PathIsNow  string `json:"path_is_now"` // of a hook that is gone: the hook that has its path
	LostSecret Change `json:"lost_secret"` // verified by a secret that the hook no longer has
	Refused    Change `json:"refused"`     // would no longer be let in, for another reason
}

// Rule is what changes for one rule.
type Rule struct {
	Hook    string   `json:"hook"`
	Rule    string   `json:"rule"`
	Before  int      `json:"before"` // deliveries it matched
	After   int      `json:"after"`
	Gained  Change   `json:"gained"`            // matched only after
	Lost    Change   `json:"lost"`              // matched only before
	Errors  Change   `json:"errors"`            // could be evaluated before, and not after
	Changed Change   `json:"changed"`           // would run something else
	Keys    Change   `json:"keys"`              // would wait in another lane, or be controlled by other keys
	Example *Example `json:"example,omitempty"` // the newest of Changed or Keys
}

// Change counts deliveries and names some.
type Change struct {
	Count int      `json:"count"`
	IDs   []string `json:"ids"`
	First string   `json:"first,omitempty"` // why, of the first that was met: the newest
}

func (c *Change) add(id, why string) {
	if c.Count++; c.Count == 1 {
		c.First = why
	}
	if len(c.IDs) < MostIDs {
		c.IDs = append(c.IDs, id)
	}
}

// Example is what a rule would run for a delivery, before and after, secrets masked.
type Example struct {
	Delivery string  `json:"delivery"`
	Before   Outcome `json:"before"`
	After    Outcome `json:"after"`
}

// Outcome is what a match comes to.
type Outcome struct {
	Action         map[string]any `json:"action"`
	ConcurrencyKey string         `json:"concurrency_key"`
	Keys           *job.Keys      `json:"keys,omitempty"`
}

// newReport makes an empty report.
func newReport() *Report {
	return &Report{Hooks: []*Hook{}, Rules: []*Rule{}, hooks: map[string]*Hook{}, rules: map[[2]string]*Rule{}}
}

// verdict is what the two configurations make of one delivery. It does not depend on others, so
// that many can be made at once.
type verdict struct {
	id, hook   string
	gone       bool
	pathIsNow  string
	lostSecret string // why; "" when it is not lost
	refused    string
	before     []decision
	after      []decision
}

// decision is what one rule makes of a delivery.
type decision struct {
	rule    string // "" when there is no such rule
	matches bool
	failure string // why it cannot be evaluated, "" when it can
	outcome Outcome
	action  string // of outcome, to be compared
	keys    string
}

// compare decides on a delivery with its body, before and after.
func compare(d *job.Delivery, before, after *hook.Set) verdict {
	v := verdict{id: d.ID, hook: d.Hook}
	r := hook.Replay(d)
	was, is := before.Hook(d.Hook), after.Hook(d.Hook)
	if was != nil {
		r.Format = was.Format
		v.before = decisions(was, r, d)
	}
	if is == nil {
		v.gone = true
		if other, _ := after.RouteStored(d); other != nil {
			v.pathIsNow = other.Name
		}
		return v
	}
	if was == nil || was.Format != is.Format { // else the body is parsed once for both
		r = hook.Replay(d)
		r.Format = is.Format
	}
	if was != nil && !was.SameSecret(d.Secret, is) {
		v.lostSecret = fmt.Sprintf("secret %d of %d is not among the new ones", d.Secret+1, was.SecretCount())
	}
	switch found, params := after.RouteStored(d); {
	case found != is:
		v.refused = fmt.Sprintf("path %s is not that of the hook any more: %s", d.Path, is.Path)
	default:
		r.Params = params
		v.refused = is.Refuses(r)
	}
	if v.refused == "" && v.lostSecret == "" {
		v.after = decisions(is, r, d)
	}
	return v
}

func decisions(h *hook.Hook, r *request.Request, d *job.Delivery) (out []decision) {
	for _, x := range h.Decide(r, d) {
		one := decision{rule: x.Rule, matches: x.Verdict == job.Match, failure: x.Error}
		if one.matches {
			one.outcome = Outcome{x.Action, x.ConcurrencyKey, x.Keys}
			one.action, one.keys = written(x.Action, &one), written([]any{x.ConcurrencyKey, x.Keys}, &one)
		}
		out = append(out, one)
	}
	return out
}

func written(v any, d *decision) string {
	text, err := json.Marshal(v)
	if err != nil {
		d.failure = err.Error()
	}
	return string(text)
}

func find(all []decision, rule string) decision {
	if i := slices.IndexFunc(all, func(d decision) bool { return d.rule == rule }); i >= 0 {
		return all[i]
	}
	return decision{}
}

// add counts a verdict.
func (r *Report) add(v *verdict) {
	r.Deliveries++
	h := r.hook(v.hook)
	h.Deliveries++
	h.Gone, h.PathIsNow = v.gone, v.pathIsNow
	if v.lostSecret != "" {
		h.LostSecret.add(v.id, v.lostSecret)
	}
	if v.refused != "" {
		h.Refused.add(v.id, v.refused)
	}
	for i := range v.after {
		r.compare(v, find(v.before, v.after[i].rule), v.after[i])
	}
	for i := range v.before {
		if find(v.after, v.before[i].rule).rule == "" {
			r.compare(v, v.before[i], decision{rule: v.before[i].rule})
		}
	}
}

func (r *Report) compare(v *verdict, was, is decision) {
	rule := r.rule(v.hook, is.rule)
	if was.matches {
		rule.Before++
	}
	if is.matches {
		rule.After++
	}
	if is.failure != "" && was.failure == "" {
		rule.Errors.add(v.id, is.failure)
	}
	switch {
	case is.matches && !was.matches:
		rule.Gained.add(v.id, "")
	case was.matches && !is.matches:
		r.Lost++
		rule.Lost.add(v.id, lostWhy(v, &is))
	case is.matches && (is.action != was.action || is.keys != was.keys):
		if is.action != was.action {
			rule.Changed.add(v.id, "")
		}
		if is.keys != was.keys {
			rule.Keys.add(v.id, "")
		}
		if rule.Example == nil {
			rule.Example = &Example{v.id, was.outcome, is.outcome}
		}
	}
}

// lostWhy says why a match is lost where that is not the rule's own verdict.
func lostWhy(v *verdict, is *decision) string {
	switch {
	case v.gone:
		return "the hook is gone"
	case v.lostSecret != "":
		return v.lostSecret
	case v.refused != "":
		return v.refused
	case v.after == nil || find(v.after, is.rule).rule == "":
		return "the rule is gone"
	}
	return is.failure
}

func (r *Report) hook(name string) *Hook {
	if r.hooks[name] == nil {
		r.hooks[name] = &Hook{Hook: name}
		r.Hooks = append(r.Hooks, r.hooks[name])
	}
	return r.hooks[name]
}

func (r *Report) rule(hookName, ruleName string) *Rule {
	key := [2]string{hookName, ruleName}
	if found := r.rules[key]; found != nil {
		return found
	}
	rule := &Rule{Hook: hookName, Rule: ruleName}
	r.rules[key] = rule
	i, _ := slices.BinarySearchFunc(r.Rules, hookName, func(a *Rule, name string) int {
		if a.Hook == name {
			return -1 // behind those of its hook
		}
		return strings.Compare(a.Hook, name)
	})
	r.Rules = slices.Insert(r.Rules, i, rule)
	return rule
}
