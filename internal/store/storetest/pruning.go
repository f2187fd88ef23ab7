package storetest

import (
	"errors"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

var pruning = []testCase{
	{"prune keeps live jobs and unexpired keys", func(f fixture) {
		var kept []string
		for _, s := range job.States {
			d := newDelivery("deploy", string(s))
			j := f.accept(d, "build", "test").Jobs
			f.take(j[0].ID, s)
			f.take(j[1].ID, job.Succeeded)
			if !s.Terminal() {
				kept = append([]string{d.ID}, kept...)
			}
		}
		f.pruneAll(store.Retention{For: time.Minute, Deliveries: 1}, epoch.Add(59*time.Minute))
		f.equal("Deliveries", f.deliveries(store.Filter{}), kept)
		f.equal("number of live jobs", len(f.live()), len(kept))
		for _, s := range job.States {
			d := newDelivery("deploy", string(s))
			d.ReceivedAt = epoch.Add(59 * time.Minute)
			if !f.accept(d).Duplicate {
				f.Errorf("the key of the delivery with the %s job is free", s)
			}
		}
	}},
	{"prune takes everything of a delivery", func(f fixture) {
		j := f.ended(job.Failed)
		f.pruneAll(store.Retention{For: time.Minute}, epoch.Add(time.Hour))
		for name, err := range map[string]error{
			"Delivery": second(f.store.Delivery(f.context(), j.Delivery)),
			"Job":      second(f.store.Job(f.context(), j.ID)),
			"Attempts": second(f.store.Attempts(f.context(), j.ID)),
			"Requeue":  second(f.store.Requeue(f.context(), j.ID, "", epoch)),
		} {
			if !errors.Is(err, store.ErrNotFound) {
				f.Errorf("%s of what was pruned: %v, want %v", name, err, store.ErrNotFound)
			}
		}
	}},
	{"prune goes by age", func(f fixture) {
		var kept []string
		for i := range 5 {
			d := newDelivery("deploy", "")
			d.ReceivedAt = epoch.Add(time.Duration(i) * time.Hour)
			f.accept(d)
			if i >= 2 {
				kept = append([]string{d.ID}, kept...)
			}
		}
		f.pruneAll(store.Retention{For: 2 * time.Hour}, epoch.Add(4*time.Hour))
		f.equal("Deliveries", f.deliveries(store.Filter{}), kept)
	}},
	{"prune goes by number, oldest first", func(f fixture) {
		var kept []string
		for i := range 450 {
			d := newDelivery("deploy", "")
			f.accept(d)
			if i >= 447 {
				kept = append([]string{d.ID}, kept...)
			}
		}
		f.pruneAll(store.Retention{Deliveries: 3}, epoch)
		f.equal("Deliveries", f.deliveries(store.Filter{}), kept)
	}},
	{"prune without bounds keeps everything", func(f fixture) {
		d := newDelivery("deploy", "")
		f.accept(d)
		f.pruneAll(store.Retention{}, epoch.AddDate(100, 0, 0))
		f.equal("Deliveries", f.deliveries(store.Filter{}), []string{d.ID})
	}},
	{"one slice is small, and says that there is more", func(f fixture) {
		for range 450 {
			f.accept(newDelivery("deploy", ""))
		}
		pruned, err := f.store.Prune(f.context(), store.Retention{For: time.Minute}, epoch.Add(time.Hour))
		f.ok(err)
		left := len(f.deliveries(store.Filter{Limit: 500}))
		if !pruned.More || left < 250 || left == 450 {
			f.Errorf("of 450 deliveries one slice left %d and said more is %t", left, pruned.More)
		}
	}},
	{"an expired key is pruned without harm", func(f fixture) {
		f.accept(newDelivery("deploy", "k-1"))
		later := newDelivery("deploy", "k-2")
		later.Window = 10 * time.Hour
		f.accept(later)
		f.pruneAll(store.Retention{}, epoch.Add(2*time.Hour))
		for key, duplicate := range map[string]bool{"k-1": false, "k-2": true} {
			d := newDelivery("deploy", key)
			d.ReceivedAt = epoch.Add(2 * time.Hour)
			if got := f.accept(d).Duplicate; got != duplicate {
				f.Errorf("key %s is a duplicate: %t", key, got)
			}
		}
	}},
}

// second drops the value of a call that should fail.
func second[T any](_ T, err error) error { return err }

var closing = []testCase{
	{"a store that works is ready", func(f fixture) {
		f.one()
		f.ok(f.store.Ready(f.context()))
	}},
	{"a closed store refuses writes", func(f fixture) {
		j := f.one()
		f.ok(f.store.Close())
		for name, err := range map[string]error{
			"Accept": second(f.store.Accept(f.context(), newDelivery("deploy", ""), nil)),
			"Start":  f.store.Start(f.context(), store.StartMark{Job: j.ID, Attempt: 1, At: epoch}),
			"Finish": f.store.Finish(f.context(), store.Ended{Job: j.ID, Attempt: 1, At: epoch, Next: job.Failed}),
			"Settle": f.store.Settle(f.context(), store.Settle{Job: j.ID, At: epoch, Next: job.Failed}),
			"Ready":  f.store.Ready(f.context()),
		} {
			if !errors.Is(err, store.ErrUnavailable) {
				f.Errorf("%s after Close: %v, want %v", name, err, store.ErrUnavailable)
			}
		}
		f.ok(f.store.Close())
	}},
}
