package storetest

import (
	"strings"
	"sync"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

var duplicates = []testCase{
	{"a duplicate names the first delivery", func(f fixture) {
		first := newDelivery("deploy", "k-1")
		f.accept(first, "build")
		r := f.accept(newDelivery("deploy", "k-1"), "build")
		f.equal("Receipt", r, store.Receipt{Duplicate: true, Delivery: first.ID})
		f.equal("Deliveries", f.deliveries(store.Filter{}), []string{first.ID})
		f.equal("number of live jobs", len(f.live()), 1)
	}},
	{"fifty parallel copies store one delivery", parallelCopies},
	{"an empty key is never a duplicate", func(f fixture) {
		for range 2 {
			if r := f.accept(newDelivery("deploy", "")); r.Duplicate {
				f.Error("a delivery without a key is a duplicate")
			}
		}
	}},
	{"hooks do not share keys", func(f fixture) {
		f.accept(newDelivery("deploy", "k-1"))
		if r := f.accept(newDelivery("bill", "k-1")); r.Duplicate {
			f.Error("the same key at another hook is a duplicate")
		}
	}},
	{"keys are compared byte by byte, however long", func(f fixture) {
		long := strings.Repeat("x", 5000)
		keys := []string{"a", "A", "a ", "a\x00", "a\x00b", "é", "e\u0301", long, long + "y", strings.Repeat("x", 128), strings.Repeat("x", 129)}
		for _, key := range keys {
			if r := f.accept(newDelivery("deploy", key)); r.Duplicate {
				f.Errorf("key %.20q of %d bytes is a duplicate at once", key, len(key))
			}
		}
		for _, key := range keys {
			if r := f.accept(newDelivery("deploy", key)); !r.Duplicate {
				f.Errorf("key %.20q of %d bytes is not a duplicate of itself", key, len(key))
			}
		}
	}},
	{"a key is free again when its window has ended", func(f fixture) {
		first := newDelivery("deploy", "k-1")
		f.accept(first)
		for _, step := range []struct {
			after time.Duration
			free  bool
		}{{time.Hour - time.Millisecond, false}, {time.Hour, true}, {2*time.Hour - time.Millisecond, false}, {2 * time.Hour, true}} {
			d := newDelivery("deploy", "k-1")
			d.ReceivedAt = epoch.Add(step.after)
			if r := f.accept(d); r.Duplicate == step.free {
				f.Errorf("after %v: duplicate is %t", step.after, r.Duplicate)
			}
		}
	}},
	{"a rerun touches only jobs that ended badly", rerun},
	{"a duplicate that should do nothing does nothing", func(f fixture) {
		d := newDelivery("deploy", "k-1")
		j := f.accept(d, "build").Jobs[0]
		f.start(j.ID, 1)
		f.finish(j.ID, 1, job.Failed)
		before := f.job(j.ID)
		f.equal("Receipt", f.accept(newDelivery("deploy", "k-1"), "build"), store.Receipt{Duplicate: true, Delivery: d.ID})
		f.equal("Job", f.job(j.ID), before)
	}},
	{"a key outlives its pruned delivery", func(f fixture) {
		first := newDelivery("deploy", "k-1")
		f.accept(first)
		f.pruneAll(store.Retention{For: time.Minute}, epoch.Add(30*time.Minute))
		f.equal("Deliveries", f.deliveries(store.Filter{}), []string(nil))
		again := newDelivery("deploy", "k-1")
		again.ReceivedAt, again.OnDuplicate = epoch.Add(30*time.Minute), job.RerunFailed
		f.equal("Receipt", f.accept(again, "build"), store.Receipt{Duplicate: true, Delivery: first.ID})
	}},
}

func parallelCopies(f fixture) {
	var wait sync.WaitGroup
	receipts, errs := make([]store.Receipt, 50), make([]error, 50)
	stored := make([]*job.Delivery, 50)
	for i := range receipts {
		stored[i] = newDelivery("deploy", "k-1")
		wait.Go(func() {
			receipts[i], errs[i] = f.store.Accept(f.context(), stored[i], newJobs(stored[i], "build"))
		})
	}
	wait.Wait()
	first, originals := "", 0
	for i, r := range receipts {
		f.ok(errs[i])
		if !r.Duplicate {
			originals++
			first = stored[i].ID
		}
	}
	f.equal("number of originals", originals, 1)
	for _, r := range receipts {
		f.equal("Receipt.Delivery", r.Delivery, first)
	}
	f.equal("Deliveries", f.deliveries(store.Filter{}), []string{first})
	f.equal("number of live jobs", len(f.live()), 1)
}

// rerun takes one job to each state and redelivers.
func rerun(f fixture) {
	d := newDelivery("deploy", "k-1")
	var rules []string
	for _, s := range job.States {
		rules = append(rules, string(s))
	}
	jobs := f.accept(d, rules...).Jobs
	for _, j := range jobs {
		f.take(j.ID, job.State(j.Rule))
	}
	want := map[string]job.Job{}
	var again []job.Job
	later := epoch.Add(10 * time.Minute)
	for _, j := range jobs {
		j = f.job(j.ID)
		if j.State.EndedBadly() {
			j.State, j.Reason, j.RunAt, j.Since, j.FinishedAt = job.Queued, "redelivered", later, j.Attempt, time.Time{}
			again = append(again, j)
		}
		want[j.ID] = j
	}
	second := newDelivery("deploy", "k-1")
	second.OnDuplicate, second.ReceivedAt = job.RerunFailed, later
	r := f.accept(second, "build")
	f.equal("Receipt", r, store.Receipt{Duplicate: true, Delivery: d.ID, Jobs: again})
	for id, j := range want {
		f.equal("Job of rule "+j.Rule, f.job(id), j)
	}
	// The queued job's next attempt counts on from the last.
	f.start(again[0].ID, again[0].Attempt+1)
}

// take moves a queued job to a state, by an attempt where the state comes from one.
func (f *fixture) take(id string, to job.State) {
	f.Helper()
	switch to {
	case job.Queued:
	case job.Cancelled, job.Superseded, job.Skipped, job.Stale, job.Expired:
		f.ok(f.store.Settle(f.context(), store.Settle{Job: id, At: epoch, Next: to, Reason: "because"}))
	default:
		f.start(id, 1)
		if to != job.Running {
			f.finish(id, 1, to)
		}
	}
}
