// Package backtest compares what two configurations make of deliveries that were stored: which
// rules match, and what they would run. It is pure: nothing is run or stored.
package backtest

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
)

// MostIDs is how many ids of deliveries a change names, the newest ones.
const MostIDs = 20

// Report is what changes from one configuration to another.
type Report struct {
	Deliveries int     `json:"deliveries"` // that were compared
	Rules      []*Rule `json:"rules"`      // by hook, in the order in which they were met

	byName map[[2]string]*Rule
}

// Rule is what changes for one rule.
type Rule struct {
	Hook    string `json:"hook"`
	Rule    string `json:"rule"`
	Before  int    `json:"before"` // deliveries it matched
	After   int    `json:"after"`
	Gained  Change `json:"gained"`  // matched only after
	Lost    Change `json:"lost"`    // matched only before
	Errors  Change `json:"errors"`  // could be evaluated before, and not after
	Changed Change `json:"changed"` // would run something else, or in another lane
}

// Change counts deliveries and names some.
type Change struct {
	Count int      `json:"count"`
	IDs   []string `json:"ids"`
}

func (c *Change) add(id string) {
	c.Count++
	if len(c.IDs) < MostIDs {
		c.IDs = append(c.IDs, id)
	}
}

// New makes an empty report.
func New() *Report { return &Report{Rules: []*Rule{}, byName: map[[2]string]*Rule{}} }

// Lost is how many matches are lost in all.
func (r *Report) Lost() (n int) {
	for _, rule := range r.Rules {
		n += rule.Lost.Count
	}
	return n
}

// Add compares what before and after make of a delivery with its body.
func (r *Report) Add(d *job.Delivery, before, after *hook.Set) {
	r.Deliveries++
	was, is := decisions(before.Hook(d.Hook), d), decisions(after.Hook(d.Hook), d)
	for _, one := range is {
		r.compare(d, find(was, one.rule), one)
	}
	for _, one := range was {
		if find(is, one.rule).rule == "" {
			r.compare(d, one, decision{rule: one.rule})
		}
	}
}

// decision is what one rule makes of a delivery.
type decision struct {
	rule    string // "" when there is no such rule
	matches bool
	fails   bool
	runs    string // what would run, and in which lane
}

func find(all []decision, rule string) decision {
	if i := slices.IndexFunc(all, func(d decision) bool { return d.rule == rule }); i >= 0 {
		return all[i]
	}
	return decision{}
}

func decisions(h *hook.Hook, d *job.Delivery) (out []decision) {
	if h == nil {
		return nil
	}
	for _, x := range h.DecideStored(d) {
		one := decision{rule: x.Rule, matches: x.Verdict == job.Match, fails: x.Verdict == job.Error || x.Error != ""}
		if one.matches {
			text, err := json.Marshal([]any{x.Action, x.ConcurrencyKey, x.Keys})
			if err != nil {
				one.fails = true
			}
			one.runs = string(text)
		}
		out = append(out, one)
	}
	return out
}

func (r *Report) compare(d *job.Delivery, was, is decision) {
	rule := r.rule(d.Hook, is.rule)
	if was.matches {
		rule.Before++
	}
	if is.matches {
		rule.After++
	}
	switch {
	case is.fails && !was.fails:
		rule.Errors.add(d.ID)
	case is.matches && was.matches && is.runs != was.runs:
		rule.Changed.add(d.ID)
	}
	switch {
	case is.matches && !was.matches:
		rule.Gained.add(d.ID)
	case was.matches && !is.matches:
		rule.Lost.add(d.ID)
	}
}

func (r *Report) rule(hookName, ruleName string) *Rule {
	key := [2]string{hookName, ruleName}
	if found := r.byName[key]; found != nil {
		return found
	}
	rule := &Rule{Hook: hookName, Rule: ruleName}
	r.byName[key] = rule
	i, _ := slices.BinarySearchFunc(r.Rules, hookName, func(a *Rule, name string) int {
		if a.Hook == name {
			return -1 // behind those of its hook
		}
		return strings.Compare(a.Hook, name)
	})
	r.Rules = slices.Insert(r.Rules, i, rule)
	return rule
}
