package worker_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/action"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/worker"
)

// runsOf says which jobs started, in order.
func (w *world) runsOf() (ids []string) {
	for _, e := range w.store.history() {
		if what, rest, _ := strings.Cut(e, " "); what == "start" && strings.HasSuffix(e, "running") {
			id, _, _ := strings.Cut(rest, " ")
			ids = append(ids, id)
		}
	}
	return ids
}

func (w *world) successor(id, want string) {
	w.t.Helper()
	w.same("successor of "+id, w.store.get(id).SupersededBy, want)
}

// notes are written by actions and read by the test.
type notes struct {
	mu   sync.Mutex
	list []string
}

func (n *notes) add(s string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, s)
}

func (n *notes) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.list)
}

func inLane(ids ...string) (jobs []job.Job) {
	for _, id := range ids {
		jobs = append(jobs, job.Job{ID: id, ConcurrencyKey: "k"})
	}
	return jobs
}

func TestControls_OnlyTheNewestWaitsAndTheOthersNameTheirSuccessor(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule = &rule{limit: 1, overflow: job.OverflowNewest, do: untilTold}
		w.start()
		for _, j := range inLane("1", "2", "3", "4") {
			w.add(j)
			w.settle()
		}
		w.state("2", job.Superseded, "a newer job took its place")
		w.successor("2", "3")
		w.successor("3", "4")
		w.state("4", job.Queued, "")
		w.same("Cancel", w.pool.Cancel(context.Background(), "1", ""), nil)
		w.settle()
		w.state("4", job.Running, "")
	})
}

func TestControls_ARunEndsForANewerJobWhichStartsWhenNothingOfItIsLeft(t *testing.T) {
	inWorld(t, func(w *world) {
		var order notes
		w.rule = &rule{limit: 1, overflow: job.OverflowCancel, do: func(ctx context.Context, out io.Writer, j *job.Job) action.Result {
			order.add("begin " + j.ID)
			<-ctx.Done()
			time.Sleep(7 * time.Second) // its grace time
			order.add("gone " + j.ID)
			return action.Result{Err: context.Cause(ctx)}
		}}
		cleanUp := &followUp{do: func(context.Context, io.Writer, worker.JobEnd) action.Result {
			order.add("cleaned up")
			return action.Result{}
		}}
		w.rule.after = map[job.State][]worker.FollowUp{job.Superseded: {cleanUp}}
		w.start()
		w.add(inLane("1")...)
		w.settle()
		w.add(inLane("2")...)
		w.pass(6 * time.Second)
		w.same("before it is gone", order.all(), []string{"begin 1"})
		w.pass(2 * time.Second)
		w.same("after", order.all(), []string{"begin 1", "gone 1", "cleaned up", "begin 2"})
		w.state("1", job.Superseded, "ended for a newer job")
		w.successor("1", "2")
		w.same("stop", w.stop(), nil)
	})
}

func TestControls_AFailedJobIsNotTriedAgainAfterANewerOne(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule = &rule{
			limit: 1, overflow: job.OverflowNewest, retry: job.RetryPolicy{Attempts: 3, Initial: time.Minute, Factor: 1, Max: time.Minute},
			do: func(_ context.Context, _ io.Writer, j *job.Job) action.Result {
				if j.ID == "1" {
					return exit(1)
				}
				return action.Result{}
			},
		}
		w.start()
		w.add(inLane("1")...)
		w.settle()
		w.add(inLane("2")...)
		w.pass(time.Hour)
		w.same("starts", w.runsOf(), []string{"1", "2"})
		w.successor("1", "2")
	})
}

func TestControls_SkipEndsWhatWouldHaveToWait(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule = &rule{limit: 1, overflow: job.OverflowSkip, do: untilTold}
		w.start()
		w.add(inLane("1", "2")...)
		w.settle()
		w.state("2", job.Skipped, `another job runs for "k"`)
		w.successor("2", "1")
	})
}

