package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/action"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/worker"
)

const cutOff = "cut off when the daemon died; how far it came is not known"

func TestRecover_AnAttemptThatWasCutOffBecomesWhatOnInterruptSays(t *testing.T) {
	for _, tt := range []struct {
		name   string
		rule   *rule
		job    job.Job
		state  job.State
		reason string
	}{
		{"fail", &rule{onInterrupt: "fail", retry: job.RetryPolicy{Attempts: 3}}, job.Job{Attempt: 1}, job.Interrupted, cutOff},
		{"retry", &rule{onInterrupt: "retry", retry: job.RetryPolicy{Attempts: 3}}, job.Job{Attempt: 2}, job.Queued, cutOff + "; it is run again"},
		{"retry, at the last attempt", &rule{onInterrupt: "retry", retry: job.RetryPolicy{Attempts: 3}}, job.Job{Attempt: 3}, job.Interrupted, cutOff},
		{"retry, of a job that was requeued", &rule{onInterrupt: "retry", retry: job.RetryPolicy{Attempts: 3}}, job.Job{Attempt: 5, Since: 3}, job.Queued, cutOff + "; it is run again"},
		{"retry alone grants one more", &rule{onInterrupt: "retry", retry: job.RetryPolicy{Attempts: 1}}, job.Job{Attempt: 1}, job.Queued, cutOff + "; it is run again"},
		{"retry alone grants only one more", &rule{onInterrupt: "retry", retry: job.RetryPolicy{Attempts: 1}}, job.Job{Attempt: 2}, job.Interrupted, cutOff},
		{"rule gone", nil, job.Job{Attempt: 1}, job.Interrupted, cutOff + "; rule deploy/main is no longer configured"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.rule = tt.rule
				tt.job.ID, tt.job.State = "a", job.Running
				w.store.put(tt.job)
				report, err := w.pool.Recover(w.t.Context())
				if err != nil {
					t.Fatal(err)
				}
				w.state("a", tt.state, tt.reason)
				w.same("error of the attempt", w.store.attempt("a", tt.job.Attempt).Error, cutOff)
				want := worker.Report{Interrupted: 1}
				if tt.state == job.Queued {
					want = worker.Report{Requeued: 1}
				}
				w.same("report", report, want)
				if !strings.Contains(w.log.String(), "job=a") {
					t.Errorf("no line in the log: %q", w.log)
				}

				w.start()
				w.settle()
				w.same("jobs that have not ended", w.pool.Len(), 0)
				if tt.state == job.Queued {
					w.same("attempts", w.store.get("a").Attempt, tt.job.Attempt+1)
				}
			})
		})
	}
}

func TestRecover_EndsLeftOverProcessesBeforeAnythingIsRecordedOrRun(t *testing.T) {
	inWorld(t, func(w *world) {
		var swept []string
		w.options.Sweep = func(_ context.Context, jobs []string) (int, error) {
			swept = jobs
			w.same("committed before the sweep", w.store.history(), []string(nil))
			return 3, nil
		}
		w.remake()
		w.store.put(job.Job{ID: "a", State: job.Running, Attempt: 1})
		w.store.put(job.Job{ID: "b"})
		w.store.put(job.Job{ID: "c", State: job.Running, Attempt: 1})
		w.store.put(job.Job{ID: "over", State: job.Succeeded, Attempt: 1})
		report, err := w.pool.Recover(w.t.Context())
		if err != nil {
			t.Fatal(err)
		}
		w.same("swept", swept, []string{"a", "c"})
		w.same("report", report, worker.Report{Waiting: 1, Interrupted: 2, Swept: 3})
	})
}

func TestRecover_ASweepThatFailsKeepsEverythingAsItWas(t *testing.T) {
	inWorld(t, func(w *world) {
		w.options.Sweep = func(context.Context, []string) (int, error) { return 1, errors.New("no /proc") }
		w.remake()
		w.store.put(job.Job{ID: "a", State: job.Running, Attempt: 1})
		w.store.put(job.Job{ID: "b"})
		if _, err := w.pool.Recover(w.t.Context()); err == nil || err.Error() != "end left-over processes: no /proc" {
			t.Errorf("Recover: %v", err)
		}
		w.state("a", job.Running, "")
		w.same("jobs in memory", w.pool.Len(), 0)
	})
}

func TestRecover_FailsWhenTheStoreIsNotAvailable(t *testing.T) {
	inWorld(t, func(w *world) {
		w.store.fault = sometimes("finish", 1, refuses)
		w.store.put(job.Job{ID: "a", State: job.Running, Attempt: 1})
		if _, err := w.pool.Recover(w.t.Context()); err == nil {
			t.Error("no error though the cut-off attempt could not be recorded")
		}
	})
}

func TestRecover_AJobThatSomebodyElseMovedMeanwhileDoesNotStopIt(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule.onInterrupt = "retry"
		w.store.put(job.Job{ID: "a", State: job.Running, Attempt: 1})
		w.store.put(job.Job{ID: "b"})
		w.store.before = func(_, id string) { w.store.move(id, job.Failed) }
		if _, err := w.pool.Recover(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		w.same("jobs in memory", w.pool.Len(), 1)
	})
}

func TestRecover_LanesGoOnInTheirOrder(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule.limit, w.rule.pending, w.rule.onInterrupt = 1, 2, "retry"
		var order []string
		w.rule.do = func(_ context.Context, _ io.Writer, j *job.Job) action.Result {
			order = append(order, fmt.Sprint(j.ID, " ", j.Attempt+1))
			time.Sleep(time.Second)
			return action.Result{}
		}
		w.store.put(job.Job{ID: "retries", State: job.Scheduled, Attempt: 1, RunAt: time.Now(), ConcurrencyKey: "k"})
		w.store.put(job.Job{ID: "ran", State: job.Running, Attempt: 1, ConcurrencyKey: "k"})
		for _, id := range []string{"a", "b", "c", "d"} {
			w.store.put(job.Job{ID: id, ConcurrencyKey: "k"})
		}
		if _, err := w.pool.Recover(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		w.start()
		w.pass(time.Minute)
		w.same("order", order, []string{"retries 2", "ran 2", "a 1", "b 1", "c 1"})
		w.state("d", job.Skipped, `2 jobs already wait for "k"`)
	})
}
