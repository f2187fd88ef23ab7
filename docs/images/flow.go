package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
)

// control is a picture of docs/flow-control.md: deliveries that come, and what a control makes of
// them, by the code that decides it in the daemon.
type control struct {
	name     string
	title    string
	lane     job.Lane
	controls job.Controls
	takes    time.Duration // of a run
	arrive   []arrival
}

// arrival is a delivery: when it comes, and what else there is to know of it.
type arrival struct {
	at     float64 // seconds
	label  string  // "" is its number
	by     string  // of sequence
	before int     // seconds of head start
}

// file is where the picture is.
func (c control) file() string { return "docs/images/flow-" + c.name + ".svg" }

func times(at ...float64) (out []arrival) {
	for _, t := range at {
		out = append(out, arrival{at: t})
	}
	return out
}

func laneOf(overflow job.Overflow) job.Lane {
	return job.Lane{Hook: "site", Rule: "deploy", Key: "main", Limit: 1, Pending: 100, Overflow: overflow}
}

var pictured = []control{
	{name: "queue", title: "concurrency: {key: …}", lane: laneOf(job.OverflowQueue), takes: 3 * time.Second, arrive: times(0, 1, 2, 2.5)},
	{name: "replace-pending", title: "concurrency: {key: …, overflow: replace_pending}", lane: laneOf(job.OverflowNewest), takes: 4 * time.Second, arrive: times(0, 1, 2, 3)},
	{name: "cancel-running", title: "concurrency: {key: …, overflow: cancel_running}", lane: laneOf(job.OverflowCancel), takes: 4 * time.Second, arrive: times(0, 2, 5, 6)},
	{name: "skip", title: "concurrency: {key: …, overflow: skip}", lane: laneOf(job.OverflowSkip), takes: 4 * time.Second, arrive: times(0, 1, 3, 5)},
	{name: "debounce", title: "debounce: {quiet: 2s}", controls: job.Controls{Debounce: &job.Debounce{Quiet: 2 * time.Second, MaxWait: 20 * time.Second, Keep: job.KeepLast}}, takes: time.Second, arrive: times(0, 1, 2.5, 8)},
	{name: "max-wait", title: "debounce: {quiet: 2s, max_wait: 5s}", controls: job.Controls{Debounce: &job.Debounce{Quiet: 2 * time.Second, MaxWait: 5 * time.Second, Keep: job.KeepLast}}, takes: time.Second, arrive: times(0, 1.5, 3, 4.5, 6)},
	{name: "throttle", title: "throttle: {limit: 1, per: 2s}", controls: job.Controls{Throttle: &job.Pace{Limit: 1, Per: 2 * time.Second, Burst: 1}}, takes: time.Second, arrive: times(0, 0.5, 1, 1.5)},
	{name: "rate-limit", title: "rate_limit: {limit: 1, per: 3s, burst: 2}", controls: job.Controls{RateLimit: &job.Pace{Limit: 1, Per: 3 * time.Second, Burst: 2}}, takes: time.Second, arrive: times(0, 1, 2, 4)},
	{name: "sequence", title: "sequence: {key: …, by: payload.version}", controls: job.Controls{Sequence: true}, takes: time.Second, arrive: []arrival{{at: 0, label: "v1", by: "1"}, {at: 2, label: "v3", by: "3"}, {at: 4, label: "v2", by: "2"}, {at: 6, label: "v4", by: "4"}}},
	{name: "once", title: "once: ${{ payload.payment }}", controls: job.Controls{Once: &job.Once{Window: time.Hour}}, takes: 2 * time.Second, arrive: times(0, 1, 4)},
	{name: "start-within", title: "start_within: 3s, one at a time", lane: laneOf(job.OverflowQueue), controls: job.Controls{StartWithin: 3 * time.Second}, takes: 4 * time.Second, arrive: times(0, 2, 2.5)},
	{name: "priority", title: "priority: payload.urgent ? 600 : 0, one at a time", lane: laneOf(job.OverflowQueue), takes: 2 * time.Second, arrive: []arrival{{at: 0}, {at: 0.5}, {at: 1}, {at: 1.5, label: "urgent", before: 600}}},
}

// span is what became of one delivery's job.
type span struct {
	label               string
	arrived, began, end time.Duration // began is -1 for one that did not run
	state               job.State
}

// grace is how long a run needs to end when it is told to.
const grace = 400 * time.Millisecond

// world is the little of a daemon that decides: a clock, the flow, and what controls remember.
type world struct {
	control
	flow    *job.Flow
	records map[string]job.Record
	jobs    map[string]*job.Job
	spans   map[string]*span
	ends    map[string]time.Time // of what runs
	now     time.Time
}

