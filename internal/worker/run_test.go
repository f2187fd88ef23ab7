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
	"github.com/tenterhook/tenterhook/internal/store"
)

func TestRun_AnAttemptStartsOnlyAfterItsMarkIsStored(t *testing.T) {
	inWorld(t, func(w *world) {
		var seen []string
		w.rule.prepare = func(d *job.Delivery, j *job.Job) error {
			stored := w.store.get(j.ID)
			seen = append(seen, fmt.Sprint("prepare ", stored.State, " ", stored.Attempt, " ", stored.Node, " ", string(d.Body)))
			return nil
		}
		w.rule.do = func(_ context.Context, _ io.Writer, j *job.Job) action.Result {
			stored := w.store.get(j.ID)
			seen = append(seen, fmt.Sprint("run ", stored.State, " ", stored.Attempt))
			return action.Result{}
		}
		w.start()
		w.add(job.Job{ID: "a"})
		w.settle()
		w.same("what the action saw", seen, []string{"prepare running 1 node body of d-a", "run running 1"})
		w.state("a", job.Succeeded, "")
		w.same("digest of the attempt", w.store.attempt("a", 1).Config, "digest")
	})
}

func TestRun_NoActionRunsWhileTheStoreCannotTakeItsMark(t *testing.T) {
	inWorld(t, func(w *world) {
		ran := 0
		w.rule.do = func(context.Context, io.Writer, *job.Job) action.Result { ran++; return action.Result{} }
		w.store.fault = sometimes("start", 1<<30, refuses)
		w.start()
		w.add(job.Job{ID: "a"})
		w.pass(time.Hour)
		w.same("runs while the store is broken", ran, 0)
		w.same("jobs that have not ended", w.pool.Len(), 1)
		w.store.mend()
		w.pass(time.Minute)
		w.same("runs", ran, 1)
		w.same("committed", w.store.history(), []string{"start a 1 running", "finish a 1 succeeded"})
	})
}

func TestRun_AMarkOfWhichNobodyKnewIsUsedAndNotWrittenAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		w.store.fault = sometimes("start", 1, forgets)
		w.start()
		w.add(job.Job{ID: "a"})
		w.pass(time.Minute)
		w.same("committed", w.store.history(), []string{"start a 1 running", "finish a 1 succeeded"})
	})
}

func TestRun_AJobThatSomebodyElseMovedIsLeftAlone(t *testing.T) {
	for _, tt := range []struct {
		name string
		job  job.Job
	}{
		{"it runs elsewhere", job.Job{ID: "a", State: job.Running, Attempt: 1, Node: "other"}},
		{"it was cancelled", job.Job{ID: "a", State: job.Cancelled}},
	} {
		for _, tries := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s, %d tries failed before", tt.name, tries), func(t *testing.T) {
				inWorld(t, func(w *world) {
					ran := false
					w.rule.do = func(context.Context, io.Writer, *job.Job) action.Result { ran = true; return action.Result{} }
					w.store.fault = sometimes("start", tries, refuses)
					before := w.store.put(tt.job)
					stale := before
					stale.State, stale.Attempt = job.Queued, 0
					w.start()
					w.pool.Add([]job.Job{stale})
					w.pass(time.Minute)
					w.same("the action ran", ran, false)
					w.same("the job", w.store.get("a"), before)
					w.same("jobs in memory", w.pool.Len(), 0)
					if !strings.Contains(w.log.String(), "job left as the store has it") {
						t.Errorf("the log does not tell: %s", w.log)
					}
				})
			})
		}
	}
}

func TestRun_TheEndOfAnAttemptIsRecordedWhenTheStoreComesBack(t *testing.T) {
	for name, f := range map[string]fault{"nothing was written": refuses, "nobody knew": forgets} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.store.fault = sometimes("finish", 200, f)
				if f == forgets {
					w.store.fault = sometimes("finish", 1, f)
				}
				w.start()
				w.add(job.Job{ID: "a"}, job.Job{ID: "b"})
				w.pass(time.Hour)
				w.state("a", job.Succeeded, "")
				w.state("b", job.Succeeded, "")
				w.same("jobs in memory", w.pool.Len(), 0)
				w.same("Run", w.stop(), nil)
			})
		})
	}
}

