package hook

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/tenterhook/tenterhook/internal/action"
	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/expression"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
)

// Expect is how often deliveries are expected, and what is done when they stop.
type Expect struct {
	Every time.Duration
	Grace time.Duration

	hook  *Hook
	match *expression.Program // nil: every delivery counts
	rules map[string][]*Rule  // by job.EventMissing and job.EventBack
}

type expectSpec struct {
	Every     time.Duration `yaml:"every,required" doc:"The longest time between two expected deliveries, at least 1m: 26h for a daily one."`
	Grace     time.Duration `yaml:"grace" doc:"So much longer is waited before it counts as missing." default:"0s"`
	Match     config.Text   `yaml:"match" doc:"Which deliveries count: an expression, as in rules." default:"true"`
	OnMissing config.Node   `yaml:"on_missing" doc:"Actions that are started when an expected delivery did not come: each is a job."`
	OnBack    config.Node   `yaml:"on_back" doc:"Actions that are started when one comes again after that."`
}

// shortestEvery is far above the time between two looks.
const shortestEvery = time.Minute

// Silence is how long the sender may be silent.
func (e *Expect) Silence() time.Duration { return e.Every + e.Grace }

// Counts reports whether a delivery with its body is an expected one.
func (e *Expect) Counts(d *job.Delivery) (bool, error) {
	if d.Origin == job.OriginExpect {
		return false, nil
	}
	if e.match == nil {
		return true, nil
	}
	return (&Matcher{e.hook, e.match}).Matches(d)
}

func compileExpect(h *Hook, node config.Node, scope expression.Scope, c Context, d *config.Diagnostics) {
	if node.IsZero() {
		return
	}
	if node.Kind() != config.KindMap {
		d.Errorf(node, "expect is a mapping with every, grace, match, on_missing, on_back").Hint("expect: {every: 26h, on_missing: [{run: ./alarm.sh}]}")
		return
	}
	var s expectSpec
	node.Decode(&s, d) // what it has no problem with is looked at all the same
	if every := node.Find("every"); s.Every > 0 && s.Every < shortestEvery {
		d.Errorf(every, "every is at least 1m: overdue deliveries are looked for every 15 seconds")
	}
	e := &Expect{Every: s.Every, Grace: s.Grace, hook: h, rules: map[string][]*Rule{}}
	if s.Match.Value != "" {
		e.match = compileMatch(s.Match, scope, d)
	} else if !node.Find("match").IsZero() {
		d.Errorf(node.Find("match"), "match is empty").Hint("leave match out to expect any delivery")
	}
	e.rules[job.EventMissing] = compileExpectRules(h, "on_missing", s.OnMissing, c, d)
	e.rules[job.EventBack] = compileExpectRules(h, "on_back", s.OnBack, c, d)
	h.Expect = e
}

// compileExpectRules makes a rule of each action, on_missing and then on_missing-2, so that its
// jobs are like any other. let: names are not known to them: there is no sender's payload.
func compileExpectRules(h *Hook, event string, node config.Node, c Context, d *config.Diagnostics) (rules []*Rule) {
	if node.IsZero() {
		return nil
	}
	if node.Kind() != config.KindList {
		d.Errorf(node, "%s is a list of actions, found %s", event, node.Kind()).Hint("%s: [{run: ./notify.sh}]", event)
		return nil
	}
	items := node.List()
	if len(items) > mostFollowUps {
		d.Errorf(node, "%s has at most %d actions, found %d", event, mostFollowUps, len(items))
	}
	for i, item := range items {
		name := event
		if i > 0 {
			name += "-" + strconv.Itoa(i+1)
		}
		for _, taken := range h.Rules {
			if taken.Name == name {
				d.Errorf(item, "a rule of the hook has the name %q, which jobs of this action have", name).Hint("give the rule another name")
			}
		}
		if r := compileExpectRule(h, name, item, c, d); r != nil {
			rules = append(rules, r)
		}
	}
	return rules
}

