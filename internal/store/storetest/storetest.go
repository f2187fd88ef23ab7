// Package storetest proves that a store keeps the contract of package store: one suite that any
// store must pass, and a random walk against a model in memory.
package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// Open opens a new, empty store, which it closes when t ends. Reopen closes what is open and
// opens the same store again, as a restart does.
type Open func(t *testing.T) (s store.Store, reopen func() store.Store)

// patience bounds every call of a test; it is long because machines that test are busy.
const patience = time.Minute

// epoch is when the tests take place: far from now, so that no store confuses its own clock
// with the times it is given, and not on a whole second.
var epoch = time.Date(2031, 5, 4, 3, 2, 1, 987654000, time.UTC)

// Run runs the whole suite.
func Run(t *testing.T, open Open) {
	for _, group := range [][]testCase{accepting, duplicates, moving, controls, replaying, recording, listing, pruning, holding, reporting, closing} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) {
				s, reopen := open(t)
				c.run(fixture{t, s, reopen})
			})
		}
	}
	t.Run("any history agrees with the model", func(t *testing.T) { runModel(t, open) })
}

// testCase is one promise, named as a sentence.
type testCase struct {
	name string
	run  func(f fixture)
}

// fixture is a store under test, with methods that fail the test on surprises.
type fixture struct {
	*testing.T
	store  store.Store
	reopen func() store.Store
}

func (f *fixture) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	f.Cleanup(cancel)
	return ctx
}

func newDelivery(hook, key string) *job.Delivery {
	return &job.Delivery{
		ID: job.NewID(), Hook: hook, Key: key, Window: time.Hour, OnDuplicate: job.Skip, ReceivedAt: epoch,
		Outcome: job.Accepted, Origin: "request", Method: "POST", Path: "/" + hook, IP: "192.0.2.1", Secret: -1,
		Body: []byte(`{"ref":"refs/heads/main"}`), Size: 25,
	}
}

func newJobs(d *job.Delivery, rules ...string) []job.Job {
	var jobs []job.Job
	for _, rule := range rules {
		jobs = append(jobs, job.Job{
			ID: job.NewID(), Delivery: d.ID, Hook: d.Hook, Rule: rule, State: job.Queued,
			RunAt: d.ReceivedAt, CreatedAt: d.ReceivedAt,
		})
	}
	return jobs
}

// accept stores d with one job for each rule.
func (f *fixture) accept(d *job.Delivery, rules ...string) store.Receipt {
	f.Helper()
	r, err := f.store.Accept(f.context(), d, newJobs(d, rules...))
	if err != nil {
		f.Fatalf("Accept: %v", err)
	}
	return r
}

// one stores a delivery with one job and returns the job.
func (f *fixture) one() job.Job {
	f.Helper()
	return f.accept(newDelivery("deploy", ""), "build").Jobs[0]
}

func (f *fixture) ok(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) start(id string, attempt int) {
	f.Helper()
	f.ok(f.store.Start(f.context(), store.StartMark{Job: id, Attempt: attempt, At: epoch.Add(time.Second), Config: "c0ffee", Node: "a"}))
}

func (f *fixture) finish(id string, attempt int, next job.State) {
	f.Helper()
	f.ok(f.store.Finish(f.context(), store.Ended{Job: id, Attempt: attempt, At: epoch.Add(2 * time.Second), Next: next, RunAt: epoch.Add(time.Minute)}))
}

// ended stores a job and takes it to an end.
func (f *fixture) ended(as job.State) job.Job {
	f.Helper()
	j := f.one()
	f.start(j.ID, 1)
	f.finish(j.ID, 1, as)
	return f.job(j.ID)
}

func (f *fixture) job(id string) job.Job {
	f.Helper()
	j, err := f.store.Job(f.context(), id)
	f.ok(err)
	return j
}

func (f *fixture) live() []job.Job {
	f.Helper()
	var jobs []job.Job
	f.ok(f.store.Live(f.context(), func(j job.Job) bool { jobs = append(jobs, j); return true }))
	return jobs
}

func (f *fixture) equal(what string, got, want any) {
	f.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		f.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// deliveries returns the ids a filter finds.
func (f *fixture) deliveries(filter store.Filter) []string {
	f.Helper()
	ds, err := f.store.Deliveries(f.context(), filter)
	f.ok(err)
	var ids []string
	for _, d := range ds {
		ids = append(ids, d.ID)
	}
	return ids
}

// jobs returns the ids a filter finds.
func (f *fixture) jobs(filter store.Filter) []string {
	f.Helper()
	js, err := f.store.Jobs(f.context(), filter)
	f.ok(err)
	return ids(js)
}

func ids(jobs []job.Job) []string {
	var ids []string
	for _, j := range jobs {
		ids = append(ids, j.ID)
	}
	return ids
}

// pruneAll prunes until there is nothing more to do.
func (f *fixture) pruneAll(r store.Retention, now time.Time) {
	f.Helper()
	for range 1000 {
		pruned, err := f.store.Prune(f.context(), r, now)
		f.ok(err)
		if !pruned.More {
			return
		}
	}
	f.Fatal("Prune always says that there is more to do")
}
