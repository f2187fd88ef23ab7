package storetest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

var moving = []testCase{
	{"an attempt is recorded from start to finish", recorded},
	{"an attempt cannot start twice", func(f fixture) {
		j := f.one()
		f.start(j.ID, 1)
		for _, attempt := range []int{1, 2} {
			f.fenced("Start", f.store.Start(f.context(), store.StartMark{Job: j.ID, Attempt: attempt, At: epoch}))
		}
		as, err := f.store.Attempts(f.context(), j.ID)
		f.ok(err)
		f.equal("number of attempts", len(as), 1)
	}},
	{"of twenty parallel starts one wins", func(f fixture) {
		j := f.one()
		var won, fenced atomic.Int32
		var wait sync.WaitGroup
		for range 20 {
			wait.Go(func() {
				switch err := f.store.Start(f.context(), store.StartMark{Job: j.ID, Attempt: 1, At: epoch}); {
				case err == nil:
					won.Add(1)
				case errors.Is(err, store.ErrFenced):
					fenced.Add(1)
				}
			})
		}
		wait.Wait()
		f.equal("wins and fences", []int32{won.Load(), fenced.Load()}, []int32{1, 19})
	}},
	{"attempts are not skipped", func(f fixture) {
		j := f.one()
		for _, attempt := range []int{-1, 0, 2} {
			f.fenced("Start", f.store.Start(f.context(), store.StartMark{Job: j.ID, Attempt: attempt, At: epoch}))
		}
		f.equal("Job", f.job(j.ID), j)
	}},
	{"an ended job cannot start", func(f fixture) {
		j := f.ended(job.Failed)
		f.fenced("Start", f.store.Start(f.context(), store.StartMark{Job: j.ID, Attempt: 2, At: epoch}))
	}},
	{"a finish of another attempt is fenced", func(f fixture) {
		j := f.one()
		f.fenced("Finish before Start", f.store.Finish(f.context(), store.Ended{Job: j.ID, Attempt: 0, At: epoch, Next: job.Failed}))
		f.start(j.ID, 1)
		f.finish(j.ID, 1, job.Scheduled)
		f.start(j.ID, 2)
		before := f.job(j.ID)
		for _, attempt := range []int{0, 1, 3} {
			f.fenced("Finish", f.store.Finish(f.context(), store.Ended{Job: j.ID, Attempt: attempt, At: epoch, Next: job.Succeeded}))
		}
		f.equal("Job", f.job(j.ID), before)
	}},
	{"an attempt cannot finish twice", func(f fixture) {
		j := f.ended(job.Succeeded)
		f.fenced("Finish", f.store.Finish(f.context(), store.Ended{Job: j.ID, Attempt: 1, At: epoch, Next: job.Failed}))
		f.equal("Job", f.job(j.ID), j)
	}},
	{"a running job cannot be settled", func(f fixture) {
		j := f.one()
		f.start(j.ID, 1)
		f.fenced("Settle", f.store.Settle(f.context(), store.Settle{Job: j.ID, At: epoch, Next: job.Cancelled}))
		f.equal("State", f.job(j.ID).State, job.Running)
	}},
	{"a waiting job can be settled once", func(f fixture) {
		j := f.one()
		f.ok(f.store.Settle(f.context(), store.Settle{Job: j.ID, At: epoch.Add(time.Second), Next: job.Superseded, Reason: "newer", SupersededBy: "x"}))
		want := j
		want.State, want.Reason, want.FinishedAt, want.SupersededBy = job.Superseded, "newer", epoch.Add(time.Second), "x"
		f.equal("Job", f.job(j.ID), want)
		f.fenced("Settle", f.store.Settle(f.context(), store.Settle{Job: j.ID, At: epoch, Next: job.Cancelled}))
	}},
	{"a waiting job can be put off", func(f fixture) {
		j := f.one()
		f.ok(f.store.Settle(f.context(), store.Settle{Job: j.ID, At: epoch, Next: job.Scheduled, RunAt: epoch.Add(time.Hour), Reason: "debounce"}))
		want := j
		want.State, want.Reason, want.RunAt = job.Scheduled, "debounce", epoch.Add(time.Hour)
		f.equal("Job", f.job(j.ID), want)
		f.equal("Live", f.live(), []job.Job{want})
	}},
	{"nothing is finished or settled into running", func(f fixture) {
		j := f.one()
		for _, next := range []job.State{job.Running, "", "lost"} {
			if err := f.store.Settle(f.context(), store.Settle{Job: j.ID, At: epoch, Next: next}); err == nil {
				f.Errorf("Settle to %q was taken", next)
			}
		}
		f.start(j.ID, 1)
		if err := f.store.Finish(f.context(), store.Ended{Job: j.ID, Attempt: 1, At: epoch, Next: job.Running}); err == nil {
			f.Error("Finish to running was taken")
		}
		f.equal("State", f.job(j.ID).State, job.Running)
	}},
	{"a requeued job counts its attempts afresh", func(f fixture) {
		j := f.ended(job.TimedOut)
		got, err := f.store.Requeue(f.context(), j.ID, "by hand", epoch.Add(time.Hour))
		f.ok(err)
		want := j
		want.State, want.Reason, want.Since, want.RunAt, want.FinishedAt = job.Queued, "by hand", 1, epoch.Add(time.Hour), time.Time{}
		f.equal("Requeue", got, want)
		f.equal("Job", f.job(j.ID), want)
		f.equal("Live", f.live(), []job.Job{want})
		f.start(j.ID, 2)
	}},
	{"a live job cannot be requeued", func(f fixture) {
		j := f.one()
		_, err := f.store.Requeue(f.context(), j.ID, "by hand", epoch)
		f.fenced("Requeue", err)
		f.start(j.ID, 1)
		_, err = f.store.Requeue(f.context(), j.ID, "by hand", epoch)
		f.fenced("Requeue", err)
	}},
	{"what does not exist is not found", notFound},
	{"output of any size is read back", func(f fixture) {
		j := f.one()
		outputs := [][]byte{nil, []byte("ok\n"), bytes.Repeat([]byte("line\n"), 20_000)}
		for i, out := range outputs {
			f.start(j.ID, i+1)
			f.ok(f.store.Finish(f.context(), store.Ended{Job: j.ID, Attempt: i + 1, At: epoch, Next: job.Scheduled, RunAt: epoch, Output: out}))
		}
		as, err := f.store.Attempts(f.context(), j.ID)
		f.ok(err)
		for i, a := range as {
			f.equal("Output", a.Output, outputs[i])
		}
		f.equal("number of attempts", len(as), len(outputs))
	}},
}