func TestRun_StopsThoughTheStoreIsBrokenAndSaysThatAnEndIsMissing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.store.fault = sometimes("finish", 1<<30, refuses)
		w.start()
		w.add(job.Job{ID: "a"})
		w.pass(time.Hour)
		began := time.Now()
		err := w.stop()
		if err == nil || err.Error() != "the ends of 1 attempts could not be recorded" {
			t.Errorf("Run returned %v", err)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("the stop took %s", took)
		}
		w.state("a", job.Running, "") // for the next start to find
	})
}

func TestRun_TriesAgainAsThePolicySays(t *testing.T) {
	inWorld(t, func(w *world) {
		var at []time.Duration
		began := time.Now()
		w.rule.retry = job.RetryPolicy{Attempts: 3, Initial: 10 * time.Second, Factor: 2, Max: time.Hour}
		w.rule.do = func(_ context.Context, _ io.Writer, j *job.Job) action.Result {
			at = append(at, time.Since(began))
			return exit(2)
		}
		w.start()
		w.add(job.Job{ID: "a"})
		w.settle()
		w.state("a", job.Scheduled, "exit status 2; attempt 2 of 3 in 10s")
		w.same("counts", w.pool.Counts(), map[job.State]int{job.Scheduled: 1, job.Queued: 0, job.Running: 0})
		w.pass(10 * time.Second)
		w.state("a", job.Scheduled, "exit status 2; attempt 3 of 3 in 20s")
		w.pass(20 * time.Second)
		w.state("a", job.Failed, "exit status 2; attempt 3 of 3")
		w.same("attempts at", at, []time.Duration{0, 10 * time.Second, 30 * time.Second})
		w.same("exit code", *w.store.get("a").ExitCode, 2)
	})
}

func TestRun_ARequeuedJobHasAllItsAttemptsAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule.retry = job.RetryPolicy{Attempts: 2, Initial: time.Second, Factor: 1, Max: time.Hour}
		w.rule.do = func(context.Context, io.Writer, *job.Job) action.Result { return exit(1) }
		w.start()
		w.add(job.Job{ID: "a"})
		w.pass(time.Minute)
		w.state("a", job.Failed, "exit status 1; attempt 2 of 2")
		if err := w.store.requeue("a"); err != nil {
			t.Fatal(err)
		}
		w.settle()
		w.state("a", job.Scheduled, "exit status 1; attempt 2 of 2 in 1s")
		w.pass(time.Minute)
		w.same("attempts in all", w.store.get("a").Attempt, 4)
	})
}

// The store's writer tells of a requeue as soon as it is committed, which may be before the
// pool has heard that its own record of the end is.
func TestRun_AJobRequeuedBeforeThePoolKnowsOfItsEndRunsAgain(t *testing.T) {
	for _, key := range []string{"", "lane"} {
		t.Run("key "+key, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.rule.limit = 1
				ran := 0
				w.rule.do = func(context.Context, io.Writer, *job.Job) action.Result { ran++; return exit(1) }
				requeued := false
				w.store.fault = func(what, id string) fault {
					if what != "finish" || requeued {
						return none
					}
					requeued = true
					go func() { // waits for the store's lock, which the finish holds
						if err := w.store.requeue(id); err != nil {
							t.Error(err)
						}
					}()
					return forgets // so that the pool hears late
				}
				w.start()
				w.add(job.Job{ID: "a", ConcurrencyKey: key})
				w.pass(time.Minute)
				w.same("runs", ran, 2)
				w.same("jobs in memory", w.pool.Len(), 0)
			})
		})
	}
}

