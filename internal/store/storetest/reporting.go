package storetest

import (
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

var reporting = []testCase{
	{"what is told of a job goes on from what was told to what the job is", func(f fixture) {
		d := newDelivery("deploy", "k-1")
		jobs := newJobs(d, "build", "quiet")
		jobs[0].Reports = "github-status,github-deployment"
		_, err := f.store.Accept(f.context(), d, jobs)
		f.ok(err)
		id := jobs[0].ID
		due := func() []job.Report { return value(f.store.DueReports(f.context(), epoch.Add(time.Hour), 10)) }
		want := job.Report{Job: id, Delivery: d.ID, Hook: "deploy", Rule: "build", To: "github-status", State: job.Queued, Open: true}
		second := want
		second.N, second.To = 1, "github-deployment"
		f.equal("new", due(), []job.Report{want, second})
		second.Reached, second.At = job.StageWaiting, epoch
		f.ok(f.store.SetReport(f.context(), second))
		want.Error, want.Tries, want.NextAt, want.At = "busy", 1, epoch.Add(2*time.Hour), epoch
		f.ok(f.store.SetReport(f.context(), want))
		f.equal("told, or later", due(), []job.Report(nil))
		f.equal("Reports", value(f.store.Reports(f.context(), id)), []job.Report{want, second})
		f.equal("of another", value(f.store.Reports(f.context(), jobs[1].ID)), []job.Report(nil))
		f.start(id, 1)
		f.store = f.reopen()
		second.State = job.Running
		f.equal("after its start", due(), []job.Report{second})
		f.finish(id, 1, job.Failed)
		second.Reached, second.Open = string(job.Running), false // its end came between
		f.ok(f.store.SetReport(f.context(), second))
		second.State, second.Open = job.Failed, true
		f.equal("still open", due(), []job.Report{second})
		second.Reached, second.Open, second.Remote = string(job.Failed), false, "7"
		f.ok(f.store.SetReport(f.context(), second))
		f.equal("closed", due(), []job.Report(nil))
		_, err = f.store.Requeue(f.context(), id, "again", epoch)
		f.ok(err)
		second.State, second.Open = job.Queued, true
		f.equal("a new run of attempts", due()[1:], []job.Report{second})
	}},
	{"a redelivery and a replay are told of, and reports go with their jobs", func(f fixture) {
		d := newDelivery("deploy", "k-1")
		d.OnDuplicate = job.RerunFailed
		jobs := newJobs(d, "build")
		jobs[0].Reports = "x"
		_, err := f.store.Accept(f.context(), d, jobs)
		f.ok(err)
		f.start(jobs[0].ID, 1)
		f.finish(jobs[0].ID, 1, job.Failed)
		r := value(f.store.Reports(f.context(), jobs[0].ID))[0]
		r.Reached, r.Open = string(job.Failed), false
		f.ok(f.store.SetReport(f.context(), r))
		again := newDelivery("deploy", "k-1")
		again.OnDuplicate = job.RerunFailed
		f.accept(again)
		f.equal("redelivered", len(value(f.store.DueReports(f.context(), epoch, 10))), 1)
		more := newJobs(d, "other")
		more[0].Reports = "x"
		_, err = f.store.Replay(f.context(), d.ID, more)
		f.ok(err)
		f.equal("replayed", len(value(f.store.DueReports(f.context(), epoch, 10))), 2)
		for _, j := range []job.Job{jobs[0], more[0]} {
			f.ok(f.store.Settle(f.context(), store.Settle{Job: j.ID, At: epoch, Next: job.Cancelled}))
		}
		_, err = f.store.Prune(f.context(), store.Retention{For: time.Minute}, epoch.Add(time.Hour))
		f.ok(err)
		f.equal("pruned", value(f.store.DueReports(f.context(), epoch, 10)), []job.Report(nil))
	}},
}