func (f *fixture) fenced(what string, err error) {
	f.Helper()
	if !errors.Is(err, store.ErrFenced) || errors.Is(err, store.ErrUnavailable) {
		f.Errorf("%s: %v, want %v", what, err, store.ErrFenced)
	}
}

// recorded takes a job through a failure and a success and reads everything back.
func recorded(f fixture) {
	j := f.one()
	at := func(n int) time.Time { return epoch.Add(time.Duration(n) * time.Second) }
	exit := 3
	f.ok(f.store.Start(f.context(), store.StartMark{Job: j.ID, Attempt: 1, At: at(1), Config: "c1", Node: "a"}))
	want := j
	want.State, want.Attempt, want.StartedAt, want.Node = job.Running, 1, at(1), "a"
	f.equal("running Job", f.job(j.ID), want)

	f.ok(f.store.Finish(f.context(), store.Ended{
		Job: j.ID, Attempt: 1, At: at(2), ExitCode: &exit, Error: "exit status 3",
		Output: []byte("no\n"), Next: job.Scheduled, RunAt: at(10), Reason: "retry in 8s",
	}))
	want.State, want.RunAt, want.Reason, want.ExitCode, want.Error = job.Scheduled, at(10), "retry in 8s", &exit, "exit status 3"
	f.equal("scheduled Job", f.job(j.ID), want)

	f.ok(f.store.Start(f.context(), store.StartMark{Job: j.ID, Attempt: 2, At: at(10), Config: "c2", Node: "b"}))
	want.State, want.Reason, want.Attempt, want.StartedAt, want.ExitCode, want.Error, want.Node = job.Running, "", 2, at(10), nil, "", "b"
	f.equal("Job that runs again", f.job(j.ID), want)

	f.ok(f.store.Finish(f.context(), store.Ended{Job: j.ID, Attempt: 2, At: at(12), Status: 204, Signal: "TERM", Next: job.Succeeded, Reason: "done"}))
	want.State, want.Reason, want.FinishedAt = job.Succeeded, "done", at(12)
	f.equal("ended Job", f.job(j.ID), want)

	as, err := f.store.Attempts(f.context(), j.ID)
	f.ok(err)
	f.equal("Attempts", as, []job.Attempt{
		{N: 1, StartedAt: at(1), FinishedAt: at(2), ExitCode: &exit, Error: "exit status 3", Output: []byte("no\n"), Config: "c1"},
		{N: 2, StartedAt: at(10), FinishedAt: at(12), Status: 204, Signal: "TERM", Config: "c2"},
	})
}

func notFound(f fixture) {
	f.one()
	for _, id := range []string{job.NewID(), "", "x", strings.Repeat("0", 36), "'; --"} {
		calls := map[string]func(context.Context) error{
			"Delivery": func(ctx context.Context) error { _, err := f.store.Delivery(ctx, id); return err },
			"Job":      func(ctx context.Context) error { _, err := f.store.Job(ctx, id); return err },
			"Attempts": func(ctx context.Context) error { _, err := f.store.Attempts(ctx, id); return err },
			"Start": func(ctx context.Context) error {
				return f.store.Start(ctx, store.StartMark{Job: id, Attempt: 1, At: epoch})
			},
			"Finish": func(ctx context.Context) error {
				return f.store.Finish(ctx, store.Ended{Job: id, Attempt: 1, At: epoch, Next: job.Failed})
			},
			"Settle": func(ctx context.Context) error {
				return f.store.Settle(ctx, store.Settle{Job: id, At: epoch, Next: job.Failed})
			},
			"Requeue": func(ctx context.Context) error { _, err := f.store.Requeue(ctx, id, "", epoch); return err },
		}
		for name, call := range calls {
			if err := call(f.context()); !errors.Is(err, store.ErrNotFound) {
				f.Errorf("%s of %q: %v, want %v", name, id, err, store.ErrNotFound)
			}
		}
	}
}