func TestRun_ARuleThatIsGoneFailsItsJobsWithoutAnAttempt(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule = nil // before the pool runs
		w.start()
		w.add(job.Job{ID: "a", ConcurrencyKey: "k"})
		w.settle()
		w.state("a", job.Failed, "rule deploy/main is no longer configured")
		w.same("attempt", w.store.get("a").Attempt, 0)
	})
}

func TestRun_AReloadReachesTheNextAttempt(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule.retry = job.RetryPolicy{Attempts: 2, Initial: time.Second, Factor: 1, Max: time.Hour}
		w.rule.do = func(context.Context, io.Writer, *job.Job) action.Result { return exit(1) }
		w.start()
		w.add(job.Job{ID: "a"})
		w.settle()
		w.reload(&rule{}) // mended
		w.pass(time.Second)
		w.state("a", job.Succeeded, "")
	})
}

func TestRun_AnActionThatCannotBePreparedFailsForGoodAndIsNotLogged(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule.retry = job.RetryPolicy{Attempts: 5, Max: time.Hour}
		w.rule.prepare = func(*job.Delivery, *job.Job) error { return errors.New(`env REF: payload.ref is "s3cret"`) }
		w.start()
		w.add(job.Job{ID: "a"})
		w.settle()
		w.state("a", job.Failed, `env REF: payload.ref is "s3cret"; a further attempt would end the same`)
		w.same("error of the attempt", w.store.attempt("a", 1).Error, `env REF: payload.ref is "s3cret"`)
		if log := w.log.String(); strings.Contains(log, "s3cret") || strings.Count(log, "\n") != 1 {
			t.Errorf("want one line without the value, got: %s", log)
		}
	})
}

func TestRun_APanicIsAFailedAttemptAndTheNextJobRuns(t *testing.T) {
	for _, where := range []string{"prepare", "run"} {
		t.Run(where, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.options.Workers = 1
				w.remake()
				burst := func(id string) {
					if id == "a" {
						panic("payload s3cret")
					}
				}
				if where == "prepare" {
					w.rule.prepare = func(_ *job.Delivery, j *job.Job) error { burst(j.ID); return nil }
				} else {
					w.rule.do = func(_ context.Context, _ io.Writer, j *job.Job) action.Result { burst(j.ID); return action.Result{} }
				}
				w.start()
				w.add(job.Job{ID: "a"}, job.Job{ID: "b"})
				w.settle()
				w.state("a", job.Failed, "internal error, the daemon's log has it")
				w.state("b", job.Succeeded, "")
				log := w.log.String()
				if !strings.Contains(log, "run_test.go") || strings.Contains(log, "s3cret") {
					t.Errorf("want the stack without the value: %s", log)
				}
			})
		})
	}
}

func TestRun_TheRuntimesOwnPanicsAreNamedInTheLog(t *testing.T) {
	inWorld(t, func(w *world) {
		var list []int
		w.rule.prepare = func(*job.Delivery, *job.Job) error { list[3]++; return nil }
		w.start()
		w.add(job.Job{ID: "a"})
		w.settle()
		if !strings.Contains(w.log.String(), "index out of range [3]") {
			t.Errorf("the log does not say: %s", w.log)
		}
	})
}

func TestRun_ADeliveryThatCannotBeReadIsTriedForAWhile(t *testing.T) {
	for _, tt := range []struct {
		name   string
		err    error
		after  time.Duration // it can be read again
		reason string
		state  job.State
	}{
		{"it is gone", errGone, 0, "its delivery is no longer stored", job.Failed},
		{"for a minute", errDisk, time.Minute, "", job.Succeeded},
		{"for good", errDisk, 0, "its delivery cannot be read: disk image is malformed", job.Failed},
		{"the store is not available for a day", store.ErrUnavailable, 24 * time.Hour, "", job.Succeeded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.store.readErr = tt.err
				w.start()
				w.add(job.Job{ID: "a"})
				if tt.after > 0 {
					w.pass(tt.after)
					w.same("attempts begun meanwhile", w.store.get("a").Attempt, 0)
					w.store.mend()
				}
				w.pass(time.Hour)
				w.state("a", tt.state, tt.reason)
			})
		})
	}
}

