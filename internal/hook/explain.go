package hook

import (
	"crypto/subtle"
	"fmt"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/action"
	"github.com/tenterhook/tenterhook/internal/expression"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
)

// Explanation says what a hook would do with a request, and why. Nothing is run or stored.
type Explanation struct {
	Hook         string            `json:"hook"`
	Verified     bool              `json:"verified"`
	Reason       string            `json:"reason"`  // why it is not verified
	Secret       int               `json:"secret"`  // position of the secret that matched; -1 if none
	Secrets      int               `json:"secrets"` // that the hook has
	Handshake    *HandshakeAnswer  `json:"handshake,omitempty"`
	DeliveryKey  string            `json:"delivery_key"`
	Event        string            `json:"event"`
	PayloadError string            `json:"payload_error"`
	Rules        []RuleExplanation `json:"rules"`
}

// HandshakeAnswer is what a sender that checks the address would be told.
type HandshakeAnswer struct {
	Status int    `json:"status"`
	Body   string `json:"body"`
}

// RuleExplanation is one rule's verdict with the values that decided it, and, for a match, the
// action as it would run.
type RuleExplanation struct {
	Rule           string          `json:"rule"`
	Verdict        job.Verdict     `json:"verdict"`
	Then           job.Verdict     `json:"then,omitempty"` // of a stored delivery, when it arrived; "" if there was no such rule
	Match          string          `json:"match"`          // its condition; "" is always
	Error          string          `json:"error"`
	Values         []job.RuleValue `json:"values"`
	Cut            bool            `json:"cut,omitempty"` // more values were met than were recorded
	Action         map[string]any  `json:"action"`
	ConcurrencyKey string          `json:"concurrency_key"`
	Lane           *Lane           `json:"lane,omitempty"` // that a job would wait in
	On             string          `json:"on,omitempty"`   // where among several nodes, in words; "" is any node
	Keys           *job.Keys       `json:"keys,omitempty"` // of its other flow controls
}

// Lane is a concurrency key with what it bounds.
type Lane struct {
	Key        string       `json:"key"`
	Limit      int          `json:"limit"`
	Overflow   job.Overflow `json:"overflow"`
	MaxPending int          `json:"max_pending"`
}

// Explain goes the way of a delivery without storing or running anything. Unlike the daemon it
// goes on after a failed verification, so that rules can be tried on a request made by hand.
func (h *Hook) Explain(r *request.Request, now time.Time) Explanation {
	secret, err := h.Verify(r, now)
	if err == nil {
		return h.explain(r, now, secret, "")
	}
	return h.explain(r, now, -1, err.Error())
}

// ExplainTrusted is Explain of a request that is taken as verified.
func (h *Hook) ExplainTrusted(r *request.Request, now time.Time) Explanation {
	return h.explain(r, now, -1, "")
}

// explain goes on after the verification; forged is why it failed, "" when it did not.
func (h *Hook) explain(r *request.Request, now time.Time, secret int, forged string) Explanation {
	e := Explanation{Hook: h.Name, Verified: forged == "", Reason: forged, Secret: secret, Secrets: len(h.secrets), Rules: []RuleExplanation{}}
	if e.Verified {
		h.TakeOut(r)
	}
	r.Header, _ = h.Conceal(r.Header)
	if answer := h.Handshake(r); answer != nil && e.Verified {
		e.Handshake = &HandshakeAnswer{Status: answer.Status, Body: string(answer.Body)}
		return e
	}
	id, err := h.Identify(r)
	if err != nil {
		e.PayloadError = err.Error()
	}
	h.explainRules(&e, r, id, job.NewID(), now)
	return e
}

// ExplainStored explains a delivery that was taken in, by the hook as it is now. Its signature
// was not kept, so what is said of its verification is what was found then.
func (h *Hook) ExplainStored(d *job.Delivery) Explanation {
	e := Explanation{Hook: h.Name, Verified: true, Secret: d.Secret, Secrets: len(h.secrets), Rules: []RuleExplanation{}}
	if d.Origin == job.OriginExpect {
		h = h.telling(d.Event)
	}
	r := Replay(d)
	r.Format = h.Format
	h.explainRules(&e, r, Identity{Key: d.Key, Event: d.Event}, d.ID, d.ReceivedAt)
	for i := range e.Rules {
		for _, then := range d.Verdicts {
			if then.Rule == e.Rules[i].Rule {
				e.Rules[i].Then = then.Verdict
			}
		}
	}
	return e
}

