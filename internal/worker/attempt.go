package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenterhook/tenterhook/internal/action"
	"github.com/tenterhook/tenterhook/internal/crashpoint"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/panics"
	"github.com/tenterhook/tenterhook/internal/store"
)

// attempt takes a job through one attempt: read the delivery, commit the start mark, render and
// run the action, record the end. It returns how the job waits on, nil when it does not.
//
// What a payload can make go wrong comes after the mark: a job that kills the daemon is then
// found as cut off, and does not kill the next one in the same way for ever.
func (p *Pool) attempt(fetch context.Context, r *run) *job.Waiting {
	switch {
	case r.job.Ending != "":
		return p.resume(fetch, r)
	case r.job.State == job.Running:
		return p.reattach(fetch, r)
	}
	crashpoint.Reach(crashpoint.AfterClaim)
	rules := p.o.Rules()
	waits := waiting(&r.job, rules, time.Now())
	waits.Kept, waits.Due = true, time.Time{}
	rule, ok := rules.Rule(r.job.Hook, r.job.Rule)
	if !ok {
		return p.settle(fetch, &waits, job.Failed, gone(&r.job), "")
	}
	material, err := p.read(fetch, r, rule.KeepsAll())
	switch {
	case errors.Is(err, store.ErrUnavailable):
		return &waits // fetch has ended
	case err != nil:
		return p.settle(fetch, &waits, job.Failed, err.Error(), "")
	case r.ctx.Err() != nil && r.overtaker() != "":
		return p.settle(fetch, &waits, job.Superseded, "a newer job took its place", r.overtaker())
	case r.ctx.Err() != nil:
		return &waits // cancelled, or stopping: nothing begins
	}
	mark := store.StartMark{
		Job: r.job.ID, Attempt: r.job.Attempt + 1, At: time.Now(), Config: rules.Digest(), Node: p.o.Node, Controls: rule.Controls(), Company: r.company,
	}
	crashpoint.Reach(crashpoint.BeforeStartRecord)
	var refused *store.RefusedError
	switch err := p.start(fetch, &r.job, mark); {
	case errors.As(err, &refused):
		p.settled(&r.job, refused.State, refused.Reason)
		return nil
	case errors.Is(err, store.ErrUnavailable):
		return &waits
	case err != nil:
		p.drop(&r.job, "start", err)
		return nil
	}
	crashpoint.Reach(crashpoint.AfterStartRecord)
	if p.o.Observe != nil {
		p.o.Observe.JobStarted(r.job.Hook, r.job.Rule)
	}
	output := action.NewOutput(rule.OutputLimit())
	p.mu.Lock()
	r.output = output
	p.mu.Unlock()
	if rule.Survives() && p.o.Dirs.Survive != "" {
		defer p.letGo(fetch, r)()
	}
	ctx, over := p.o.Trace.Attempt(r.ctx, &material.delivery, material.burst, &r.job, rule.Kind(), mark.Attempt, mark.At)
	r.traced = over
	return p.over(r, rule, &material.delivery, mark, p.act(ctx, r, rule, material, output), output)
}

// over records the end of an attempt and does what follows it.
func (p *Pool) over(r *run, rule Rule, d *job.Delivery, mark store.StartMark, e end, output *action.Output) *job.Waiting {
	if e.Detached {
		return nil // the next daemon goes on waiting for it
	}
	crashpoint.Reach(crashpoint.AfterExit)
	again, after := p.finish(r, rule, d, mark, e, output)
	if e.Apart {
		action.Survivor{Job: r.job.ID, Attempt: mark.Attempt}.Forget(p.o.Dirs.Survive)
	}
	if after != nil {
		p.followUp(r, rule, d, after)
	}
	return again
}

func gone(j *job.Job) string {
	return fmt.Sprintf("rule %s/%s is no longer configured", j.Hook, j.Rule)
}

// end is how an attempt ended.
type end struct {
	action.Result
	begun     bool   // the action was run at all
	quiet     bool   // Err may hold values of the payload: it is stored, not logged
	cancelled string // why a person ended it, "" if none did

	overtakenBy string // the job it had to make room for, "" if none
}

// act renders and runs the action.
func (p *Pool) act(ctx context.Context, r *run, rule Rule, m material, output *action.Output) (e end) {
	return p.perform(ctx, r, output, func() (action.Prepared, error) {
		return rule.Prepare(&m.delivery, m.burst, &r.job, p.o.Dirs)
	})
}

