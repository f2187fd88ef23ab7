package worker_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/action"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

const byHand = "cancelled by a person"

func (w *world) cancel(id string) {
	w.t.Helper()
	if err := w.pool.Cancel(w.t.Context(), id, byHand); err != nil {
		w.t.Errorf("Cancel(%s): %v", id, err)
	}
}

func TestCancel_AJobThatWaitsEndsAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		w.options.Workers, w.rule.limit, w.rule.pending, w.rule.do = 1, 1, 9, untilTold
		w.remake()
		w.start()
		w.add(job.Job{ID: "runs", ConcurrencyKey: "k"})
		w.settle()
		w.add(job.Job{ID: "in its lane", ConcurrencyKey: "k"}, job.Job{ID: "for a worker"},
			job.Job{ID: "for its time", State: job.Scheduled, Attempt: 1, RunAt: time.Now().Add(time.Minute)})
		for _, id := range []string{"in its lane", "for a worker", "for its time"} {
			w.cancel(id)
			w.state(id, job.Cancelled, byHand)
		}
		w.same("jobs that have not ended", w.pool.Len(), 1)
		w.pass(time.Hour)
		w.same("attempt of the cancelled retry", w.store.get("for its time").Attempt, 1)
	})
}

func TestCancel_AJobThatRunsIsToldAndNotTriedAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule.retry = job.RetryPolicy{Attempts: 5, Max: time.Hour}
		w.rule.do = func(ctx context.Context, out io.Writer, j *job.Job) action.Result {
			r := untilTold(ctx, out, j)
			time.Sleep(5 * time.Second) // it takes its time to end
			return r
		}
		w.start()
		w.add(job.Job{ID: "a"})
		w.settle()
		w.cancel("a")
		if err := w.pool.Cancel(w.t.Context(), "a", "once more"); err != nil {
			t.Error(err)
		}
		w.state("a", job.Running, "")
		w.pass(time.Minute)
		w.state("a", job.Cancelled, byHand)
		w.same("error", w.store.get("a").Error, "cancelled; terminated")
		w.same("signal", w.store.attempt("a", 1).Signal, "SIGTERM")
	})
}

func TestCancel_AJobThatFailsAsItIsCancelledIsNotTriedAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule.retry = job.RetryPolicy{Attempts: 5, Max: time.Hour}
		w.rule.do = func(ctx context.Context, _ io.Writer, _ *job.Job) action.Result { <-ctx.Done(); return exit(3) }
		w.start()
		w.add(job.Job{ID: "a"})
		w.settle()
		w.cancel("a")
		w.settle()
		w.state("a", job.Cancelled, byHand)
	})
}

func TestCancel_AJobThatSucceededBeforeItHeardOfItHasSucceeded(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule.do = func(ctx context.Context, _ io.Writer, _ *job.Job) action.Result { <-ctx.Done(); return action.Result{} }
		w.start()
		w.add(job.Job{ID: "a"})
		w.settle()
		w.cancel("a")
		w.settle()
		w.state("a", job.Succeeded, "")
	})
}

func TestCancel_CountsWhileTheEndOfAnAttemptIsBeingRecorded(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule.retry = job.RetryPolicy{Attempts: 5, Initial: time.Second, Factor: 1, Max: time.Hour}
		w.rule.do = func(context.Context, io.Writer, *job.Job) action.Result { return exit(1) }
		w.store.fault = sometimes("finish", 5, refuses)
		w.start()
		w.add(job.Job{ID: "a"})
		w.settle()
		w.cancel("a") // the attempt has ended and is to be tried again, which nobody could record yet
		w.pass(time.Hour)
		w.state("a", job.Cancelled, byHand)
		w.same("attempts", w.store.get("a").Attempt, 1)
		w.same("jobs in memory", w.pool.Len(), 0)
	})
}

func TestCancel_AJobThatCouldNotBeStartedYetNeverIs(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule.do = func(context.Context, io.Writer, *job.Job) action.Result {
			t.Error("the action ran")
			return action.Result{}
		}
		w.store.fault = sometimes("start", 5, refuses)
		w.start()
		w.add(job.Job{ID: "a"})
		w.settle()
		w.cancel("a")
		w.pass(time.Hour)
		w.state("a", job.Cancelled, byHand)
	})
}