func TestRun_WhatTheNextJobsAreMadeOfIsReadTogetherWhileTheWorkersAreBusy(t *testing.T) {
	inWorld(t, func(w *world) {
		var bodies []string
		w.rule.prepare = func(d *job.Delivery, _ *job.Job) error {
			bodies = append(bodies, string(d.Body))
			return nil
		}
		w.rule.do = func(context.Context, io.Writer, *job.Job) action.Result {
			time.Sleep(time.Second)
			return action.Result{}
		}
		w.options.Workers = 1
		w.store.tooLarge = "d-c" // only its own attempt reads it
		w.remake()
		w.start()
		w.add(job.Job{ID: "a"}, job.Job{ID: "b"}, job.Job{ID: "c"}, job.Job{ID: "d"}, job.Job{ID: "e"})
		w.pass(time.Minute)
		w.same("bodies", bodies, []string{"body of d-a", "body of d-b", "body of d-c", "body of d-d", "body of d-e"})
		w.same("reads: of the first, of all others, of the large one", w.store.reads, 3)
		w.same("jobs that have not ended", w.pool.Len(), 0)
	})
}

func TestRun_WhenFetchEndsNothingStartsAndWhatRunsEnds(t *testing.T) {
	inWorld(t, func(w *world) {
		w.options.Workers = 1
		w.remake()
		w.rule.do = func(context.Context, io.Writer, *job.Job) action.Result {
			time.Sleep(time.Hour)
			return action.Result{}
		}
		w.start()
		w.add(job.Job{ID: "a"}, job.Job{ID: "b"})
		w.pass(time.Minute)
		w.endFetch()
		w.add(job.Job{ID: "c"})
		w.same("Run", <-w.ran, nil)
		w.state("a", job.Succeeded, "")
		w.state("b", job.Queued, "")
		w.state("c", job.Queued, "")
	})
}

func TestRun_WhenWorkEndsActionsAreToldAndTheirJobsBecomeWhatOnInterruptSays(t *testing.T) {
	for _, tt := range []struct {
		onInterrupt string
		attempts    int
		first       int // attempts before this one
		state       job.State
		reason      string
	}{
		{"fail", 1, 0, job.Interrupted, "stopped with the daemon; terminated"},
		{"fail", 3, 0, job.Interrupted, "stopped with the daemon; terminated"},
		{"retry", 3, 1, job.Queued, "stopped with the daemon; terminated; it is run again"},
		{"retry", 3, 2, job.Interrupted, "stopped with the daemon; terminated"},
		{"retry", 1, 0, job.Queued, "stopped with the daemon; terminated; it is run again"},
		{"retry", 1, 1, job.Interrupted, "stopped with the daemon; terminated"},
	} {
		t.Run(fmt.Sprintf("%s, attempt %d of %d", tt.onInterrupt, tt.first+1, tt.attempts), func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.rule.onInterrupt, w.rule.retry.Attempts, w.rule.do = tt.onInterrupt, tt.attempts, untilTold
				w.start()
				w.add(job.Job{ID: "a", Attempt: tt.first})
				w.settle()
				w.same("Run", w.stop(), nil)
				w.state("a", tt.state, tt.reason)
				w.same("attempts", w.store.get("a").Attempt, tt.first+1)
			})
		})
	}
}

func TestRun_AnActionThatEndedWellDespiteTheStopHasSucceeded(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule.do = func(ctx context.Context, _ io.Writer, _ *job.Job) action.Result { <-ctx.Done(); return action.Result{} }
		w.start()
		w.add(job.Job{ID: "a"})
		w.settle()
		w.same("Run", w.stop(), nil)
		w.state("a", job.Succeeded, "")
	})
}

