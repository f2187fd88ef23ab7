package hook

import (
	"errors"
	"fmt"

	"github.com/tenterhook/tenterhook/internal/expression"
	"github.com/tenterhook/tenterhook/internal/job"
)

// Matcher is an expression that deliveries of one hook are asked with.
type Matcher struct {
	hook  *Hook
	match *expression.Program
}

// Matcher compiles an expression of the hook's names. The error is an *expression.Error.
func (h *Hook) Matcher(source string) (*Matcher, error) {
	match, err := expression.CompileMatch(source, h.scope)
	if err != nil {
		return nil, err
	}
	return &Matcher{h, match}, nil
}

// Matches reports whether the expression holds for a stored delivery.
func (m *Matcher) Matches(d *job.Delivery) (bool, error) {
	r := Replay(d)
	r.Format = m.hook.Format
	in := m.hook.input(r, Identity{Key: d.Key, Event: d.Event}, d.ID)
	in.Now = d.ReceivedAt
	ok, err := m.match.Bool(in)
	if err != nil {
		return false, errors.New(m.hook.shown(err.Error()))
	}
	return ok, nil
}

// Try is the hook with another match for one of its rules, and no other rule. The error is an
// *expression.Error when the match is wrong.
func (h *Hook) Try(rule, match string) (*Hook, error) {
	for _, r := range h.Rules {
		if r.Name != rule {
			continue
		}
		program, err := expression.CompileMatch(match, h.scope)
		if err != nil {
			return nil, err
		}
		with := *r
		with.Match, with.match = match, program
		with.Hook = h.with([]*Rule{&with})
		return with.Hook, nil
	}
	return nil, fmt.Errorf("hook %q has no rule %q", h.Name, rule)
}
