package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// controlled stores a delivery at a time after epoch with one job that has controls.
func (f *fixture) controlled(after time.Duration, c *job.Controls, k job.Keys) job.Job {
	f.Helper()
	d := newDelivery("deploy", "")
	d.ReceivedAt = epoch.Add(after)
	d.Body = fmt.Appendf(nil, `{"after":%d}`, after)
	jobs := newJobs(d, "build")
	jobs[0].Controls, jobs[0].Keys = c, k
	r, err := f.store.Accept(f.context(), d, jobs)
	f.ok(err)
	return r.Jobs[0]
}

func (f *fixture) startWith(id string, attempt int, after time.Duration, c *job.Controls) *job.Refusal {
	f.Helper()
	err := f.store.Start(f.context(), store.StartMark{Job: id, Attempt: attempt, At: epoch.Add(after), Config: "c", Node: "a", Controls: c})
	var refused *store.RefusedError
	if errors.As(err, &refused) {
		return &refused.Refusal
	}
	f.ok(err)
	return nil
}

func (f *fixture) succeed(id string, attempt int, after time.Duration, c *job.Controls) {
	f.Helper()
	f.ok(f.store.Finish(f.context(), store.Ended{Job: id, Attempt: attempt, At: epoch.Add(after), Next: job.Succeeded, Controls: c}))
}

// fate is what became of a job, and what it names as the reason.
func (f *fixture) fate(id string) [2]string {
	f.Helper()
	j := f.job(id)
	return [2]string{string(j.State), j.SupersededBy}
}