func TestRun_AJobWhoseActionDidNotBeginBeforeTheStopIsRunAgainInAnyCase(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule.prepare = func(*job.Delivery, *job.Job) error { w.endWork(); w.settle(); return nil }
		w.rule.do = func(context.Context, io.Writer, *job.Job) action.Result {
			t.Error("the action ran")
			return action.Result{}
		}
		w.start()
		w.add(job.Job{ID: "a"})
		w.same("Run", <-w.ran, nil)
		w.state("a", job.Queued, "stopped with the daemon before it began; it is run again")
	})
}

func TestRun_NeverMoreThanItsWorkers(t *testing.T) {
	inWorld(t, func(w *world) {
		w.options.Workers = 3
		w.remake()
		w.rule.do = func(context.Context, io.Writer, *job.Job) action.Result {
			time.Sleep(time.Second)
			return action.Result{}
		}
		w.start()
		for i := range 10 {
			w.add(job.Job{ID: fmt.Sprint(i)})
		}
		for _, want := range []int{3, 3, 3, 1, 0} {
			w.settle()
			w.same("running", w.pool.Counts()[job.Running], want)
			w.pass(time.Second)
		}
	})
}

func TestRun_ARetryThatWaitsDoesNotHoldItsLaneAndIsFirstWhenItIsDue(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule.limit, w.rule.pending = 1, 1
		w.rule.retry = job.RetryPolicy{Attempts: 2, Initial: 90 * time.Second, Factor: 1, Max: time.Hour}
		var order []string
		w.rule.do = func(_ context.Context, _ io.Writer, j *job.Job) action.Result {
			order = append(order, fmt.Sprint(j.ID, j.Attempt+1))
			time.Sleep(time.Minute)
			if j.ID == "a" && j.Attempt == 0 {
				return exit(1)
			}
			return action.Result{}
		}
		w.start()
		w.add(job.Job{ID: "a", ConcurrencyKey: "k"}, job.Job{ID: "b", ConcurrencyKey: "k"})
		w.pass(time.Minute)
		w.state("a", job.Scheduled, "exit status 1; attempt 2 of 2 in 1m30s")
		w.pass(time.Minute)
		w.add(job.Job{ID: "c", ConcurrencyKey: "k"})
		w.settle()
		w.add(job.Job{ID: "d", ConcurrencyKey: "k"})
		w.pass(time.Hour)
		w.same("order", order, []string{"a1", "b1", "c1", "a2", "d1"})
		w.state("a", job.Succeeded, "")
	})
}

func TestRun_AJobThatFindsItsLaneFullIsSkippedThoughNoWorkerIsFree(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule.limit, w.rule.pending = 1, 100
		w.options.Workers = 1
		w.remake()
		w.rule.do = func(context.Context, io.Writer, *job.Job) action.Result {
			time.Sleep(time.Hour)
			return action.Result{}
		}
		w.start()
		for i := range 120 {
			w.add(job.Job{ID: fmt.Sprint(i), ConcurrencyKey: "site"})
			w.settle()
		}
		for i := range 101 {
			if j := w.store.get(fmt.Sprint(i)); j.State.Terminal() {
				t.Errorf("job %d is %s", i, j.State)
			}
		}
		for i := 101; i < 120; i++ {
			w.state(fmt.Sprint(i), job.Skipped, `100 jobs already wait for "site"`)
		}
		w.same("jobs that have not ended", w.pool.Len(), 101)
		w.endFetch()
		<-w.ran
	})
}

func TestRun_ASkipThatCannotBeRecordedIsDecidedAgainAtTheNextStart(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule.limit, w.rule.pending = 1, 1
		w.rule.do = untilTold
		w.store.fault = sometimes("settle", 1<<30, refuses)
		w.start()
		for _, id := range []string{"a", "b", "c", "d"} {
			w.add(job.Job{ID: id, ConcurrencyKey: "k"})
			w.settle()
		}
		w.state("c", job.Queued, "")
		w.same("Run", w.stop(), nil)

		w.store.fault = nil
		w.remake()
		if _, err := w.pool.Recover(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		w.start()
		w.settle()
		w.state("a", job.Interrupted, "stopped with the daemon; terminated")
		w.state("b", job.Running, "")
		w.state("c", job.Queued, "")
		w.state("d", job.Skipped, `1 job already waits for "k"`)
		w.same("Run", w.stop(), nil)
	})
}

