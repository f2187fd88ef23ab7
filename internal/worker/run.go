package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/tenterhook/tenterhook/internal/action"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// run takes one job through one attempt: start mark, action, record.
func (p *Pool) run(work context.Context, r *run) {
	if r.job.State == job.Skipped {
		p.settle(work, r, job.Skipped, r.job.Reason)
		return
	}
	rules := p.o.Rules()
	rule, ok := rules.Rule(r.job.Hook, r.job.Rule)
	if !ok {
		p.settle(work, r, job.Failed, fmt.Sprintf("rule %s/%s is no longer configured", r.job.Hook, r.job.Rule))
		return
	}
	mark := store.StartMark{Job: r.job.ID, Attempt: r.job.Attempt + 1, At: time.Now(), Config: rules.Digest(), Node: p.o.Node}
	if err := p.persist(work, "start", func(ctx context.Context) error { return p.o.Store.Start(ctx, mark) }); err != nil {
		p.giveUp(r, "start", err)
		return
	}
	if p.o.Observe != nil {
		p.o.Observe.JobStarted(r.job.Hook, r.job.Rule)
	}
	output := action.NewOutput(rule.OutputLimit())
	result := p.act(work, r, rule, output)
	p.finish(work, r, rule, mark, result, output)
}

// act renders and runs the action. A panic of either is a failed attempt.
func (p *Pool) act(work context.Context, r *run, rule Rule, output *action.Output) (result action.Result) {
	defer func() {
		if v := recover(); v != nil {
			p.o.Log.Error("action panicked", "job", r.job.ID, "hook", r.job.Hook, "rule", r.job.Rule, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			result = action.Result{Err: errors.New("internal error, see the log"), Final: true}
		}
	}()
	delivery, err := p.o.Store.Delivery(work, r.job.Delivery)
	if work.Err() != nil {
		return action.Result{Err: action.ErrStopping}
	}
	if err != nil {
		return action.Result{Err: fmt.Errorf("read the delivery: %w", err), Final: errors.Is(err, store.ErrNotFound)}
	}
	prepared, err := rule.Prepare(&delivery, &r.job, p.o.RunDir)
	if err != nil {
		return action.Result{Err: err, Final: true}
	}
	ctx, cancel := context.WithCancelCause(work)
	defer cancel(nil)
	stop := context.AfterFunc(work, func() { cancel(action.ErrStopping) })
	defer stop()
	p.mu.Lock()
	if r.cancelled {
		cancel(action.ErrCancelled)
	}
	r.cancel, r.output = cancel, output
	p.mu.Unlock()
	return prepared.Run(ctx, output)
}

// outcome is where a job goes after an attempt.
type outcome struct {
	next   job.State
	runAt  time.Time
	reason string
}

// decide says where a job goes after an attempt, by what ended it and by the rule's policy.
func decide(r *run, rule Rule, result action.Result, now time.Time) outcome {
	switch {
	case errors.Is(result.Err, action.ErrCancelled):
		return outcome{next: job.Cancelled, reason: result.Err.Error()}
	case result.Err == nil:
		reason := ""
		if result.Leftovers > 0 {
			reason = fmt.Sprintf("%d processes that were left over were ended", result.Leftovers)
		}
		return outcome{next: job.Succeeded, reason: reason}
	case errors.Is(result.Err, action.ErrStopping):
		return interrupted(r, rule, result.Err.Error())
	}
	policy := rule.Retry()
	n := r.job.Attempt + 1 - r.job.Since
	pause, again := policy.Next(n, result.RetryAfter)
	if again && !result.Final {
		return outcome{
			next: job.Scheduled, runAt: now.Add(pause),
			reason: fmt.Sprintf("%s; attempt %d of %d in %s", result.Err, n+1, policy.Attempts, pause.Round(time.Millisecond)),
		}
	}
	end := outcome{next: job.Failed, reason: result.Err.Error()}
	if result.TimedOut {
		end.next = job.TimedOut
	}
	if policy.Attempts > 1 && !again {
		end.reason += fmt.Sprintf("; %d attempts", n)
	}
	return end
}

// interrupted is where a job goes whose attempt was cut off, not by its own fault.
func interrupted(r *run, rule Rule, reason string) outcome {
	n := r.job.Attempt + 1 - r.job.Since
	if rule.OnInterrupt() == "retry" && n < max(rule.Retry().Attempts, 2) {
		return outcome{next: job.Queued, reason: reason + "; it is run again"}
	}
	return outcome{next: job.Interrupted, reason: reason}
}

// finish records the end of an attempt and moves the job on.
func (p *Pool) finish(work context.Context, r *run, rule Rule, mark store.StartMark, result action.Result, output *action.Output) {
	to := decide(r, rule, result, time.Now())
	ended := store.Ended{
		Job: r.job.ID, Attempt: mark.Attempt, At: time.Now(), ExitCode: result.ExitCode, Signal: result.Signal, Status: result.Status,
		Output: output.Bytes(), Next: to.next, RunAt: to.runAt, Reason: to.reason,
	}
	if result.Err != nil {
		ended.Error = result.Err.Error()
	}
	// The end is recorded whatever stops: without it a restart would call the job interrupted.
	if err := p.persist(context.WithoutCancel(work), "finish", func(ctx context.Context) error { return p.o.Store.Finish(ctx, ended) }); err != nil {
		p.giveUp(r, "finish", err)
		return
	}
	took := ended.At.Sub(mark.At)
	p.report(r, mark.Attempt, to, took)
	if to.next.Terminal() {
		p.ended(&r.job, to.next, to.reason, result.ExitCode, ended.Output)
		p.free(r, nil)
		return
	}
	again := r.job
	again.Attempt, again.State, again.RunAt, again.Reason = mark.Attempt, to.next, to.runAt, to.reason
	p.free(r, &again)
}

func (p *Pool) report(r *run, attempt int, to outcome, took time.Duration) {
	if p.o.Observe != nil {
		p.o.Observe.JobEnded(r.job.Hook, r.job.Rule, to.next, took)
	}
	log := p.o.Log.Info
	if to.next != job.Succeeded {
		log = p.o.Log.Warn
	}
	log("job "+string(to.next), "job", r.job.ID, "delivery", r.job.Delivery, "hook", r.job.Hook, "rule", r.job.Rule, "attempt", attempt, "took", took.Round(time.Millisecond), "reason", to.reason)
}

// settle ends a job without an attempt.
func (p *Pool) settle(work context.Context, r *run, next job.State, reason string) {
	s := store.Settle{Job: r.job.ID, At: time.Now(), Next: next, Reason: reason}
	if err := p.persist(work, "settle", func(ctx context.Context) error { return p.o.Store.Settle(ctx, s) }); err != nil {
		p.giveUp(r, "settle", err)
		return
	}
	p.report(r, r.job.Attempt, outcome{next: next, reason: reason}, 0)
	p.ended(&r.job, next, reason, nil, nil)
	p.free(r, nil)
}

// The pauses between tries of a write that the store could not take.
const (
	firstPause  = 50 * time.Millisecond
	lastPause   = 5 * time.Second
	writeWithin = 15 * time.Second
)

// persist writes until the store has taken it, it is refused for good, or ctx ends. A write of
// which nobody knows whether it happened is tried again too: a second one is fenced.
func (p *Pool) persist(ctx context.Context, what string, write func(context.Context) error) error {
	pause := firstPause
	for tried := 0; ; tried++ {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeWithin)
		err := write(bounded)
		cancel()
		if tried > 0 && errors.Is(err, store.ErrFenced) && what == "finish" {
			return nil // the try before had happened after all
		}
		if !errors.Is(err, store.ErrUnavailable) {
			return err
		}
		if tried == 0 {
			p.o.Log.Warn("store is not available, trying again", "write", what, "error", err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
		pause = min(2*pause, lastPause)
	}
}

// giveUp drops a job from memory that cannot be moved on. The store has it: whoever moved it
// goes on with it, or the next start does.
func (p *Pool) giveUp(r *run, what string, err error) {
	level := p.o.Log.Error
	if errors.Is(err, store.ErrFenced) || errors.Is(err, store.ErrNotFound) {
		level = p.o.Log.Warn
	}
	level("job left as it is", "job", r.job.ID, "hook", r.job.Hook, "rule", r.job.Rule, "write", what, "error", err)
	p.free(r, nil)
}