var controls = []testCase{
	{"the keys of a job are kept", func(f fixture) {
		k := job.Keys{Once: "a", Sequence: "b", By: "1.5", RateLimit: "c", Debounce: "d", Throttle: "\u00fc\"\n", Priority: -7}
		j := f.controlled(0, nil, k)
		f.equal("Keys", f.job(j.ID).Keys, k)
		f.equal("Keys of a live job", f.live()[0].Keys, k)
	}},
	{"what is over its rate limit is kept as skipped, over restarts too", func(f fixture) {
		c := &job.Controls{RateLimit: &job.Pace{Limit: 2, Per: time.Minute, Burst: 2}}
		k := job.Keys{RateLimit: "a"}
		ids := []string{f.controlled(0, c, k).ID, f.controlled(0, c, k).ID, f.controlled(time.Second, c, k).ID}
		f.store = f.reopen()
		ids = append(ids, f.controlled(29*time.Second, c, k).ID, f.controlled(29*time.Second, c, job.Keys{RateLimit: "b"}).ID, f.controlled(30*time.Second, c, k).ID)
		var states []job.State
		for _, id := range ids {
			states = append(states, f.job(id).State)
		}
		f.equal("states", states, []job.State{job.Queued, job.Queued, job.Skipped, job.Skipped, job.Queued, job.Queued})
		if f.job(ids[2]).FinishedAt.IsZero() {
			f.Error("a job that ended at once has no end")
		}
	}},
	{"a burst ends as one job that names no one, and the others name it", func(f fixture) {
		c := &job.Controls{Debounce: &job.Debounce{Quiet: 10 * time.Second, MaxWait: 25 * time.Second, Keep: job.KeepLast}}
		k := job.Keys{Debounce: "a"}
		one, two := f.controlled(0, c, k), f.controlled(8*time.Second, c, k)
		f.store = f.reopen()
		three := f.controlled(16*time.Second, c, k)
		f.equal("first", f.fate(one.ID), [2]string{"superseded", two.ID})
		f.equal("second", f.fate(two.ID), [2]string{"superseded", three.ID})
		got := f.job(three.ID)
		f.equal("third", []any{got.State, got.RunAt}, []any{job.Scheduled, epoch.Add(25 * time.Second)}) // never starves
		other := f.controlled(17*time.Second, c, job.Keys{Debounce: "b"})
		f.equal("another key", other.RunAt, epoch.Add(27*time.Second))
		f.startWith(three.ID, 1, 25*time.Second, c)
		next := f.controlled(26*time.Second, c, k)
		f.equal("the next burst", []any{next.State, next.RunAt, next.Burst == next.ID}, []any{job.Scheduled, epoch.Add(36 * time.Second), true})
	}},
	{"the first of a burst runs, as late as the last asks for", func(f fixture) {
		c := &job.Controls{Debounce: &job.Debounce{Quiet: 10 * time.Second, MaxWait: time.Minute, Keep: job.KeepFirst}}
		k := job.Keys{Debounce: "a"}
		one, two := f.controlled(0, c, k), f.controlled(8*time.Second, c, k)
		f.equal("second", f.fate(two.ID), [2]string{"superseded", one.ID})
		f.equal("first", []any{f.job(one.ID).State, f.job(one.ID).RunAt}, []any{job.Scheduled, epoch.Add(18 * time.Second)})
	}},
	{"a job gets what its burst brought, in order, and nothing else", func(f fixture) {
		c := &job.Controls{Debounce: &job.Debounce{Quiet: 10 * time.Second, MaxWait: time.Hour, Keep: job.KeepAll}}
		var last job.Job
		var want []string
		for i := range time.Duration(4) {
			last = f.controlled(i*time.Second, c, job.Keys{Debounce: "a"})
			want = append(want, last.Delivery)
			f.controlled(i*time.Second, c, job.Keys{Debounce: "b"})
		}
		burst, err := f.store.Burst(f.context(), last.ID)
		f.ok(err)
		var got []string
		for _, d := range burst {
			got = append(got, d.ID)
		}
		f.equal("Burst", got, want)
		f.equal("body", string(burst[1].Body), `{"after":1000000000}`)
		none, err := f.store.Burst(f.context(), f.one().ID)
		f.ok(err)
		f.equal("Burst of a job without one", len(none), 0)
	}},
	{"a burst holds no more than its bound", func(f fixture) {
		c := &job.Controls{Debounce: &job.Debounce{Quiet: time.Minute, MaxWait: time.Hour, Keep: job.KeepAll}}
		first := f.controlled(0, c, job.Keys{Debounce: "a"})
		var last job.Job
		for i := range job.MaxBurst {
			last = f.controlled(time.Duration(i)*time.Millisecond, c, job.Keys{Debounce: "a"})
		}
		f.equal("the one too many begins another", last.Burst, last.ID)
		f.equal("waiting", len(f.live()), 2)
		burst, err := f.store.Burst(f.context(), f.live()[0].ID)
		f.ok(err)
		f.equal("first burst", []any{len(burst), burst[0].ID}, []any{job.MaxBurst, first.Delivery})
	}},
	{"a burst is over when its time has come, whether its job could start or not", func(f fixture) {
		c := &job.Controls{Debounce: &job.Debounce{Quiet: 10 * time.Second, MaxWait: time.Hour, Keep: job.KeepLast}}
		first := f.controlled(0, c, job.Keys{Debounce: "a"})
		second := f.controlled(10*time.Second, c, job.Keys{Debounce: "a"}) // the first waits for its lane
		f.equal("first", f.fate(first.ID), [2]string{"scheduled", ""})
		f.equal("second", []any{second.RunAt, second.Burst}, []any{epoch.Add(20 * time.Second), second.ID})
	}},
	{"what a burst brought is kept until its job has ended", func(f fixture) {
		c := &job.Controls{Debounce: &job.Debounce{Quiet: 10 * time.Second, MaxWait: time.Hour, Keep: job.KeepAll}}
		first := f.controlled(0, c, job.Keys{Debounce: "a"})
		last := f.controlled(time.Second, c, job.Keys{Debounce: "a"})
		f.pruneAll(store.Retention{For: time.Minute, Deliveries: 1}, epoch.Add(time.Hour))
		burst, err := f.store.Burst(f.context(), last.ID)
		f.ok(err)
		f.equal("payloads", len(burst), 2)
		f.startWith(last.ID, 1, time.Hour, c)
		f.finish(last.ID, 1, job.Succeeded)
		f.pruneAll(store.Retention{For: time.Minute}, epoch.Add(2*time.Hour))
		if _, err := f.store.Delivery(f.context(), first.Delivery); !errors.Is(err, store.ErrNotFound) {
			f.Errorf("a burst that is over is not pruned: %v", err)
		}
	}},
	{"once: a key that succeeded starts nothing more until its window ends", func(f fixture) {
		c := &job.Controls{Once: &job.Once{Window: time.Hour}}
		k := job.Keys{Once: "invoice"}
		one, two := f.controlled(0, c, k), f.controlled(0, c, k)
		f.startWith(one.ID, 1, time.Second, c)
		f.finish(one.ID, 1, job.Failed)
		if refused := f.startWith(two.ID, 1, 2*time.Second, c); refused != nil {
			f.Fatalf("refused after a failure: %+v", refused)
		}
		f.succeed(two.ID, 1, 3*time.Second, c)
		f.store = f.reopen()
		three := f.controlled(4*time.Second, c, k)
		f.equal("at arrival", f.fate(three.ID), [2]string{"skipped", two.ID})
		again, err := f.store.Requeue(f.context(), one.ID, "again", epoch.Add(5*time.Second))
		f.ok(err)
		refused := f.startWith(again.ID, 2, 6*time.Second, c)
		f.equal("at its start", refused, &job.Refusal{State: job.Skipped, Reason: `once: another job succeeded for "invoice"`, By: two.ID})
		f.equal("the job itself", f.fate(one.ID), [2]string{"skipped", two.ID})
		later := f.controlled(2*time.Hour, c, k)
		f.equal("after the window", f.fate(later.ID), [2]string{"queued", ""})
		f.equal("another key", f.fate(f.controlled(0, c, job.Keys{Once: "other"}).ID), [2]string{"queued", ""})
	}},
	{"sequence: what is older than what has started is stale, wherever it meets that", func(f fixture) {
		c := &job.Controls{Sequence: true}
		at := func(after time.Duration, by string) job.Job {
			return f.controlled(after, c, job.Keys{Sequence: "s", By: by})
		}
		old, newer, same := at(0, "9"), at(0, "10"), at(0, "10.0")
		f.startWith(newer.ID, 1, time.Second, c)
		f.store = f.reopen()
		f.equal("refused at its start", f.startWith(old.ID, 1, 2*time.Second, c).State, job.Stale)
		f.equal("the older", f.fate(old.ID), [2]string{"stale", newer.ID})
		if refused := f.startWith(same.ID, 1, 2*time.Second, c); refused != nil {
			f.Errorf("refused what is as new: %+v", refused)
		}
		f.equal("stale at arrival", f.fate(at(time.Minute, "9.99").ID), [2]string{"stale", same.ID})
		f.equal("another key", f.fate(f.controlled(0, c, job.Keys{Sequence: "t", By: "1"}).ID), [2]string{"queued", ""})
		f.equal("attempts of a refused job", f.job(old.ID).Attempt, 0)
	}},
	{"throttles that still delay are known after a restart", func(f fixture) {
		c := &job.Controls{Throttle: &job.Pace{Limit: 1, Per: time.Minute, Burst: 1}}
		j := f.controlled(0, c, job.Keys{Throttle: "t"})
		f.startWith(j.ID, 1, time.Second, c)
		f.store = f.reopen()
		got := map[string]time.Time{}
		f.ok(f.store.Throttles(f.context(), func(hook, rule, key string, at time.Time) { got[hook+"/"+rule+"/"+key] = at }))
		f.equal("Throttles", got, map[string]time.Time{"deploy/build/t": epoch.Add(61 * time.Second)})
	}},
	{"a control that is over is pruned", func(f fixture) {
		c := &job.Controls{Throttle: &job.Pace{Limit: 1, Per: time.Minute, Burst: 1}}
		j := f.controlled(0, c, job.Keys{Throttle: "t"})
		f.startWith(j.ID, 1, 0, c)
		for range 3 {
			_, err := f.store.Prune(f.context(), store.Retention{}, epoch.Add(time.Hour))
			f.ok(err)
		}
		f.ok(f.store.Throttles(f.context(), func(_, _, key string, _ time.Time) { f.Errorf("%s is remembered", key) }))
	}},
	{"a refused start is fenced like any other", func(f fixture) {
		c := &job.Controls{Once: &job.Once{Window: time.Hour}}
		j := f.controlled(0, c, job.Keys{Once: "a"})
		f.startWith(j.ID, 1, 0, c)
		err := f.store.Start(f.context(), store.StartMark{Job: j.ID, Attempt: 2, At: epoch, Controls: c})
		if !errors.Is(err, store.ErrFenced) {
			f.Errorf("Start of a running job: %v", err)
		}
		err = f.store.Start(f.context(), store.StartMark{Job: job.NewID(), Attempt: 1, At: epoch, Controls: c})
		if !errors.Is(err, store.ErrNotFound) {
			f.Errorf("Start of no job: %v", err)
		}
	}},
	{"pauses are kept until they are taken back", func(f fixture) {
		p := job.Pause{Hook: "deploy", Rule: "build", Since: epoch, Reason: "fair"}
		f.ok(f.store.SetPause(f.context(), p, true))
		f.ok(f.store.SetPause(f.context(), job.Pause{Hook: "bill", Since: epoch}, true))
		f.store = f.reopen()
		got, err := f.store.Pauses(f.context())
		f.ok(err)
		f.equal("Pauses", got, []job.Pause{{Hook: "bill", Since: epoch}, p})
		f.ok(f.store.SetPause(f.context(), job.Pause{Hook: "bill"}, false))
		got, err = f.store.Pauses(f.context())
		f.ok(err)
		f.equal("Pauses", got, []job.Pause{p})
	}},
	{"a job with follow-ups runs until they are over", func(f fixture) {
		j := f.one()
		f.start(j.ID, 1)
		u := job.FollowUp{Attempt: 1, Step: 1, Try: 1, Event: "on_failure", Kind: "run", StartedAt: epoch}
		if err := f.store.BeginFollowUp(f.context(), j.ID, u); !errors.Is(err, store.ErrFenced) {
			f.Errorf("BeginFollowUp of a job that has no end: %v", err)
		}
		ended := store.Ended{Job: j.ID, Attempt: 1, At: epoch.Add(time.Second), Next: job.Failed, Reason: "r", FollowUps: true}
		f.ok(f.store.Finish(f.context(), ended))
		got := f.job(j.ID)
		f.equal("in between", []any{got.State, got.Ending, got.Reason, got.FinishedAt.IsZero()}, []any{job.Running, job.Failed, "r", true})
		if err := f.store.Finish(f.context(), ended); !errors.Is(err, store.ErrFenced) {
			f.Errorf("a second Finish: %v", err)
		}
		f.ok(f.store.BeginFollowUp(f.context(), j.ID, u))
		f.store = f.reopen()
		two := 2
		u.FinishedAt, u.ExitCode, u.Signal, u.Status, u.Error, u.Output = epoch.Add(3*time.Second), &two, "s", 500, "e", []byte("out")
		f.ok(f.store.EndFollowUp(f.context(), j.ID, u))
		if err := f.store.EndFollowUp(f.context(), j.ID, u); !errors.Is(err, store.ErrFenced) {
			f.Errorf("a second end: %v", err)
		}
		all, err := f.store.FollowUps(f.context(), j.ID)
		f.ok(err)
		f.equal("FollowUps", all, []job.FollowUp{u})
		f.equal("live", len(f.live()), 1)
		f.ok(f.store.Conclude(f.context(), j.ID, epoch.Add(4*time.Second)))
		got = f.job(j.ID)
		f.equal("at the end", []any{got.State, got.Ending, got.FinishedAt}, []any{job.Failed, job.State(""), epoch.Add(4 * time.Second)})
		f.pruneAll(store.Retention{For: time.Minute}, epoch.Add(time.Hour))
		if _, err := f.store.Job(f.context(), j.ID); !errors.Is(err, store.ErrNotFound) {
			f.Errorf("a job with follow-ups is not pruned: %v", err)
		}
	}},
	{"a superseded run names its successor", func(f fixture) {
		j, next := f.one(), f.one()
		f.start(j.ID, 1)
		f.ok(f.store.Finish(f.context(), store.Ended{Job: j.ID, Attempt: 1, At: epoch, Next: job.Superseded, SupersededBy: next.ID}))
		f.equal("fate", f.fate(j.ID), [2]string{"superseded", next.ID})
	}},
}