func TestRun_AWallClockThatWasWrongDelaysARetryByNoMoreThanItsLongestPause(t *testing.T) {
	for _, tt := range []struct {
		name  string
		runAt time.Duration
		want  time.Duration
	}{
		{"a year ahead", 365 * 24 * time.Hour, 5 * time.Minute},
		{"a year behind", -365 * 24 * time.Hour, 0},
		{"right", time.Minute, time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				began, took := time.Now(), time.Duration(-1)
				w.rule.retry = job.RetryPolicy{Attempts: 3, Max: 5 * time.Minute}
				w.rule.do = func(context.Context, io.Writer, *job.Job) action.Result {
					took = time.Since(began)
					return action.Result{}
				}
				w.start()
				w.add(job.Job{ID: "a", State: job.Scheduled, Attempt: 1, RunAt: began.Add(tt.runAt).Round(0)})
				w.pass(time.Hour)
				w.same("started after", took, tt.want)
			})
		})
	}
}

func TestRun_KeepsTheOutputWithinItsLimitAndShowsItMeanwhile(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule.output = 2000
		w.rule.do = func(_ context.Context, out io.Writer, _ *job.Job) action.Result {
			_, _ = io.WriteString(out, "hello\n")
			time.Sleep(time.Minute)
			_, _ = io.WriteString(out, strings.Repeat("x", 1<<20))
			return action.Result{}
		}
		w.start()
		w.add(job.Job{ID: "a"})
		w.settle()
		got, ok := w.pool.Output("a")
		w.same("output of the running job", []any{string(got), ok}, []any{"hello\n", true})
		w.pass(time.Hour)
		if n := len(w.store.attempt("a", 1).Output); n < 2000 || n > 2100 {
			t.Errorf("%d bytes were kept", n)
		}
		if _, ok := w.pool.Output("a"); ok {
			t.Error("a job that ended has live output")
		}
	})
}

func TestRun_LogsOneLineForTheEndOfAJobWithItsIDs(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule.do = func(_ context.Context, _ io.Writer, j *job.Job) action.Result {
			time.Sleep(1500 * time.Millisecond)
			if j.ID == "bad" {
				return exit(1)
			}
			return action.Result{}
		}
		w.start()
		w.add(job.Job{ID: "good"})
		w.pass(time.Minute)
		w.add(job.Job{ID: "bad"})
		w.pass(time.Minute)
		var lines []string
		for line := range strings.Lines(w.log.String()) {
			_, line, _ = strings.Cut(line, " ") // the time
			lines = append(lines, strings.TrimSpace(line))
		}
		w.same("log", lines, []string{
			`level=INFO msg="job succeeded" job=good delivery=d-good hook=deploy rule=main attempt=1 took=1.5s reason=""`,
			`level=WARN msg="job failed" job=bad delivery=d-bad hook=deploy rule=main attempt=1 took=1.5s reason="exit status 1"`,
		})
		w.same("observed", w.counter.seen, []string{
			"start deploy/main", "succeeded deploy/main 1.5s", "start deploy/main", "failed deploy/main 1.5s",
		})
	})
}

func TestFull_CountsEveryJobThatHasNotEnded(t *testing.T) {
	inWorld(t, func(w *world) {
		w.options.MaxLive, w.options.Workers, w.rule.do = 3, 1, untilTold
		w.remake()
		w.start()
		w.add(job.Job{ID: "a"}, job.Job{ID: "b"})
		w.settle()
		w.same("Full with 2 of 3", w.pool.Full(), false)
		w.add(job.Job{ID: "c", State: job.Scheduled, Attempt: 1, RunAt: time.Now().Add(time.Minute)})
		w.same("Full with 3 of 3", w.pool.Full(), true)
		w.same("Counts", w.pool.Counts(), map[job.State]int{job.Running: 1, job.Queued: 1, job.Scheduled: 1})
		w.same("Run", w.stop(), nil)
	})
}

