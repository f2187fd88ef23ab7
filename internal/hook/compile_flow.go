package hook

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/expression"
	"github.com/tenterhook/tenterhook/internal/job"
)

// flowSpec are the flow controls of a rule.
type flowSpec struct {
	Concurrency *concurrencySpec `yaml:"concurrency" doc:"How many jobs of one key run at once, and what becomes of the others."`
	Debounce    *debounceSpec    `yaml:"debounce" doc:"One job for a burst of deliveries."`
	Throttle    *paceSpec        `yaml:"throttle" doc:"Delays jobs beyond a rate."`
	RateLimit   *paceSpec        `yaml:"rate_limit" doc:"Drops jobs beyond a rate, visibly."`
	Sequence    *sequenceSpec    `yaml:"sequence" doc:"A job older than one that has started for its key ends as stale."`
	Once        config.Node      `yaml:"once" doc:"A key, or {key, window}: at most one job of it succeeds."`
	StartWithin *time.Duration   `yaml:"start_within" doc:"A job that cannot start within this time ends as expired."`
	On          config.Node      `yaml:"on" doc:"Where the job runs among several nodes on one store: any, {label: web} for one that has a label, {every: web} for each that has it." default:"any"`
	Priority    config.Text      `yaml:"priority" doc:"An expression: seconds of head start, -600 to 600." default:"0"`
}

type concurrencySpec struct {
	Key        config.Text `yaml:"key" doc:"A template; without one it is one key for the whole rule."`
	Limit      *int        `yaml:"limit" doc:"Jobs of a key that run at once." default:"1"`
	Overflow   config.Text `yaml:"overflow" doc:"queue waits; replace_pending lets only the newest wait; cancel_running ends the old one first; skip drops the new one." default:"queue"`
	MaxPending *int        `yaml:"max_pending" doc:"Jobs of a key that wait." default:"100"`
}

type debounceSpec struct {
	Key     config.Text    `yaml:"key" doc:"A template; without one it is one key for the whole rule."`
	Quiet   *time.Duration `yaml:"quiet" doc:"How long nothing more must come." default:"5s"`
	MaxWait *time.Duration `yaml:"max_wait" doc:"The longest wait in all." default:"10 x quiet"`
	Keep    config.Text    `yaml:"keep" doc:"Which delivery of the burst runs; all gives the command a JSON array of their payloads." default:"last"`
}

type paceSpec struct {
	Key   config.Text   `yaml:"key" doc:"A template; without one it is one key for the whole rule."`
	Limit int           `yaml:"limit,required" doc:"How many."`
	Per   time.Duration `yaml:"per,required" doc:"In which time."`
	Burst *int          `yaml:"burst" doc:"How many at once." default:"1"`
}

type sequenceSpec struct {
	Key config.Text `yaml:"key" doc:"A template; without one it is one key for the whole rule."`
	By  config.Text `yaml:"by,required" doc:"An expression: what tells which delivery is newer, such as a time or a number."`
}

type onceSpec struct {
	Key    config.Text    `yaml:"key,required" doc:"A template."`
	Window *time.Duration `yaml:"window" doc:"How long a success is remembered." default:"365d"`
}

// The defaults and bounds of flow controls.
const (
	defaultQuiet      = 5 * time.Second
	defaultMaxWait    = 10 // times quiet
	longestControl    = 7 * 24 * time.Hour
	longestStart      = 30 * 24 * time.Hour
	defaultOnceWindow = 365 * 24 * time.Hour
)

// flow compiles the flow controls of one rule.
type flow struct {
	node  config.Node
	scope expression.Scope
	d     *config.Diagnostics
	r     *Rule
}

func compileFlow(r *Rule, spec *flowSpec, node config.Node, scope expression.Scope, c Context, d *config.Diagnostics) {
	f := flow{node, scope, d, r}
	f.concurrency(spec.Concurrency)
	f.once(spec.Once)
	f.sequence(spec.Sequence)
	r.controls.RateLimit, r.rateLimitKey = f.pace("rate_limit", spec.RateLimit)
	r.controls.Throttle, r.throttleKey = f.pace("throttle", spec.Throttle)
	f.debounce(spec.Debounce)
	if spec.StartWithin != nil {
		r.controls.StartWithin = f.between("start_within", *spec.StartWithin, time.Millisecond, longestStart, "start_within")
	}
	if spec.Priority.Value != "" {
		r.priority, _ = config.Compile(spec.Priority, d, func(source string) (*expression.Program, error) {
			return expression.CompileNumber(source, scope)
		})
		if n, err := strconv.ParseFloat(strings.ReplaceAll(spec.Priority.Value, " ", ""), 64); err == nil && (n < -job.MaxPriority || n > job.MaxPriority) {
			f.d.Errorf(spec.Priority, "priority is between %d and %d seconds, found %s", -job.MaxPriority, job.MaxPriority, spec.Priority.Value)
		}
	}
	f.on(spec.On, c)
	f.contradictions(spec)
}