func TestControls_AThrottledJobIsShownAsScheduledAndStartsInTime(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule = &rule{controls: &job.Controls{Throttle: &job.Pace{Limit: 1, Per: time.Minute, Burst: 1}}}
		w.start()
		began := time.Now()
		for _, id := range []string{"1", "2"} {
			w.add(job.Job{ID: id, CreatedAt: began, Keys: job.Keys{Throttle: "k"}})
		}
		w.pass(time.Second)
		w.state("2", job.Scheduled, "throttled: waits for its turn")
		w.same("RunAt", w.store.get("2").RunAt.Sub(began), time.Minute)
		w.pass(58 * time.Second)
		w.same("starts", w.runsOf(), []string{"1"})
		w.pass(time.Second)
		w.same("starts", w.runsOf(), []string{"1", "2"})
	})
}

func TestControls_AThrottleHoldsOverARestart(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule = &rule{controls: &job.Controls{Throttle: &job.Pace{Limit: 1, Per: time.Minute, Burst: 1}}}
		w.store.throttles = map[[3]string]time.Time{{"deploy", "main", "k"}: time.Now().Add(40 * time.Second)}
		w.store.put(job.Job{ID: "1", Keys: job.Keys{Throttle: "k"}})
		_, err := w.pool.Recover(context.Background())
		w.same("Recover", err, nil)
		w.start()
		w.pass(39 * time.Second)
		w.same("starts too early", w.runsOf(), []string(nil))
		w.pass(time.Second)
		w.same("starts", w.runsOf(), []string{"1"})
	})
}

func TestControls_OnceASecondJobOfAKeyRunsOnlyIfTheFirstDidNotSucceed(t *testing.T) {
	inWorld(t, func(w *world) {
		fails := map[string]bool{"1": true}
		w.rule = &rule{controls: &job.Controls{Once: &job.Once{Window: time.Hour}}, do: func(_ context.Context, _ io.Writer, j *job.Job) action.Result {
			time.Sleep(time.Second)
			if fails[j.ID] {
				return exit(1)
			}
			return action.Result{}
		}}
		w.start()
		for _, id := range []string{"1", "2", "3"} {
			w.add(job.Job{ID: id, Keys: job.Keys{Once: "invoice-7"}})
		}
		w.pass(time.Minute)
		w.same("starts", w.runsOf(), []string{"1", "2"})
		w.state("3", job.Skipped, `once: another job succeeded for "invoice-7"`)
		w.successor("3", "2")
	})
}

func TestControls_AnOlderEventIsStaleAfterANewerStarted(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule = &rule{controls: &job.Controls{Sequence: true}}
		w.start()
		for i, by := range []string{"1700000010", "1700000009", "1700000010", "1700000011.5"} {
			w.add(job.Job{ID: string('1' + rune(i)), Keys: job.Keys{Sequence: "site", By: by}})
			w.settle()
		}
		w.same("starts", w.runsOf(), []string{"1", "3", "4"})
		w.state("2", job.Stale, `a newer one has started for "site": 1700000009 is before 1700000010`)
		w.successor("2", "1")
	})
}

func TestControls_AJobThatCannotStartInTimeExpires(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule = &rule{limit: 1, pending: 9, do: untilTold, controls: &job.Controls{StartWithin: time.Minute}}
		w.start()
		jobs := inLane("1", "2")
		for i := range jobs {
			jobs[i].CreatedAt = time.Now()
		}
		w.add(jobs...)
		w.pass(59 * time.Second)
		w.state("2", job.Queued, "")
		w.pass(time.Second)
		w.state("2", job.Expired, "it could not start in time")
		w.state("1", job.Running, "")
	})
}