func TestRun_RecordsHowAnAttemptEndedAndWhatFollows(t *testing.T) {
	two := 2
	failed := errors.New("answered 503 Service Unavailable")
	for _, tt := range []struct {
		name   string
		result action.Result
		n      int // the attempt, of 3
		state  job.State
		reason string
		after  time.Duration
	}{
		{"well", action.Result{Status: 202}, 1, job.Succeeded, "", 0},
		{"well, with a process left over", action.Result{Leftovers: 1}, 1, job.Succeeded, "1 process that was left over was ended", 0},
		{"well, with processes left over", action.Result{Leftovers: 3}, 1, job.Succeeded, "3 processes that were left over were ended", 0},
		{"badly", action.Result{Err: failed, Status: 503}, 1, job.Scheduled, failed.Error() + "; attempt 2 of 3 in 10s", 10 * time.Second},
		{"badly again", action.Result{Err: failed}, 2, job.Scheduled, failed.Error() + "; attempt 3 of 3 in 25s", 25 * time.Second},
		{"badly for the last time", action.Result{Err: failed}, 3, job.Failed, failed.Error() + "; attempt 3 of 3", 0},
		{"with a pause asked for", action.Result{Err: failed, RetryAfter: 1234567 * time.Microsecond}, 1, job.Scheduled, failed.Error() + "; attempt 2 of 3 in 1.2s", 1234567 * time.Microsecond},
		{"with a short pause asked for", action.Result{Err: failed, RetryAfter: 1234567}, 1, job.Scheduled, failed.Error() + "; attempt 2 of 3 in 1ms", 1234567},
		{"with too long a pause asked for", action.Result{Err: failed, RetryAfter: time.Hour}, 1, job.Scheduled, failed.Error() + "; attempt 2 of 3 in 1m0s", time.Minute},
		{"for good", action.Result{Err: failed, Final: true}, 1, job.Failed, failed.Error() + "; a further attempt would end the same", 0},
		{"by its timeout", action.Result{Err: errors.New("timed out after 5s; terminated"), TimedOut: true, Signal: "SIGTERM"}, 3, job.TimedOut, "timed out after 5s; terminated; attempt 3 of 3", 0},
		{"by its timeout, with attempts left", action.Result{Err: errors.New("timed out after 5s; terminated"), TimedOut: true}, 1, job.Scheduled, "timed out after 5s; terminated; attempt 2 of 3 in 10s", 10 * time.Second},
		{"with a status", action.Result{Err: errors.New("exit status 2"), ExitCode: &two}, 3, job.Failed, "exit status 2; attempt 3 of 3", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.rule.retry = job.RetryPolicy{Attempts: 3, Initial: 10 * time.Second, Factor: 2.5, Max: time.Minute}
				w.rule.do = func(_ context.Context, out io.Writer, _ *job.Job) action.Result {
					_, _ = io.WriteString(out, "done")
					return tt.result
				}
				w.start()
				w.add(job.Job{ID: "a", Attempt: tt.n - 1})
				w.settle()
				w.state("a", tt.state, tt.reason)
				a := w.store.attempt("a", tt.n)
				want := job.Attempt{
					N: tt.n, Config: "digest", StartedAt: time.Now(), FinishedAt: time.Now(), ExitCode: tt.result.ExitCode,
					Signal: tt.result.Signal, Status: tt.result.Status, Output: []byte("done"),
				}
				if tt.result.Err != nil {
					want.Error = tt.result.Err.Error()
				}
				w.same("attempt", a, want)
				if tt.after > 0 {
					w.same("stored time of the next attempt", time.Until(w.store.get("a").RunAt), tt.after)
					w.pass(tt.after - 1)
					w.same("attempts just before", w.store.get("a").Attempt, tt.n)
					w.pass(1)
					w.same("attempts on time", w.store.get("a").Attempt, tt.n+1)
				}
			})
		})
	}
}