// key compiles the key of a control; nil is one key for the whole rule. One that never changes is good for
// something: one lane for several rules. But what reads like an expression was hardly meant as text.
func (f flow) key(text config.Text) *expression.Template {
	if text.Value == "" {
		return nil
	}
	key := compileTemplate(text, f.scope, f.d)
	if key == nil {
		return nil
	}
	if fixed, constant := key.Constant(); constant && strings.ContainsAny(fixed, ".([") {
		if braced := "${{ " + fixed + " }}"; isTemplate(braced, f.scope) {
			f.d.Warnf(text, "this key is the text %q for every delivery", fixed).Hint("an expression has braces: \"%s\"", braced)
		}
	}
	return key
}

// between checks a duration of the rule.
func (f flow) between(what string, v, least, most time.Duration, path ...string) time.Duration {
	if v < least || v > most {
		f.d.Errorf(within(f.node.Find(path[:len(path)-1]...), path[len(path)-1]), "%s is between %s and %s, found %s", what, least, short(most), short(v))
		return max(least, min(v, most))
	}
	return v
}

// short is a duration as one writes it: 7d, 5m, 1m30s.
func short(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}} {
		if d >= u.unit && d%u.unit == 0 {
			return fmt.Sprintf("%d%s", d/u.unit, u.name)
		}
	}
	return d.String()
}

var overflows = []string{
	string(job.OverflowQueue), string(job.OverflowNewest), string(job.OverflowCancel), string(job.OverflowSkip),
}

var keeps = []string{string(job.KeepLast), string(job.KeepFirst), string(job.KeepAll)}

func (f flow) concurrency(spec *concurrencySpec) {
	if spec == nil {
		return
	}
	node := f.node.Find("concurrency")
	c := &Concurrency{Limit: 1, MaxPending: 100, Overflow: job.Overflow(cmp.Or(spec.Overflow.Value, string(job.OverflowQueue)))}
	set(&c.Limit, spec.Limit)
	set(&c.MaxPending, spec.MaxPending)
	if c.Limit < 1 {
		f.d.Errorf(within(node, "limit"), "limit is at least 1, found %d", c.Limit).Hint("pause a hook with enabled: false")
	}
	if c.MaxPending < 1 {
		f.d.Errorf(within(node, "max_pending"), "max_pending is at least 1, found %d", c.MaxPending).Hint("overflow: skip lets none wait")
	}
	f.oneOf(spec.Overflow, "overflow", overflows)
	if spec.MaxPending != nil && c.Overflow != job.OverflowQueue {
		f.d.Errorf(within(node, "max_pending"), "max_pending is for overflow: queue; with overflow: %s no queue builds up", c.Overflow).
			Hint("leave max_pending out")
	}
	c.key = f.key(spec.Key)
	f.r.Concurrency = c
}

func (f flow) oneOf(text config.Text, what string, known []string) {
	if text.Value == "" {
		return
	}
	for _, k := range known {
		if text.Value == k {
			return
		}
	}
	suggest(f.d.Errorf(text, "unknown %s %q", what, text.Value), text.Value, known)
}

// once reads a key, or a mapping with a key and a window.
func (f flow) once(node config.Node) {
	if node.IsZero() {
		return
	}
	spec := onceSpec{}
	if node.Kind() == config.KindMap {
		m := node.Map(f.d)
		m.Decode(&spec)
		m.Close()
	} else {
		spec.Key = node.Text(f.d)
	}
	if spec.Key.Value == "" {
		if node.Kind() == config.KindMap {
			return // said already
		}
		f.d.Errorf(node, "once is the key that is to succeed once").Hint("once: \"${{ payload.data.object.id }}\"")
		return
	}
	o := &job.Once{Window: defaultOnceWindow}
	if spec.Window != nil {
		o.Window = f.between("window", *spec.Window, time.Minute, 10*defaultOnceWindow, "once", "window")
	}
	f.r.controls.Once, f.r.onceKey = o, compileTemplate(spec.Key, f.scope, f.d)
	if f.r.onceKey != nil {
		if _, constant := f.r.onceKey.Constant(); constant {
			f.d.Errorf(spec.Key, "this key is the same for every delivery: the rule would succeed once and then never run").
				Hint("once: \"${{ payload.data.object.id }}\"")
		}
	}
}