// ExplainRecorded says what was decided when a delivery arrived, as it was recorded with it: no
// configuration is asked. jobs are those of the delivery. What would have run was not recorded.
func ExplainRecorded(d *job.Delivery, jobs []job.Job) Explanation {
	e := Explanation{Hook: d.Hook, Verified: true, Secret: d.Secret, DeliveryKey: d.Key, Event: d.Event, Rules: []RuleExplanation{}}
	for _, v := range d.Verdicts {
		rule := RuleExplanation{Rule: v.Rule, Verdict: v.Verdict, Then: v.Verdict, Match: v.Match, Error: v.Error, Values: v.Values, Cut: v.Cut}
		if rule.Values == nil {
			rule.Values = []job.RuleValue{}
		}
		for i := range jobs {
			if jobs[i].Rule == v.Rule {
				rule.ConcurrencyKey = jobs[i].ConcurrencyKey
			}
		}
		e.Rules = append(e.Rules, rule)
	}
	return e
}

// Decide says of each rule what it makes of a stored delivery's request, as the hook is now: its
// verdict, and for a match the action as it would run. Unlike ExplainStored it leaves out the values
// that decided. The request may be shared with other hooks, when its Format is theirs too.
func (h *Hook) Decide(r *request.Request, d *job.Delivery) []RuleExplanation {
	in := h.input(r, Identity{Key: d.Key, Event: d.Event}, d.ID)
	in.Now = d.ReceivedAt
	out := make([]RuleExplanation, 0, len(h.Rules))
	for _, rule := range h.Rules {
		made := rule.decide(in, false)
		out = append(out, rule.conclude(in, &made, d.ID, d.Event))
	}
	return out
}

// Refuses says why the hook would not take a request of a stored delivery, whatever its rules are:
// "" when it would. Its signature was not kept; SameSecret is for that.
func (h *Hook) Refuses(r *request.Request) string {
	switch {
	case !h.Enabled:
		return "the hook is not enabled"
	case !h.AllowsMethod(r.Method):
		return "methods: it takes " + strings.Join(h.Methods, ", ") + ", not " + r.Method
	case !h.AllowsIP(r.IP):
		return "allow_ips does not have " + r.IP.String()
	case int64(len(r.Body)) > h.MaxBody:
		return fmt.Sprintf("max_body is %d bytes, it has %d", h.MaxBody, len(r.Body))
	}
	if _, err := r.Payload(); err != nil {
		return h.shown(err.Error())
	}
	return ""
}

// SameSecret reports whether another hook has the secret at a position of this one. A position that
// the hook does not have, as of a scheme without secrets, says nothing: that is true.
func (h *Hook) SameSecret(position int, other *Hook) bool {
	if position < 0 || position >= len(h.secrets) {
		return true
	}
	for _, s := range other.secrets {
		if subtle.ConstantTimeCompare(s, h.secrets[position]) == 1 {
			return true
		}
	}
	return false
}

func (h *Hook) explainRules(e *Explanation, r *request.Request, id Identity, delivery string, now time.Time) {
	e.DeliveryKey, e.Event = id.Key, id.Event
	if _, err := r.Payload(); err != nil && e.PayloadError == "" {
		e.PayloadError = err.Error()
	}
	for _, rule := range h.Rules {
		e.Rules = append(e.Rules, rule.explain(r, id, delivery, now))
	}
}

func (r *Rule) explain(req *request.Request, id Identity, delivery string, now time.Time) RuleExplanation {
	in := r.Hook.input(req, id, delivery)
	in.Now = now
	made := r.decide(in, true)
	e := r.conclude(in, &made, delivery, id.Event)
	for _, v := range made.values {
		e.Values = append(e.Values, r.Hook.value(v, shownValue))
	}
	return e
}

// conclude says what was decided, and renders what would run.
func (r *Rule) conclude(in *expression.Input, made *decision, delivery, event string) RuleExplanation {
	e := RuleExplanation{Rule: r.Name, Verdict: made.verdict, Match: r.shownMatch, ConcurrencyKey: made.lane, Values: []job.RuleValue{}}
	if c := r.Concurrency; c != nil && made.verdict == job.Match {
		e.Lane = &Lane{made.lane, c.Limit, c.Overflow, c.MaxPending}
	}
	if r.On != (On{}) {
		e.On = r.On.String()
	}
	if made.keys != (job.Keys{}) {
		e.Keys = &made.keys
	}
	if made.err != nil {
		e.Error = r.Hook.shown(made.err.Error())
	}
	if made.verdict != job.Match {
		return e
	}
	prepared, err := r.Action.Prepare(in, action.Facts{
		Job: job.NewID(), Delivery: delivery, Hook: r.Hook.Name, Rule: r.Name, Event: event, Attempt: 1,
	})
	if err != nil {
		e.Error = r.Hook.shown(err.Error())
		return e
	}
	e.Action = prepared.Describe()
	return e
}