func TestCancel_AJobWhoseDeliveryCannotBeReadEndsWithoutAnAttempt(t *testing.T) {
	inWorld(t, func(w *world) {
		w.store.readErr = errDisk
		w.start()
		w.add(job.Job{ID: "a"})
		w.settle()
		w.cancel("a")
		w.pass(10 * time.Second)
		w.store.mend()
		w.pass(time.Minute)
		w.state("a", job.Cancelled, byHand)
		w.same("attempts", w.store.get("a").Attempt, 0)
	})
}

func TestCancel_AJobThatHasEndedIsFenced(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.add(job.Job{ID: "a"})
		w.settle()
		for _, id := range []string{"a", "never there"} {
			if err := w.pool.Cancel(w.t.Context(), id, byHand); !errors.Is(err, store.ErrFenced) {
				t.Errorf("Cancel(%s): %v, want ErrFenced", id, err)
			}
		}
	})
}

func TestCancel_AJobThatCouldNotBeCancelledWaitsOnInItsPlace(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule.limit, w.rule.pending = 1, 1
		var order []string
		w.rule.do = func(_ context.Context, _ io.Writer, j *job.Job) action.Result {
			order = append(order, j.ID)
			time.Sleep(time.Minute)
			return action.Result{}
		}
		w.store.fault = sometimes("settle", 1, refuses)
		w.store.before = func(_, id string) {
			if id == "b" { // while b is on its way out, another takes its place
				w.store.before = nil
				w.add(job.Job{ID: "c", ConcurrencyKey: "k"})
			}
		}
		w.start()
		w.add(job.Job{ID: "a", ConcurrencyKey: "k"})
		w.settle()
		w.add(job.Job{ID: "b", ConcurrencyKey: "k"})
		if err := w.pool.Cancel(w.t.Context(), "b", byHand); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Cancel: %v, want ErrUnavailable", err)
		}
		w.pass(time.Hour)
		w.same("order", order, []string{"a", "b", "c"})
		w.state("b", job.Succeeded, "")
	})
}

func TestCancel_OfWhichNobodyKnewEndsTheJobAndTellsWhoWaits(t *testing.T) {
	inWorld(t, func(w *world) {
		w.options.Workers = 1
		w.remake()
		w.rule.do = func(_ context.Context, _ io.Writer, j *job.Job) action.Result {
			if j.ID == "b" {
				t.Error("the cancelled job ran")
			}
			time.Sleep(time.Minute)
			return action.Result{}
		}
		w.store.fault = sometimes("settle", 1, forgets)
		e := w.pool.Expect([]string{"b"})
		defer e.Release()
		w.start()
		w.add(job.Job{ID: "a"})
		w.settle()
		w.add(job.Job{ID: "b"})
		if err := w.pool.Cancel(w.t.Context(), "b", byHand); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Cancel: %v, want ErrUnavailable", err)
		}
		w.pass(time.Hour)
		done, ok := e.Wait(w.t.Context())
		if !ok || len(done) != 1 || done[0].State != job.Cancelled {
			t.Errorf("Wait: %+v, %t", done, ok)
		}
		w.same("jobs in memory", w.pool.Len(), 0)
	})
}

func TestCancel_IsWrittenThoughWhoAskedHasLeft(t *testing.T) {
	inWorld(t, func(w *world) {
		w.add(job.Job{ID: "a"}) // nothing runs it
		ctx, leave := context.WithCancel(w.t.Context())
		leave()
		if err := w.pool.Cancel(ctx, "a", ""); err != nil {
			t.Fatal(err)
		}
		w.state("a", job.Cancelled, "cancelled")
	})
}

func TestCancel_OfAJobThatRanIsRecordedHoweverLongTheStoreIsAway(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule.do = untilTold
		w.store.fault = sometimes("finish", 1<<30, refuses)
		w.start()
		w.add(job.Job{ID: "a"})
		w.settle()
		w.cancel("a")
		w.pass(time.Hour)
		w.store.mend()
		w.pass(time.Minute)
		w.state("a", job.Cancelled, byHand)
	})
}

func TestCancel_AJobThatSomebodyElseMovedIsFencedAndForgotten(t *testing.T) {
	inWorld(t, func(w *world) {
		w.add(job.Job{ID: "a"})
		w.store.move("a", job.Succeeded)
		if err := w.pool.Cancel(w.t.Context(), "a", byHand); !errors.Is(err, store.ErrFenced) {
			t.Errorf("Cancel: %v, want ErrFenced", err)
		}
		w.same("jobs in memory", w.pool.Len(), 0)
	})
}
