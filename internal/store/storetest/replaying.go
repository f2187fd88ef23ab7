package storetest

import (
	"errors"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

var replaying = []testCase{
	{"a replay gives a delivery further jobs, which come after all others", func(f fixture) {
		d := newDelivery("deploy", "k")
		first := f.accept(d, "build").Jobs[0]
		f.start(first.ID, 1)
		f.finish(first.ID, 1, job.Failed)
		between := f.one()
		again := newJobs(d, "build", "announce")
		again[0].ReplayOf = first.ID
		again[0].CreatedAt = epoch.Add(time.Hour)
		got, err := f.store.Replay(f.context(), d.ID, again)
		f.ok(err)
		f.equal("ids", ids(got), ids(again))
		if got[0].Seq <= between.Seq || got[1].Seq <= got[0].Seq {
			f.Errorf("order %d, %d after %d", got[0].Seq, got[1].Seq, between.Seq)
		}
		f.equal("stored", f.job(got[0].ID), got[0])
		f.equal("of what", got[0].ReplayOf, first.ID)
		stored, err := f.store.Delivery(f.context(), d.ID)
		f.ok(err)
		f.equal("jobs of the delivery", stored.JobIDs, []string{first.ID, got[0].ID, got[1].ID})
		f.store = f.reopen()
		f.equal("live", len(f.live()), 3)
	}},
	{"a rule with a job that waits or runs is not replayed", func(f fixture) {
		d := newDelivery("deploy", "k")
		jobs := f.accept(d, "waits", "runs").Jobs
		f.start(jobs[1].ID, 1)
		got, err := f.store.Replay(f.context(), d.ID, newJobs(d, "waits", "runs", "other"))
		f.ok(err)
		if len(got) != 1 || got[0].Rule != "other" {
			f.Errorf("replayed %+v", got)
		}
	}},
	{"the node that a job is for is kept, and each node has its own", func(f fixture) {
		d := newDelivery("deploy", "k")
		jobs := newJobs(d, "build", "build")
		jobs[0].Target, jobs[1].Target = "a", "b"
		_, err := f.store.Accept(f.context(), d, jobs)
		f.ok(err)
		f.equal("target", f.job(jobs[1].ID).Target, "b")
		f.start(jobs[0].ID, 1)
		f.finish(jobs[0].ID, 1, job.Succeeded)
		again := newJobs(d, "build", "build", "build")
		again[0].Target, again[1].Target, again[2].Target = "a", "b", "c"
		got, err := f.store.Replay(f.context(), d.ID, again)
		f.ok(err)
		if len(got) != 2 || got[0].Target != "a" || got[1].Target != "c" {
			f.Errorf("replayed %+v", got)
		}
		f.store = f.reopen()
		f.equal("target", f.job(got[1].ID).Target, "c")
		one := newJobs(d, "build")
		got, err = f.store.Replay(f.context(), d.ID, one)
		f.ok(err)
		f.equal("replayed for whichever node", len(got), 0)
	}},
	{"what is not there cannot be replayed", func(f fixture) {
		if _, err := f.store.Replay(f.context(), job.NewID(), newJobs(newDelivery("deploy", ""), "build")); !errors.Is(err, store.ErrNotFound) {
			f.Errorf("Replay: %v", err)
		}
	}},
}
