package worker_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/action"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/worker"
)

func TestExpect_HasTheEndsInTheOrderAskedForAlsoOfJobsThatEndedBeforeWait(t *testing.T) {
	inWorld(t, func(w *world) {
		zero, one := 0, 1
		w.rule.do = func(_ context.Context, out io.Writer, j *job.Job) action.Result {
			_, _ = io.WriteString(out, "I am "+j.ID)
			if j.ID == "slow" {
				time.Sleep(time.Minute)
				return exit(one)
			}
			return action.Result{ExitCode: &zero}
		}
		e := w.pool.Expect([]string{"slow", "quick"})
		defer e.Release()
		w.start()
		w.add(job.Job{ID: "quick"}, job.Job{ID: "slow"})
		w.settle()
		done, ok := e.Wait(w.t.Context())
		w.same("Wait is complete", ok, true)
		w.same("ends", done, []worker.Done{
			{Job: "slow", State: job.Failed, Reason: "exit status 1", ExitCode: &one, Output: []byte("I am slow")},
			{Job: "quick", State: job.Succeeded, ExitCode: &zero, Output: []byte("I am quick")},
		})
		again, ok := e.Wait(w.t.Context())
		w.same("a second Wait", []any{again, ok}, []any{done, true})
	})
}

func TestExpect_ReturnsWhatHasEndedWhenTheTimeIsOver(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule.do = func(ctx context.Context, out io.Writer, j *job.Job) action.Result {
			if j.ID == "b" {
				return untilTold(ctx, out, j)
			}
			return action.Result{}
		}
		e := w.pool.Expect([]string{"a", "b"})
		defer e.Release()
		w.start()
		w.add(job.Job{ID: "a"}, job.Job{ID: "b"})
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
		defer cancel()
		done, ok := e.Wait(ctx)
		w.same("Wait", []any{done, ok}, []any{[]worker.Done{{Job: "a", State: job.Succeeded}}, false})
		w.same("Run", w.stop(), nil)
	})
}

func TestExpect_IsToldOfEveryWayToEnd(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(w *world)
		want worker.Done
	}{
		{"skipped", func(w *world) {
			w.rule.limit, w.rule.do = 1, untilTold
			w.add(job.Job{ID: "first", ConcurrencyKey: "k"}, job.Job{ID: "a", ConcurrencyKey: "k"})
		}, worker.Done{Job: "a", State: job.Skipped, Reason: `another job runs for "k"`}},
		{"cancelled while it waited", func(w *world) {
			w.add(job.Job{ID: "a", State: job.Scheduled, Attempt: 1, RunAt: time.Now().Add(time.Minute)})
			w.cancel("a")
		}, worker.Done{Job: "a", State: job.Cancelled, Reason: byHand}},
		{"rule gone", func(w *world) {
			w.reload(nil)
			w.add(job.Job{ID: "a"})
		}, worker.Done{Job: "a", State: job.Failed, Reason: "rule deploy/main is no longer configured"}},
		{"the last of its attempts failed", func(w *world) {
			w.rule.retry = job.RetryPolicy{Attempts: 2, Initial: time.Second, Factor: 1, Max: time.Second}
			w.rule.do = func(context.Context, io.Writer, *job.Job) action.Result { return action.Result{Err: errDisk} }
			w.add(job.Job{ID: "a"})
		}, worker.Done{Job: "a", State: job.Failed, Reason: "disk image is malformed; attempt 2 of 2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				e := w.pool.Expect([]string{"a"})
				defer e.Release()
				w.start()
				tt.do(w)
				ctx, cancel := context.WithTimeout(w.t.Context(), time.Hour)
				defer cancel()
				done, ok := e.Wait(ctx)
				w.same("Wait", []any{done, ok}, []any{[]worker.Done{tt.want}, true})
			})
		})
	}
}

func TestExpect_OnlyTheFirstEndOfAJobCounts(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule.do = func(_ context.Context, _ io.Writer, j *job.Job) action.Result {
			if j.Attempt == 0 {
				return action.Result{Err: errDisk}
			}
			return action.Result{}
		}
		one, two := w.pool.Expect([]string{"a"}), w.pool.Expect([]string{"a", "b"})
		defer one.Release()
		defer two.Release()
		w.start()
		w.add(job.Job{ID: "a"})
		w.settle()
		if err := w.store.requeue("a"); err != nil {
			t.Fatal(err)
		}
		w.settle()
		w.state("a", job.Succeeded, "")
		first := []worker.Done{{Job: "a", State: job.Failed, Reason: "disk image is malformed"}}
		for _, e := range []*worker.Expectation{one, two} {
			ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
			done, ok := e.Wait(ctx)
			cancel()
			w.same("Wait", []any{done, ok}, []any{first, e == one})
		}
	})
}

func TestExpect_OfNothingIsCompleteAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		e := w.pool.Expect(nil)
		defer e.Release()
		if done, ok := e.Wait(w.t.Context()); !ok || done != nil {
			t.Errorf("Wait: %v, %t", done, ok)
		}
	})
}

func TestExpect_AReleasedOneIsNotToldAndOthersStillAre(t *testing.T) {
	inWorld(t, func(w *world) {
		gone, stays := w.pool.Expect([]string{"a"}), w.pool.Expect([]string{"a"})
		gone.Release()
		gone.Release()
		w.start()
		w.add(job.Job{ID: "a"})
		w.settle()
		if _, ok := stays.Wait(w.t.Context()); !ok {
			t.Error("the one that stayed was not told")
		}
		stays.Release()
		ctx, cancel := context.WithCancel(w.t.Context())
		cancel()
		if done, ok := gone.Wait(ctx); ok || len(done) > 0 {
			t.Errorf("the released one was told: %v", done)
		}
	})
}

func TestExpect_IsNotToldOfAJobThatRunsElsewhere(t *testing.T) {
	inWorld(t, func(w *world) {
		e := w.pool.Expect([]string{"a"})
		defer e.Release()
		w.store.before = func(string, string) { w.store.move("a", job.Running) }
		w.start()
		w.add(job.Job{ID: "a"})
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Hour)
		defer cancel()
		if done, ok := e.Wait(ctx); ok || len(done) > 0 {
			t.Errorf("told %+v", done)
		}
	})
}
