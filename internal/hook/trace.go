package hook

import (
	"github.com/tenterhook/tenterhook/internal/expression"
	"github.com/tenterhook/tenterhook/internal/job"
)

// The bounds of what is kept of a decision with a delivery, so that it says why after the
// configuration has changed: bytes of a value, and of a list or mapping; values of a rule, and bytes
// of them all.
const (
	keptValue  = 160
	keptList   = 64
	keptValues = 24
	keptTrace  = 4 << 10
)

// shownValue bounds a value that is shown and not kept, in bytes.
const shownValue = 512

// trace is the decision on one delivery as it is kept with it.
type trace struct {
	hook *Hook
	left int // bytes of values
}

func newTrace(h *Hook) *trace { return &trace{hook: h, left: keptTrace} }

// verdict is a rule's line of the decision. Once the room for values is used up, further rules
// have none.
func (t *trace) verdict(r *Rule, d *decision) job.RuleVerdict {
	line := job.RuleVerdict{Rule: r.Name, Verdict: d.verdict, Match: r.shownMatch}
	if d.err != nil {
		line.Error = t.hook.shown(d.err.Error())
	}
	if len(d.values) == 0 {
		return line
	}
	line.Values = make([]job.RuleValue, 0, min(len(d.values), keptValues))
	for _, v := range d.values {
		limit := keptValue
		switch v.Value.(type) {
		case []any, map[string]any:
			limit = keptList
		}
		kept := t.hook.value(v, limit)
		size := len(kept.Expr) + len(kept.Value) + len(kept.Error)
		if len(line.Values) == keptValues || size > t.left {
			line.Cut = true
			break
		}
		t.left -= size
		line.Values = append(line.Values, kept)
	}
	return line
}

// value is a value as it may be kept and shown: without what is never shown, bounded.
func (h *Hook) value(v expression.Value, limit int) job.RuleValue {
	var hide func(string) string
	if h.secret != nil {
		hide = h.secret.Replace
	}
	return job.RuleValue{Expr: h.shown(v.Expr), Value: v.JSON(limit, hide, h.longest), Error: h.shown(v.Error)}
}