func TestControls_APauseHoldsOverARestartAndEndsWithResume(t *testing.T) {
	inWorld(t, func(w *world) {
		w.store.pauses = []job.Pause{{Hook: "deploy"}}
		w.store.put(job.Job{ID: "1"})
		_, err := w.pool.Recover(context.Background())
		w.same("Recover", err, nil)
		w.start()
		w.pass(time.Hour)
		w.state("1", job.Queued, "")
		w.pool.SetPaused(nil)
		w.settle()
		w.state("1", job.Succeeded, "")
	})
}

func TestControls_ABurstIsGivenToTheActionWhole(t *testing.T) {
	inWorld(t, func(w *world) {
		var got notes
		w.rule = &rule{all: true, burst: func(ds []job.Delivery) {
			for _, d := range ds {
				got.add(d.ID)
			}
		}}
		w.store.bursts = map[string][]job.Delivery{"1": {{ID: "a"}, {ID: "b"}}}
		w.start()
		w.add(job.Job{ID: "1"}, job.Job{ID: "2"})
		w.settle()
		w.same("bursts", slices.Sorted(slices.Values(got.all())), []string{"a", "b", "d-2"})
	})
}

func TestControls_AJobThatTheStoreEndedIsForgottenAndWhoAwaitsItIsTold(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule = &rule{controls: &job.Controls{Debounce: &job.Debounce{Quiet: time.Minute, MaxWait: time.Hour}}}
		w.start()
		e := w.pool.Expect([]string{"1"})
		defer e.Release()
		first := job.Job{ID: "1", State: job.Scheduled, RunAt: time.Now().Add(time.Minute)}
		w.add(first)
		first.State, first.SupersededBy = job.Superseded, "2"
		w.store.move("1", job.Superseded)
		w.pool.Add([]job.Job{first, w.store.put(job.Job{ID: "2", State: job.Scheduled, RunAt: time.Now().Add(2 * time.Minute)})})
		done, ok := e.Wait(context.Background())
		w.same("told", []any{ok, done[0].State}, []any{true, job.Superseded})
		w.same("Len", w.pool.Len(), 1)
		w.pass(2 * time.Minute)
		w.same("starts", w.runsOf(), []string{"2"})
	})
}

func TestFollowUp_RunsInOrderWithItsTriesAndTheJobHoldsItsLaneMeanwhile(t *testing.T) {
	inWorld(t, func(w *world) {
		var tries atomic.Int32
		flaky := &followUp{retry: job.RetryPolicy{Attempts: 3, Initial: time.Second, Factor: 1, Max: time.Second}, do: func(_ context.Context, out io.Writer, end worker.JobEnd) action.Result {
			_, _ = io.WriteString(out, "told of "+end.Error+" after "+strings.TrimSpace(end.Output))
			if tries.Add(1) < 3 {
				return exit(7)
			}
			return action.Result{}
		}}
		broken := &followUp{do: func(context.Context, io.Writer, worker.JobEnd) action.Result { panic("no") }}
		last := &followUp{do: func(context.Context, io.Writer, worker.JobEnd) action.Result { return action.Result{} }}
		w.rule = &rule{limit: 1, pending: 9, after: map[job.State][]worker.FollowUp{job.Failed: {flaky, broken, last}}, do: func(_ context.Context, out io.Writer, _ *job.Job) action.Result {
			_, _ = io.WriteString(out, "boom\n")
			return exit(1)
		}}
		w.start()
		w.add(inLane("1", "2")...)
		w.pass(1500 * time.Millisecond)
		w.state("1", job.Running, "exit status 1")
		w.same("Ending", w.store.get("1").Ending, job.Failed)
		w.same("the next waits", w.runsOf(), []string{"1"})
		w.pass(time.Minute)
		w.state("1", job.Failed, "exit status 1")
		var got notes
		for _, e := range w.store.history() {
			if words := strings.Fields(e); words[len(words)-3] == "1" && words[0] != "start" {
				got.add(strings.Join(words[:len(words)-3], " "))
			}
		}
		w.same("history", got.all(), []string{
			"finish", "begin on_failed 1.1", "end on_failed 1.1", "begin on_failed 1.2", "end on_failed 1.2",
			"begin on_failed 1.3", "end on_failed 1.3", "begin on_failed 2.1", "end on_failed 2.1",
			"begin on_failed 3.1", "end on_failed 3.1", "conclude",
		})
		all, _ := w.store.FollowUps(context.Background(), "1")
		w.same("output", string(all[0].Output), "told of exit status 1 after boom")
		w.same("errors", []string{all[0].Error, all[2].Error, all[3].Error}, []string{"exit status 7", "", "internal error, the daemon's log has it"})
	})
}