// perform runs what prepare makes, under ctx, which is the run's own with its span. A panic of
// either is a failed attempt.
func (p *Pool) perform(ctx context.Context, r *run, output *action.Output, prepare func() (action.Prepared, error)) (e end) {
	defer func() {
		if v := recover(); v != nil {
			fault := panics.Of(v)
			p.o.Log.Error("action panicked", "job", r.job.ID, "delivery", r.job.Delivery, "hook", r.job.Hook, "rule", r.job.Rule,
				"panic", fault.Text, "stack", fault.Stack)
			if p.o.Panicked != nil {
				p.o.Panicked()
			}
			e = end{Result: action.Result{Err: errPanic}}
		}
	}()
	prepared, err := prepare()
	if err != nil {
		return end{Result: action.Result{Err: err, Final: true}, quiet: true}
	}
	if r.ctx.Err() != nil {
		return end{Result: action.Result{Err: context.Cause(r.ctx)}}
	}
	if p.o.Holds != nil && !p.o.Holds() {
		return end{Result: action.Result{Err: errNotHeld}}
	}
	e.begun = true
	e.Result = prepared.Run(ctx, output)
	return e
}

var errPanic = errors.New("internal error, the daemon's log has it")

// finish records the end of an attempt. It returns how the job waits on when it has another
// attempt, and what follows when it has none and something does.
func (p *Pool) finish(r *run, rule Rule, d *job.Delivery, mark store.StartMark, e end, output *action.Output) (again *job.Waiting, after *following) {
	p.mu.Lock()
	e.cancelled, e.overtakenBy = r.cancelled, r.overtakenBy
	p.mu.Unlock()
	to := decide(rule, mark.Attempt-r.job.Since, e)
	now := time.Now()
	ended := store.Ended{
		Job: r.job.ID, Attempt: mark.Attempt, At: now, ExitCode: e.ExitCode, Signal: e.Signal, Status: e.Status,
		Output: output.Bytes(), Next: to.next, Reason: to.reason, SupersededBy: to.by, Controls: mark.Controls, Company: r.company,
	}
	if to.next == job.Scheduled {
		ended.RunAt = now.Add(to.pause)
	}
	if e.Err != nil {
		ended.Error = e.Err.Error()
	}
	event, actions := rule.After(to.next)
	ended.FollowUps = len(actions) > 0
	if !ended.FollowUps {
		r.leave()
	}
	if err := p.record(r.work, &r.job, ended); err != nil {
		p.drop(&r.job, "finish", err)
		return nil, nil
	}
	crashpoint.Reach(crashpoint.AfterResultCommit)
	p.report(&r.job, mark.Attempt, to, now.Sub(mark.At), e.quiet)
	j := &r.job
	j.Attempt, j.StartedAt, j.ExitCode, j.Error, j.Reason = mark.Attempt, mark.At, e.ExitCode, ended.Error, to.reason
	r.endSpan(e, to)
	if to.next.Terminal() {
		p.tell(Done{Job: j.ID, State: to.next, Reason: to.reason, ExitCode: e.ExitCode, Output: ended.Output})
		if ended.FollowUps {
			j.State, j.Ending = job.Running, to.next
			return nil, &following{event: event, actions: actions, end: JobEnd{
				Error: ended.Error, Output: string(ended.Output), ExitCode: e.ExitCode, Attempt: mark.Attempt,
			}}
		}
		p.o.Trace.Ended(d, j, to.next)
		return nil, nil
	}
	crashpoint.Reach(crashpoint.BeforeRetrySchedule)
	next := *j
	next.State, next.RunAt = to.next, ended.RunAt
	w := waiting(&next, p.o.Rules(), time.Now())
	return &w, nil
}

// report says once how an attempt, or a job without one, ended.
func (p *Pool) report(j *job.Job, attempt int, to outcome, took time.Duration, quiet bool) {
	if p.o.Observe != nil {
		p.o.Observe.JobEnded(j.Hook, j.Rule, to.next, took)
	}
	log := p.o.Log.Info
	if to.next != job.Succeeded {
		log = p.o.Log.Warn
	}
	reason := to.reason
	if quiet {
		reason = unsaid
	}
	log("job "+string(to.next), "job", j.ID, "delivery", j.Delivery, "hook", j.Hook, "rule", j.Rule,
		"attempt", attempt, "took", took.Round(time.Millisecond).String(), "reason", reason)
}

// unsaid stands for a reason that may hold values of the payload.
const unsaid = "its action could not be made of the delivery; the job's record says why"

// endSpan ends the span of the attempt.
func (r *run) endSpan(e end, to outcome) {
	if r.traced == nil {
		return // it began in another process
	}
	a := job.Attempt{ExitCode: e.ExitCode, Signal: e.Signal, Status: e.Status}
	if a.Error = said(e); to.next == job.Succeeded {
		a.Error = ""
	}
	r.traced(a, to.next)
}

// said is what can be told of an end outside of the store.
func said(e end) string {
	switch {
	case e.Err == nil:
		return ""
	case e.quiet:
		return unsaid
	}
	return e.Err.Error()
}
