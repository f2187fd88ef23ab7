package storetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

var accepting = []testCase{
	{"a clock that is wrong or late is believed", func(f fixture) {
		for _, at := range []time.Time{time.Unix(7, 0).UTC(), time.Unix(1<<31, 5000).UTC(), time.Date(2262, 5, 1, 0, 0, 0, 0, time.UTC)} {
			d := newDelivery("deploy", at.String())
			d.ReceivedAt = at
			id := f.accept(d, "build").Jobs[0].ID
			f.ok(f.store.Start(f.context(), store.StartMark{Job: id, Attempt: 1, At: at.Add(time.Second)}))
			f.ok(f.store.Finish(f.context(), store.Ended{Job: id, Attempt: 1, At: at.Add(2 * time.Second), Next: job.Succeeded}))
			f.store = f.reopen()
			got, err := f.store.Delivery(f.context(), d.ID)
			f.ok(err)
			as, err := f.store.Attempts(f.context(), id)
			f.ok(err)
			f.equal("when", []time.Time{got.ReceivedAt, f.job(id).CreatedAt, as[0].StartedAt, as[0].FinishedAt}, []time.Time{at, at, at.Add(time.Second), at.Add(2 * time.Second)})
		}
	}},
	{"a delivery is read back as it was stored", func(f fixture) {
		d := newDelivery("deploy", "k-1")
		d.Event, d.Query, d.Secret, d.Config = "push", "a=1&b=%ff", 2, "c0ffee"
		d.Header = http.Header{"X-Event": {"push"}, "Accept": {"a", "", "b"}, "Latin": {"caf\xe9"}}
		d.Withheld = []string{"X-Signature"}
		d.Params = map[string]string{"env": "prod", "odd": "\xff\x00"}
		d.Verdicts = []job.RuleVerdict{
			{Rule: "build", Verdict: job.Match},
			{Rule: "test", Verdict: job.NoMatch, Match: `event == "ü"`, Cut: true, Values: []job.RuleValue{
				{Expr: "event", Value: json.RawMessage(`"push"`)}, {Expr: `event == "ü"`, Value: json.RawMessage("false")}, {Expr: "other", Value: json.RawMessage(`[1.50]`)},
			}},
			{Rule: "x", Verdict: job.Error, Error: "no such key", Match: "a > 1", Values: []job.RuleValue{{Expr: "a > 1", Value: json.RawMessage("null"), Error: "no such key"}}},
		}
		jobs := newJobs(d, "build", "test")
		if _, err := f.store.Accept(f.context(), d, jobs); err != nil {
			f.Fatal(err)
		}
		got, err := f.store.Delivery(f.context(), d.ID)
		f.ok(err)
		want := *d
		want.JobIDs = ids(jobs)
		f.equal("Delivery", got, want)
		list, err := f.store.Deliveries(f.context(), store.Filter{})
		f.ok(err)
		want.Body = nil
		want.Verdicts, list[0].Verdicts = withoutTrace(want.Verdicts), withoutTrace(list[0].Verdicts) // a store may leave it out
		f.equal("Deliveries", list, []job.Delivery{want})
	}},
	{"a body of any size is read back byte for byte", func(f fixture) {
		random := rand.NewChaCha8([32]byte{1})
		for _, size := range []int{0, 1, 4095, 4096, 100_000, 3 << 20} {
			noise := make([]byte, size)
			_, _ = random.Read(noise)
			for _, body := range [][]byte{bytes.Repeat([]byte("abcd"), size/4), noise} {
				d := newDelivery("deploy", "")
				d.Body, d.Size = body, len(body)
				f.accept(d)
				got, err := f.store.Delivery(f.context(), d.ID)
				f.ok(err)
				if !bytes.Equal(got.Body, body) || got.Size != len(body) {
					f.Errorf("body of %d bytes came back with %d and Size %d", len(body), len(got.Body), got.Size)
				}
			}
		}
	}},
	{"jobs are numbered in the order they were stored", func(f fixture) {
		last := int64(0)
		for range 3 {
			d := newDelivery("deploy", "")
			jobs := newJobs(d, "a", "b")
			r, err := f.store.Accept(f.context(), d, jobs)
			f.ok(err)
			f.equal("Receipt.Jobs", r.Jobs, jobs)
			for _, j := range jobs {
				if j.Seq <= last {
					f.Errorf("Seq %d follows %d", j.Seq, last)
				}
				last = j.Seq
				f.equal("Job", f.job(j.ID), j)
			}
		}
	}},
	{"a delivery without jobs is kept", func(f fixture) {
		d := newDelivery("deploy", "")
		d.Outcome = job.Ignored
		r := f.accept(d)
		f.equal("Receipt", r, store.Receipt{Delivery: d.ID})
		got, err := f.store.Delivery(f.context(), d.ID)
		f.ok(err)
		f.equal("Delivery", got, *d)
	}},
	{"a job that was over when it was stored does not wait", func(f fixture) {
		d := newDelivery("deploy", "")
		jobs := newJobs(d, "a", "b")
		jobs[0].State, jobs[0].FinishedAt = job.Skipped, epoch
		jobs[1].State, jobs[1].RunAt = job.Scheduled, epoch.Add(time.Minute)
		r, err := f.store.Accept(f.context(), d, jobs)
		f.ok(err)
		f.equal("Receipt.Jobs", ids(r.Jobs), ids(jobs))
		f.equal("Live", f.live(), jobs[1:])
	}},
	{"a job that has started cannot be stored", func(f fixture) {
		d := newDelivery("deploy", "k-1")
		jobs := newJobs(d, "a")
		jobs[0].State = job.Running
		if _, err := f.store.Accept(f.context(), d, jobs); err == nil || errors.Is(err, store.ErrUnavailable) {
			f.Errorf("Accept of a running job: %v", err)
		}
		f.equal("Deliveries", f.deliveries(store.Filter{}), []string(nil))
	}},
	{"a delivery that cannot be stored fails alone, and its key stays free", failsAlone},
	{"nothing is stored for a caller who has gone before", func(f fixture) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		d := newDelivery("deploy", "k-1")
		_, err := f.store.Accept(ctx, d, newJobs(d, "a"))
		if !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, context.Canceled) {
			f.Errorf("Accept: %v, want %v and %v", err, store.ErrUnavailable, context.Canceled)
		}
		f.equal("Deliveries", f.deliveries(store.Filter{}), []string(nil))
	}},
	{"what was acknowledged is there after reopening", func(f fixture) {
		d := newDelivery("deploy", "k-1")
		jobs := newJobs(d, "a", "b", "c")
		if _, err := f.store.Accept(f.context(), d, jobs); err != nil {
			f.Fatal(err)
		}
		f.start(jobs[0].ID, 1)
		f.start(jobs[1].ID, 1)
		f.finish(jobs[1].ID, 1, job.Scheduled)
		before := f.live()
		f.store = f.reopen()
		f.equal("Live", f.live(), before)
		got, err := f.store.Delivery(f.context(), d.ID)
		f.ok(err)
		f.equal("Body", got.Body, d.Body)
		if r := f.accept(newDelivery("deploy", "k-1")); !r.Duplicate || r.Delivery != d.ID {
			f.Errorf("after reopening the same key gives %+v", r)
		}
		last := f.accept(newDelivery("deploy", ""), "a").Jobs[0]
		if last.Seq <= jobs[2].Seq {
			f.Errorf("after reopening Seq goes on with %d after %d", last.Seq, jobs[2].Seq)
		}
	}},
}

// failsAlone sends deliveries together, one of which has the id of an earlier one.
func failsAlone(f fixture) {
	first := newDelivery("deploy", "")
	f.accept(first)
	var wait sync.WaitGroup
	errs := make([]error, 20)
	for i := range errs {
		wait.Go(func() {
			d := newDelivery("deploy", fmt.Sprint("k-", i))
			if i == 7 {
				d.ID = first.ID
			}
			_, errs[i] = f.store.Accept(f.context(), d, newJobs(d, "a"))
		})
	}
	wait.Wait()
	for i, err := range errs {
		if i != 7 && err != nil {
			f.Errorf("delivery %d beside a bad one: %v", i, err)
		}
	}
	if errs[7] == nil || errors.Is(errs[7], store.ErrUnavailable) {
		f.Errorf("a delivery whose id is taken: %v", errs[7])
	}
	if r := f.accept(newDelivery("deploy", "k-7")); r.Duplicate {
		f.Error("the key of the delivery that was not stored is taken")
	}
}

func withoutTrace(verdicts []job.RuleVerdict) (out []job.RuleVerdict) {
	for _, v := range verdicts {
		out = append(out, job.RuleVerdict{Rule: v.Rule, Verdict: v.Verdict, Error: v.Error})
	}
	return out
}