func TestFollowUp_ACancelledJobIsCleanedUpAndASecondCancelEndsThat(t *testing.T) {
	inWorld(t, func(w *world) {
		slow := &followUp{do: func(ctx context.Context, _ io.Writer, _ worker.JobEnd) action.Result {
			select {
			case <-ctx.Done():
				return action.Result{Err: context.Cause(ctx)}
			case <-time.After(time.Hour):
				return action.Result{}
			}
		}}
		w.rule = &rule{do: untilTold, after: map[job.State][]worker.FollowUp{job.Cancelled: {slow, slow}}}
		w.start()
		w.add(job.Job{ID: "1"})
		w.settle()
		w.same("Cancel", w.pool.Cancel(context.Background(), "1", "enough"), nil)
		w.pass(time.Minute)
		w.state("1", job.Running, "enough")
		w.same("Cancel", w.pool.Cancel(context.Background(), "1", "really"), nil)
		w.settle()
		w.state("1", job.Cancelled, "enough")
		all, _ := w.store.FollowUps(context.Background(), "1")
		w.same("follow-ups that began", len(all), 1)
	})
}

func TestFollowUp_GoesOnAfterARestartWhereItWasAndRepeatsNoCommand(t *testing.T) {
	inWorld(t, func(w *world) {
		var ran notes
		step := func(name string, attempts int) *followUp {
			return &followUp{retry: job.RetryPolicy{Attempts: attempts}, do: func(_ context.Context, _ io.Writer, end worker.JobEnd) action.Result {
				ran.add(name + " after " + end.Error)
				return action.Result{}
			}}
		}
		w.rule = &rule{after: map[job.State][]worker.FollowUp{job.Failed: {step("done", 1), step("cut off", 1), step("cut off but may be repeated", 2), step("next", 1)}}}
		j := w.store.put(job.Job{ID: "1", State: job.Running, Ending: job.Failed, Attempt: 1, Error: "exit status 3", Reason: "exit status 3"})
		w.store.followUps["1"] = []job.FollowUp{
			{Attempt: 1, Step: 1, Try: 1, FinishedAt: time.Now()}, {Attempt: 1, Step: 2, Try: 1}, {Attempt: 1, Step: 3, Try: 1},
		}
		report, err := w.pool.Recover(context.Background())
		w.same("Recover", []any{report.Interrupted, report.Requeued, err}, []any{0, 0, nil})
		w.start()
		w.settle()
		w.same("ran", ran.all(), []string{"cut off but may be repeated after exit status 3", "next after exit status 3"})
		w.state(j.ID, job.Failed, "exit status 3")
		all, _ := w.store.FollowUps(context.Background(), "1")
		w.same("recorded as cut off", all[1].Error, "cut off when the daemon died; how far it came is not known")
	})
}