var begin = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// play lets a control's deliveries come, in steps of 50 ms.
func (c control) play() []span {
	w := &world{control: c, flow: job.NewFlow(), records: map[string]job.Record{}, jobs: map[string]*job.Job{}, spans: map[string]*span{}, ends: map[string]time.Time{}}
	next := 0
	for w.now = begin; w.now.Before(begin.Add(30 * time.Second)); w.now = w.now.Add(50 * time.Millisecond) {
		for next < len(c.arrive) && w.now.Sub(begin).Seconds() >= c.arrive[next].at {
			w.comes(next)
			next++
		}
		w.step()
	}
	var out []span
	for _, s := range w.spans {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b span) int { return cmp.Compare(a.arrived, b.arrived) })
	return out
}

func (w *world) comes(i int) {
	a := w.arrive[i]
	id := fmt.Sprint(i + 1)
	j := &job.Job{
		ID: id, Seq: int64(i), State: job.Queued, CreatedAt: w.now, RunAt: w.now, Controls: &w.controls,
		Keys: job.Keys{By: a.by, Priority: a.before, Once: "k", Sequence: "k", RateLimit: "k", Debounce: "k", Throttle: "k"},
	}
	w.jobs[id] = j
	w.spans[id] = &span{label: cmp.Or(a.label, id), arrived: w.now.Sub(begin), began: -1, state: job.Queued}
	earlier, err := job.Arrive(j, 0, w, w.now)
	if err != nil {
		panic(err) // the ledger is in memory
	}
	if earlier != nil && earlier.State == job.Superseded {
		w.flow.Remove(earlier.ID)
		w.over(earlier.ID, job.Superseded)
	}
	if j.State == job.Skipped || j.State == job.Stale {
		w.over(id, j.State)
		return
	}
	waiting := job.Waiting{Job: *j, Lane: w.lane}
	if j.RunAt.After(w.now) {
		waiting.Due = j.RunAt
	}
	if w.controls.StartWithin > 0 {
		waiting.Expires = w.now.Add(w.controls.StartWithin)
	}
	if w.controls.Once != nil {
		waiting.Once = "k"
	}
	if w.controls.Throttle != nil {
		waiting.Throttle, waiting.ThrottleKey = w.controls.Throttle, "k"
	}
	w.flow.Add(waiting, w.now)
}

// step ends what has run long enough, and starts what may run.
func (w *world) step() {
	for id, end := range w.ends {
		if w.now.Before(end) {
			continue
		}
		delete(w.ends, id)
		state := cmp.Or(w.spans[id].state, job.Succeeded)
		if state == job.Running {
			state = job.Succeeded
			_ = job.Succeed(id, w.jobs[id].Keys, &w.controls, w, w.now)
		}
		w.over(id, state)
		w.flow.Done(id, nil, w.now)
	}
	for {
		j, ok := w.flow.Next(w.now)
		if !ok {
			break
		}
		if refusal, _ := job.Begin(j.ID, j.Keys, &w.controls, w, w.now); refusal != nil {
			w.over(j.ID, refusal.State)
			w.flow.Done(j.ID, nil, w.now)
			continue
		}
		w.spans[j.ID].began, w.spans[j.ID].state = w.now.Sub(begin), job.Running
		w.ends[j.ID] = w.now.Add(w.takes)
	}
	for _, o := range w.flow.Overtaken() {
		w.spans[o.Job].state = job.Superseded
		w.ends[o.Job] = w.now.Add(grace)
	}
	for {
		d, ok := w.flow.Decided()
		if !ok {
			return
		}
		w.over(d.Job.ID, d.Next)
		w.flow.Done(d.Job.ID, nil, w.now)
	}
}

func (w *world) over(id string, state job.State) {
	w.spans[id].state, w.spans[id].end = state, w.now.Sub(begin)
}

// Recall implements job.Ledger.
func (w *world) Recall(c job.Control, _ string) (job.Record, bool, error) {
	r, ok := w.records[string(c)]
	return r, ok && (r.Expires.IsZero() || r.Expires.After(w.now)), nil
}

// Keep implements job.Ledger.
func (w *world) Keep(c job.Control, _ string, r job.Record) error {
	w.records[string(c)] = r
	return nil
}

// Debounced implements job.Ledger.
func (w *world) Debounced(id string) (job.Job, bool, error) {
	j := w.jobs[id]
	if j == nil || w.spans[id].end > 0 || w.spans[id].began >= 0 {
		return job.Job{}, false, nil
	}
	return *j, true, nil
}
