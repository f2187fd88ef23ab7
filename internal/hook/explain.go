package hook

import (
	"errors"
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
	Reason       string            `json:"reason"` // why it is not verified
	Secret       int               `json:"secret"` // position of the secret that matched; -1 if none
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
	Rule           string             `json:"rule"`
	Verdict        job.Verdict        `json:"verdict"`
	Error          string             `json:"error"`
	Values         []expression.Value `json:"values"`
	Action         map[string]any     `json:"action"`
	ConcurrencyKey string             `json:"concurrency_key"`
	Keys           *job.Keys          `json:"keys,omitempty"` // of its other flow controls
}

// Explain goes the way of a delivery without storing or running anything. Unlike the daemon it
// goes on after a failed verification, so that rules can be tried on a request made by hand.
func (h *Hook) Explain(r *request.Request, now time.Time) Explanation {
	e := Explanation{Hook: h.Name, Secret: -1, Rules: []RuleExplanation{}}
	secret, err := h.Verify(r, now)
	if err != nil {
		e.Reason = err.Error()
	} else {
		e.Verified, e.Secret = true, secret
	}
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
	e := Explanation{Hook: h.Name, Verified: true, Secret: d.Secret, Rules: []RuleExplanation{}}
	r := Replay(d)
	r.Format = h.Format
	h.explainRules(&e, r, Identity{Key: d.Key, Event: d.Event}, d.ID, d.ReceivedAt)
	return e
}

// DecideStored says of each rule what it makes of a delivery that was taken in, as the hook is now:
// its verdict, and for a match the action as it would run. Unlike ExplainStored it leaves out the
// values that decided.
func (h *Hook) DecideStored(d *job.Delivery) []RuleExplanation {
	r := Replay(d)
	r.Format = h.Format
	out := make([]RuleExplanation, 0, len(h.Rules))
	for _, rule := range h.Rules {
		in := h.input(r, Identity{Key: d.Key, Event: d.Event}, d.ID)
		in.Now = d.ReceivedAt
		out = append(out, rule.conclude(in, d.ID, d.Event))
	}
	return out
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
	e := r.conclude(in, delivery, id.Event)
	if r.match != nil {
		for _, v := range r.match.Explain(in) {
			v.Expr, v.Error = r.Hook.shown(v.Expr), r.Hook.shown(v.Error)
			if s, ok := v.Value.(string); ok {
				v.Value = r.Hook.shown(s)
			}
			e.Values = append(e.Values, v)
		}
	}
	return e
}

// conclude decides, and renders what would run.
func (r *Rule) conclude(in *expression.Input, delivery, event string) RuleExplanation {
	verdict, lane, keys, err := r.decide(in)
	e := RuleExplanation{Rule: r.Name, Verdict: verdict, ConcurrencyKey: lane, Values: []expression.Value{}}
	if keys != (job.Keys{}) {
		e.Keys = &keys
	}
	if err != nil {
		e.Error = r.Hook.shown(err.Error())
		var undecodable *request.DecodeError
		if errors.As(err, &undecodable) {
			e.Verdict = job.Error
		}
	}
	if verdict != job.Match {
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