func TestFollowUp_IsResumedAlsoWhenANewerJobWaitsForItsPlace(t *testing.T) {
	for _, overflow := range []job.Overflow{job.OverflowQueue, job.OverflowNewest, job.OverflowCancel, job.OverflowSkip} {
		inWorld(t, func(w *world) {
			var order notes
			w.rule = &rule{limit: 1, pending: 9, overflow: overflow, do: func(_ context.Context, _ io.Writer, j *job.Job) action.Result {
				order.add(j.ID)
				return action.Result{}
			}}
			w.rule.after = map[job.State][]worker.FollowUp{job.Failed: {&followUp{do: func(context.Context, io.Writer, worker.JobEnd) action.Result {
				time.Sleep(time.Second)
				order.add("followed")
				return action.Result{}
			}}}}
			w.store.put(job.Job{ID: "1", ConcurrencyKey: "k", State: job.Running, Ending: job.Failed, Attempt: 1})
			if overflow != job.OverflowSkip {
				w.store.put(job.Job{ID: "2", ConcurrencyKey: "k"})
			}
			_, err := w.pool.Recover(context.Background())
			w.same("Recover", err, nil)
			w.start()
			w.pass(time.Minute)
			w.same("state of the first", w.store.get("1").State, job.Failed)
			want := []string{"followed", "2"}
			if overflow == job.OverflowSkip {
				want = want[:1]
			}
			w.same("order", order.all(), want)
		})
	}
}

func TestControls_ABurstThatIsProlongedWhileItsJobStartsDoesNotLoseItsRetry(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule = &rule{
			controls: &job.Controls{Debounce: &job.Debounce{Quiet: time.Minute, MaxWait: time.Hour, Keep: job.KeepFirst}},
			retry:    job.RetryPolicy{Attempts: 2, Initial: time.Second, Factor: 1, Max: time.Second},
			do: func(_ context.Context, _ io.Writer, j *job.Job) action.Result {
				if j.Attempt == 0 {
					return exit(1)
				}
				return action.Result{}
			},
		}
		first := w.store.put(job.Job{ID: "1", State: job.Scheduled, RunAt: time.Now()})
		w.store.before = func(what, _ string) {
			if what == "start" && w.store.get("1").Attempt == 0 { // committed just before the start is
				prolonged := first
				prolonged.RunAt = time.Now().Add(time.Minute)
				w.pool.Add([]job.Job{prolonged})
			}
		}
		w.start()
		w.pool.Add([]job.Job{first})
		w.pass(time.Hour)
		w.same("state", []any{w.store.get("1").State, w.store.get("1").Attempt}, []any{job.Succeeded, 2})
	})
}

func TestFollowUp_AStopLeavesTheRestForTheNextStart(t *testing.T) {
	inWorld(t, func(w *world) {
		waits := &followUp{do: func(ctx context.Context, _ io.Writer, _ worker.JobEnd) action.Result {
			<-ctx.Done()
			return action.Result{Err: context.Cause(ctx)}
		}}
		var ran atomic.Bool
		next := &followUp{do: func(context.Context, io.Writer, worker.JobEnd) action.Result { ran.Store(true); return action.Result{} }}
		w.rule = &rule{after: map[job.State][]worker.FollowUp{job.Succeeded: {waits, next}}}
		w.start()
		w.add(job.Job{ID: "1"})
		w.settle()
		w.same("stop", w.stop(), nil)
		w.state("1", job.Running, "")
		w.same("ran before the restart", ran.Load(), false)
		w.remake()
		_, err := w.pool.Recover(context.Background())
		w.same("Recover", err, nil)
		w.start()
		w.settle()
		w.same("ran after the restart", ran.Load(), true)
		w.state("1", job.Succeeded, "")
	})
}

func TestFollowUp_AnInterruptedJobIsFollowedByWhatFollowsAFailure(t *testing.T) {
	inWorld(t, func(w *world) {
		var told notes
		w.rule = &rule{onInterrupt: "fail", after: map[job.State][]worker.FollowUp{job.Interrupted: {&followUp{do: func(_ context.Context, _ io.Writer, end worker.JobEnd) action.Result {
			told.add(end.Error)
			return action.Result{}
		}}}}}
		w.store.put(job.Job{ID: "1", State: job.Running, Attempt: 1})
		_, err := w.pool.Recover(context.Background())
		w.same("Recover", err, nil)
		w.start()
		w.settle()
		w.same("told", told.all(), []string{"cut off when the daemon died; how far it came is not known"})
		w.same("state", w.store.get("1").State, job.Interrupted)
	})
}
