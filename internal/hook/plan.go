package hook

import (
	"errors"
	"maps"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/action"
	"github.com/tenterhook/tenterhook/internal/expression"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

// TakeOut takes a secret that came in the query or the body out of a verified request.
func (h *Hook) TakeOut(r *request.Request) {
	if p, ok := h.verifier.(verify.Placer); ok {
		query, field := p.Places()
		verify.TakeOut(r, query, field)
	}
}

// Conceal returns the header without what the hook withholds, and the names of what was there
// and is withheld. Expressions, the store and actions see only the result.
func (h *Hook) Conceal(header http.Header) (kept http.Header, withheld []string) {
	for _, name := range h.withhold {
		if len(header.Values(name)) > 0 {
			withheld = append(withheld, http.CanonicalHeaderKey(name))
		}
	}
	if withheld == nil {
		return header, nil
	}
	kept = maps.Clone(header) // nobody changes the values
	for _, name := range withheld {
		kept.Del(name)
	}
	return kept, withheld
}

// Plan decides what a verified request does: one verdict for each rule, one job for each match,
// and the delivery's outcome, verdicts and identity, which are set in d. It is pure.
//
// The error is a *request.DecodeError: a body that is not what its type says is refused whole,
// whatever the rules look at, so that an answer does not depend on which rules there are.
// Any other evaluation error is a verdict, not an error: that rule makes no job.
func (h *Hook) Plan(r *request.Request, id Identity, d *job.Delivery) ([]job.Job, error) {
	if _, err := r.Part(h.wanted); err != nil {
		return nil, err
	}
	d.Hook, d.Key, d.Event = h.Name, id.Key, id.Event
	d.Window, d.OnDuplicate = h.Dedupe.Window, h.Dedupe.OnDuplicate
	d.Outcome = job.Ignored
	in := h.input(r, id, d.ID)
	in.Wanted = h.wanted
	trace := newTrace(h)
	var jobs []job.Job
	for _, rule := range h.Rules {
		made := rule.decide(in, true)
		var undecodable *request.DecodeError
		if errors.As(made.err, &undecodable) { // of the form, which is read when it is asked for
			return nil, made.err
		}
		d.Verdicts = append(d.Verdicts, trace.verdict(rule, &made))
		if made.verdict == job.Match {
			jobs = append(jobs, rule.newJob(d, made.lane, made.keys))
		}
	}
	if len(jobs) > 0 {
		d.Outcome = job.Accepted
	}
	return jobs, nil
}

// PlanReplay makes the jobs that the rules would make of a stored delivery now.
func (h *Hook) PlanReplay(d *job.Delivery, now time.Time) ([]job.Job, error) {
	jobs, err := h.planAgain(d)
	if err != nil {
		return nil, err
	}
	for i := range jobs {
		jobs[i].CreatedAt, jobs[i].RunAt, jobs[i].Reason = now, now, "replayed by a person"
		jobs[i].Controls = nil // who asks for it means it: its arrival is not decided on again
	}
	return jobs, nil
}

func (h *Hook) planAgain(d *job.Delivery) ([]job.Job, error) {
	if d.Origin == job.OriginExpect {
		return h.Expect.plan(d), nil
	}
	r := Replay(d)
	r.Format = h.Format
	again := *d
	again.Verdicts = nil
	return h.Plan(r, Identity{Key: d.Key, Event: d.Event}, &again)
}

// decision is what a rule makes of a request.
type decision struct {
	verdict job.Verdict
	lane    string
	keys    job.Keys           // of its controls, for a match
	values  []expression.Value // that decided
	err     error
}

// decide evaluates the rule once: its condition, noting the values it came from when they are
// wanted, and for a match the keys of its controls.
func (r *Rule) decide(in *expression.Input, noting bool) (d decision) {
	matched := true
	switch {
	case r.match == nil:
	case noting:
		matched, d.values, d.err = r.match.ExplainBool(in)
	default:
		matched, d.err = r.match.Bool(in)
	}
	if d.err == nil && matched {
		d.lane, d.keys, d.err = r.keys(in)
	}
	switch {
	case d.err != nil:
		d.verdict = job.Error
	case matched:
		d.verdict = job.Match
	default:
		d.verdict = job.NoMatch
	}
	return d
}

// newJob makes a job of a match. It may wait long, and its keys may be parts of the body, which
// they must not keep in memory.
func (r *Rule) newJob(d *job.Delivery, lane string, keys job.Keys) job.Job {
	return job.Job{
		ID:             job.NewID(),
		Delivery:       d.ID,
		Hook:           d.Hook,
		Rule:           r.Name,
		State:          job.Queued,
		RunAt:          d.ReceivedAt,
		CreatedAt:      d.ReceivedAt,
		ConcurrencyKey: strings.Clone(lane),
		Keys:           keys.Clone(),
		Controls:       r.Controls(),
		Every:          r.every(),
		Reports:        r.reported(),
	}
}

// every is the label of the nodes that each get a job, "" when there is one job.
func (r *Rule) every() string {
	if !r.On.Every {
		return ""
	}
	return r.On.Label
}

// Controls returns the rule's flow controls apart from its lane, nil when it has none.
func (r *Rule) Controls() *job.Controls {
	if r.controls == (job.Controls{}) {
		return nil
	}
	return &r.controls
}

// Lane returns the lane of a job of the rule.
func (r *Rule) Lane(j *job.Job) job.Lane {
	l := job.Lane{Hook: j.Hook, Rule: j.Rule}
	if c := r.Concurrency; c != nil && j.ConcurrencyKey != "" {
		l.Key, l.Limit, l.Pending, l.Overflow = j.ConcurrencyKey, c.Limit, c.MaxPending, c.Overflow
	}
	r.place(&l, j)
	return l
}

// KeepsAll reports whether a job of the rule runs with the payloads of its whole burst.
func (r *Rule) KeepsAll() bool {
	return r.controls.Debounce != nil && r.controls.Debounce.Keep == job.KeepAll
}

// Prepare renders the rule's action for the next attempt of a stored delivery's job. burst are
// the deliveries of its burst when the rule keeps all of them.
func (r *Rule) Prepare(d *job.Delivery, burst []job.Delivery, j *job.Job, dirs action.Dirs) (action.Prepared, error) {
	facts := action.Facts{
		Job: j.ID, Delivery: d.ID, Hook: d.Hook, Rule: r.Name, Event: d.Event,
		Attempt: j.Attempt + 1, RunDir: dirs.Run, Shared: dirs.Shared, SurviveDir: dirs.Survive, LogDir: dirs.Log,
	}
	if r.KeepsAll() {
		var err error
		if facts.Burst, err = r.Hook.burstBody(burst); err != nil {
			return nil, err
		}
	}
	return r.Action.Prepare(r.storedInput(d), facts)
}

// PrepareFollowUp renders an action that follows the end of a job.
func (r *Rule) PrepareFollowUp(u FollowUp, d *job.Delivery, j *job.Job, end *JobEnd, dirs action.Dirs) (action.Prepared, error) {
	in := r.storedInput(d)
	in.Job = end
	return u.Action.Prepare(in, action.Facts{
		Job: j.ID, Delivery: d.ID, Hook: d.Hook, Rule: r.Name, Event: d.Event, Attempt: end.Attempt, RunDir: dirs.Run, Shared: dirs.Shared, Step: "-after",
	})
}

// storedInput is what expressions see of a stored delivery.
func (r *Rule) storedInput(d *job.Delivery) *expression.Input {
	in := r.Hook.input(Replay(d), Identity{Key: d.Key, Event: d.Event}, d.ID)
	in.Request.Format = r.Hook.Format
	if d.Origin == job.OriginExpect {
		in.Request.Format = request.FormatJSON
	}
	in.Now = time.Now()
	return in
}

// Replay makes the request of a stored delivery again, as expressions saw it.
func Replay(d *job.Delivery) *request.Request {
	return &request.Request{
		Method: d.Method, Path: d.Path, RawQuery: d.Query, Header: d.Header,
		IP: address(d.IP), Params: d.Params, Body: d.Body, ReceivedAt: d.ReceivedAt,
	}
}

// address reads a stored address; one that is not an address is unspecified.
func address(s string) netip.Addr {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.IPv4Unspecified()
	}
	return addr
}