func compileExpectRule(h *Hook, name string, node config.Node, c Context, d *config.Diagnostics) *Rule {
	if node.Kind() != config.KindMap {
		d.Errorf(node, "an action is a mapping with run:, exec: or http:")
		return nil
	}
	node = withDefaults(node, c.Defaults.Without(ruleOnly...))
	m := node.Map(d)
	var spec followUpSpec
	m.Decode(&spec)
	a := action.Compile(m, node, action.Context{Dir: c.Dir, Diagnostics: d, Hook: h.Name, Rule: name, Mask: c.masks})
	m.Close()
	if a == nil {
		return nil
	}
	retry := compileRetry(spec.Retry, node.Find("retry"), a.Retry(), d)
	return &Rule{Name: name, Hook: h, Action: a, Retry: retry, OnInterrupt: compileOnInterrupt(config.Text{}, retry, d), after: map[string][]FollowUp{}}
}

// rule is the rule of an action of that name, nil for none.
func (e *Expect) rule(name string) *Rule {
	if e == nil {
		return nil
	}
	for _, rules := range e.rules {
		for _, r := range rules {
			if r.Name == name {
				return r
			}
		}
	}
	return nil
}

// plan makes the jobs of an event.
func (e *Expect) plan(d *job.Delivery) (jobs []job.Job) {
	if e == nil {
		return nil
	}
	for _, r := range e.rules[d.Event] {
		jobs = append(jobs, r.newJob(d, "", job.Keys{}))
	}
	return jobs
}

// telling is the hook as it is for what the daemon itself tells: with the actions of the event for
// its rules.
func (h *Hook) telling(event string) *Hook {
	told := h.with(nil)
	if h.Expect != nil {
		told = h.with(h.Expect.rules[event])
	}
	told.Format = request.FormatJSON
	return told
}

// Silence is what actions are told of a silence, as their payload.
type Silence struct {
	Hook         string     `json:"hook"`
	Status       string     `json:"status"` // missing or back
	Every        string     `json:"every"`
	Grace        string     `json:"grace"`
	Since        time.Time  `json:"since"`         // since when nothing came, or the clock began
	Last         *time.Time `json:"last"`          // when the last expected delivery came, in back the one that ended the silence; null for never
	Due          time.Time  `json:"due"`           // when the next should have come
	Seconds      float64    `json:"seconds"`       // from since until now, in back until last
	NotListening float64    `json:"not_listening"` // of them, seconds in which nobody listened
}

// keptWindow is how long it is remembered that a silence was told of: longer than any.
const keptWindow = 10 * 365 * 24 * time.Hour

// Tell makes the delivery that says that expected deliveries are missing or back, and its jobs.
// There is one of each for a silence, whoever makes it again.
func (e *Expect) Tell(event string, s Silence, now time.Time) (*job.Delivery, []job.Job, error) {
	s.Hook, s.Status, s.Every, s.Grace = e.hook.Name, event, e.Every.String(), e.Grace.String()
	body, err := json.Marshal(s)
	if err != nil {
		return nil, nil, fmt.Errorf("write down the silence of hook %q: %w", e.hook.Name, err)
	}
	d := &job.Delivery{
		ID: job.NewID(), Hook: e.hook.Name, Key: fmt.Sprintf("%s%s:%d", expectPrefix, event, s.Since.UnixMicro()), Window: keptWindow, OnDuplicate: job.Skip,
		Event: event, ReceivedAt: now, Outcome: job.Ignored, Origin: job.OriginExpect, Method: http.MethodPost, Path: e.hook.Path,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: body, Size: len(body), Secret: -1, Config: e.hook.Config,
	}
	jobs := e.plan(d)
	for i := range jobs {
		d.Outcome = job.Accepted
		d.Verdicts = append(d.Verdicts, job.RuleVerdict{Rule: jobs[i].Rule, Verdict: job.Match})
	}
	return d, jobs, nil
}

// expectPrefix begins the keys of what the daemon itself tells.
const expectPrefix = "expect:"