func TestRun_AskingAStoreThatIsAwayBecomesRare(t *testing.T) {
	inWorld(t, func(w *world) {
		tries := 0
		w.store.fault = func(string, string) fault { tries++; return refuses }
		w.start()
		w.add(job.Job{ID: "a"})
		w.pass(time.Hour)
		w.endFetch()
		<-w.ran
		if tries < 600 || tries > 800 {
			t.Errorf("%d tries in an hour, want one in 5 seconds", tries)
		}
	})
}

func TestRun_AnEndOfWhichNobodyKnewIsFollowedByTheNextAttempt(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule.retry = job.RetryPolicy{Attempts: 2, Initial: time.Second, Factor: 1, Max: time.Hour}
		w.rule.do = func(context.Context, io.Writer, *job.Job) action.Result { return exit(1) }
		w.store.fault = sometimes("finish", 1, forgets)
		w.start()
		w.add(job.Job{ID: "a"})
		w.pass(time.Minute)
		w.state("a", job.Failed, "exit status 1; attempt 2 of 2")
	})
}

func TestRun_AnEndThatSomebodyElseRecordedIsLeft(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule.do = func(context.Context, io.Writer, *job.Job) action.Result {
			w.store.move("a", job.Interrupted)
			return action.Result{}
		}
		w.start()
		w.add(job.Job{ID: "a"})
		w.settle()
		w.same("state", w.store.get("a").State, job.Interrupted)
		w.same("observed", w.counter.seen, []string{"start deploy/main"})
		w.same("Run", w.stop(), nil)
	})
}

func TestRun_StartsNothingWhenFetchEndedBefore(t *testing.T) {
	for range 30 { // what is ready is chosen from at random
		inWorld(t, func(w *world) {
			w.rule.do = func(context.Context, io.Writer, *job.Job) action.Result {
				t.Error("the action ran")
				return action.Result{}
			}
			w.add(job.Job{ID: "a"})
			fetch, end := context.WithCancel(w.t.Context())
			end()
			w.same("Run", w.pool.Run(fetch, w.t.Context()), nil)
			w.state("a", job.Queued, "")
		})
	}
}

func TestRun_RefusedJobsAreRecordedTogetherWhenTheStoreIsSlow(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule.limit, w.rule.do = 1, untilTold
		w.store.before = func(what, _ string) {
			if what == "settle" {
				time.Sleep(time.Second)
			}
		}
		w.start()
		for i := range 17 {
			w.add(job.Job{ID: fmt.Sprint(i), ConcurrencyKey: "k"})
		}
		w.pass(2 * time.Second)
		w.same("jobs that have not ended", w.pool.Len(), 1)
		w.same("Run", w.stop(), nil)
	})
}

func TestRun_EveryRuleHasLanesOfItsOwn(t *testing.T) {
	inWorld(t, func(w *world) {
		w.options.Workers, w.rule.limit, w.rule.do = 9, 1, untilTold
		w.remake()
		w.start()
		w.add(job.Job{ID: "a", Hook: "x", Rule: "y", ConcurrencyKey: "k"}, job.Job{ID: "b", Hook: "x", Rule: "z", ConcurrencyKey: "k"},
			job.Job{ID: "c", Hook: "z", Rule: "y", ConcurrencyKey: "k"})
		w.settle()
		w.same("running", w.pool.Counts()[job.Running], 3)
		w.same("Run", w.stop(), nil)
	})
}

func TestNew_HasDefaults(t *testing.T) {
	inWorld(t, func(w *world) {
		w.options.Workers, w.options.MaxLive = 0, 0
		w.remake()
		w.same("Full", w.pool.Full(), false)
		w.start()
		w.add(job.Job{ID: "a"})
		w.settle()
		w.state("a", job.Succeeded, "")
	})
}