func (f flow) sequence(spec *sequenceSpec) {
	if spec == nil {
		return
	}
	f.r.controls.Sequence = true
	f.r.sequenceKey = f.key(spec.Key)
	if spec.By.Value == "" {
		if !f.node.Find("sequence", "by").IsZero() {
			f.d.Errorf(spec.By, "by is empty").Hint("by: payload.updated_at")
		}
		return
	}
	f.r.sequenceBy, _ = config.Compile(spec.By, f.d, func(source string) (*expression.Program, error) {
		return expression.Compile(source, f.scope)
	})
}

func (f flow) pace(name string, spec *paceSpec) (*job.Pace, *expression.Template) {
	if spec == nil {
		return nil, nil
	}
	node := f.node.Find(name)
	p := &job.Pace{Limit: spec.Limit, Per: spec.Per, Burst: 1}
	set(&p.Burst, spec.Burst)
	if limit := node.Find("limit"); p.Limit < 1 && !limit.IsZero() {
		f.d.Errorf(limit, "limit is at least 1, found %d", p.Limit)
	}
	if p.Burst < 1 {
		f.d.Errorf(within(node, "burst"), "burst is at least 1, found %d", p.Burst)
	}
	if per := node.Find("per"); !per.IsZero() {
		p.Per = f.between("per", p.Per, time.Millisecond, longestControl, name, "per")
	}
	return p, f.key(spec.Key)
}

func (f flow) debounce(spec *debounceSpec) {
	if spec == nil {
		return
	}
	c := &job.Debounce{Quiet: defaultQuiet, Keep: job.Keep(cmp.Or(spec.Keep.Value, string(job.KeepLast)))}
	if spec.Quiet != nil {
		c.Quiet = f.between("quiet", *spec.Quiet, 10*time.Millisecond, longestControl, "debounce", "quiet")
	}
	c.MaxWait = defaultMaxWait * c.Quiet
	if spec.MaxWait != nil {
		c.MaxWait = *spec.MaxWait
		if c.MaxWait < c.Quiet {
			f.d.Errorf(f.node.Find("debounce", "max_wait"), "max_wait (%s) is shorter than quiet (%s)", c.MaxWait, c.Quiet)
		}
		f.between("max_wait", c.MaxWait, 0, longestControl, "debounce", "max_wait")
	}
	f.oneOf(spec.Keep, "keep", keeps)
	f.r.controls.Debounce, f.r.debounceKey = c, f.key(spec.Key)
}

// contradictions refuses what cannot all be meant.
func (f flow) contradictions(spec *flowSpec) {
	c, lane := &f.r.controls, f.r.Concurrency
	if c.Debounce != nil && c.StartWithin > 0 && c.StartWithin <= c.Debounce.MaxWait {
		f.d.Errorf(f.node.Find("start_within"), "start_within (%s) is not longer than debounce may wait (max_wait %s): jobs would expire unseen",
			short(c.StartWithin), short(c.Debounce.MaxWait)).Hint("a longer start_within, or a shorter debounce.max_wait")
	}
	if c.Sequence && c.Debounce != nil && c.Debounce.Keep == job.KeepFirst {
		f.d.Errorf(within(f.node.Find("debounce"), "keep"), "keep: first runs the oldest of a burst, sequence lets only newer ones run").
			Hint("keep: last")
	}
	if c.Sequence && lane != nil && lane.Limit > 1 {
		f.d.Errorf(within(f.node.Find("concurrency"), "limit"), "with a limit above 1 an older job can end after a newer one, which sequence is to prevent").
			Hint("limit: 1, with the key of the sequence")
	}
	if c.RateLimit != nil && c.Throttle != nil && spec.RateLimit.Key.Value == spec.Throttle.Key.Value && c.RateLimit.Interval() >= c.Throttle.Interval() &&
		c.RateLimit.Burst <= c.Throttle.Burst {
		f.d.Errorf(f.node.Find("throttle"), "throttle never delays: rate_limit lets no more through (%d per %s)", c.RateLimit.Limit, short(c.RateLimit.Per)).
			Hint("one of the two")
	}
	if lane != nil && lane.Overflow == job.OverflowSkip && c.Throttle != nil {
		f.d.Errorf(within(f.node.Find("concurrency"), "overflow"), "overflow: skip lets no job wait, throttle makes jobs wait").
			Hint("rate_limit drops what is too much; overflow: queue lets it wait")
	}
}
