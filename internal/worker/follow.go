package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenterhook/tenterhook/internal/action"
	"github.com/tenterhook/tenterhook/internal/crashpoint"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// following is what runs after the last attempt of a job. The job keeps its place in its lane
// until all of it is over: the next one finds nothing of it running.
type following struct {
	event   string
	actions []FollowUp
	end     JobEnd
	begun   map[int]int // tries that began before, by step
	over    map[int]bool
}

// overtaker is the job that this one has to make room for, "" if none.
func (r *run) overtaker() string {
	if errors.Is(context.Cause(r.ctx), errOvertaken) {
		return r.overtakenBy // set before the cause was
	}
	return ""
}

// followUp runs what follows a job and then ends the job. When work ends before, the next start
// goes on with it.
func (p *Pool) followUp(r *run, rule Rule, d *job.Delivery, f *following) {
	p.mu.Lock()
	r.unlink()
	r.cancel(nil)
	r.tie() // what ended the job does not end what follows
	r.cancelled, r.following = "", true
	p.mu.Unlock()
	for i, u := range f.actions {
		if step := i + 1; !f.over[step] && !p.step(r, d, f, step, u) {
			return
		}
		if errors.Is(context.Cause(r.ctx), action.ErrCancelled) {
			break // a person ended it: the rest too
		}
	}
	p.conclude(r, d)
}

// conclude ends a job whose follow-ups are over. d is nil when it was not read.
func (p *Pool) conclude(r *run, d *job.Delivery) {
	err := p.persist(r.work, finishWithin, &r.job, "conclude", func(ctx context.Context, before int) error {
		return happened(p.o.Store.Conclude(ctx, r.job.ID, time.Now()), before)
	})
	if err != nil {
		p.drop(&r.job, "conclude", err)
		return
	}
	p.o.Trace.Ended(d, &r.job, r.job.Ending)
}

// step runs one action with its tries. It reports whether the next may run: not when the daemon
// stops.
func (p *Pool) step(r *run, d *job.Delivery, f *following, step int, u FollowUp) bool {
	for try := f.begun[step] + 1; ; try++ {
		result, ok := p.try(r, d, f, step, try, u)
		if !ok {
			return false
		}
		if result.Err == nil || result.Final || r.ctx.Err() != nil {
			return true
		}
		pause, again := u.Retry().Next(try, result.RetryAfter)
		if !again {
			return true
		}
		timer := time.NewTimer(min(pause, u.Retry().Max))
		select {
		case <-timer.C:
		case <-r.ctx.Done():
			timer.Stop()
			return !stopping(r)
		}
	}
}

func stopping(r *run) bool { return errors.Is(context.Cause(r.ctx), action.ErrStopping) }

// begunBefore is nil when the start of a follow-up was recorded by an earlier try, whose answer
// nobody knows: it is in the store as this one. Otherwise it is fenced, which says why not.
func (p *Pool) begunBefore(ctx context.Context, id string, one job.FollowUp, fenced error) error {
	all, err := p.o.Store.FollowUps(ctx, id)
	if err != nil {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	for _, u := range all {
		if u.Attempt == one.Attempt && u.Step == one.Step && u.Try == one.Try && u.StartedAt.Sub(one.StartedAt).Abs() < time.Microsecond {
			return nil
		}
	}
	return fenced
}

// try runs an action once: start mark, action, end, like an attempt.
func (p *Pool) try(r *run, d *job.Delivery, f *following, step, try int, u FollowUp) (action.Result, bool) {
	if stopping(r) {
		return action.Result{}, false
	}
	one := job.FollowUp{Attempt: r.job.Attempt, Step: step, Try: try, Event: f.event, Kind: u.Kind(), StartedAt: time.Now()}
	err := p.persist(r.work, 0, &r.job, "begin follow-up", func(ctx context.Context, before int) error {
		err := p.o.Store.BeginFollowUp(ctx, r.job.ID, one)
		if before == 0 || !errors.Is(err, store.ErrFenced) {
			return err
		}
		return p.begunBefore(ctx, r.job.ID, one, err)
	})
	if err != nil {
		p.drop(&r.job, "begin follow-up", err)
		return action.Result{}, false
	}
	crashpoint.Reach(crashpoint.BeforeFollowUp)
	output := action.NewOutput(u.OutputLimit())
	ctx, traced := p.o.Trace.FollowUp(r.ctx, d, &r.job, one)
	e := p.perform(ctx, r, output, func() (action.Prepared, error) { return u.Prepare(d, &r.job, f.end, p.o.Dirs) })
	crashpoint.Reach(crashpoint.AfterFollowUp)
	one.FinishedAt, one.ExitCode, one.Signal, one.Status, one.Output = time.Now(), e.ExitCode, e.Signal, e.Status, output.Bytes()
	traced(job.FollowUp{ExitCode: e.ExitCode, Signal: e.Signal, Status: e.Status, Error: said(e)})
	if e.Err != nil {
		one.Error = e.Err.Error()
	}
	err = p.persist(r.work, finishWithin, &r.job, "end follow-up", func(ctx context.Context, before int) error {
		return happened(p.o.Store.EndFollowUp(ctx, r.job.ID, one), before)
	})
	if err != nil {
		p.drop(&r.job, "end follow-up", err)
		return e.Result, false
	}
	p.reportFollowUp(&r.job, one, e)
	return e.Result, !stopping(r)
}

func (p *Pool) reportFollowUp(j *job.Job, u job.FollowUp, e end) {
	log, word := p.o.Log.Info, "succeeded"
	if e.Err != nil {
		log, word = p.o.Log.Warn, "failed"
	}
	reason := u.Error
	if e.quiet {
		reason = unsaid
	}
	log(u.Event+" "+word, "job", j.ID, "delivery", j.Delivery, "hook", j.Hook, "rule", j.Rule, "step", u.Step, "try", u.Try, "reason", reason)
}

// resume goes on with what follows a job whose daemon ended meanwhile. A command that was cut off
// is not run again, unless it has a further try.
func (p *Pool) resume(fetch context.Context, r *run) *job.Waiting {
	waits := waiting(&r.job, p.o.Rules(), time.Now())
	waits.Kept, waits.Due = true, time.Time{}
	rule, ok := p.o.Rules().Rule(r.job.Hook, r.job.Rule)
	if !ok {
		p.conclude(r, nil)
		return nil
	}
	m, err := p.read(fetch, r, false)
	if errors.Is(err, store.ErrUnavailable) {
		return &waits
	}
	if err == nil {
		err = p.resumeWith(fetch, r, rule, &m.delivery)
	}
	if errors.Is(err, store.ErrUnavailable) {
		return &waits
	}
	if err != nil {
		p.o.Log.Warn("what follows the job is left out", "job", r.job.ID, "hook", r.job.Hook, "rule", r.job.Rule, "error", err)
		p.conclude(r, nil)
	}
	return nil
}

func (p *Pool) resumeWith(fetch context.Context, r *run, rule Rule, d *job.Delivery) error {
	f := &following{begun: map[int]int{}, over: map[int]bool{}}
	f.event, f.actions = rule.After(r.job.Ending)
	err := p.persist(fetch, 0, &r.job, "read follow-ups", func(ctx context.Context, _ int) error {
		return p.readEnd(ctx, &r.job, f)
	})
	if err != nil {
		return err
	}
	p.followUp(r, rule, d, f)
	return nil
}

// readEnd reads how a job ended and how far what follows it has come.
func (p *Pool) readEnd(ctx context.Context, j *job.Job, f *following) error {
	attempts, err := p.o.Store.Attempts(ctx, j.ID)
	if err != nil {
		return err
	}
	f.end = JobEnd{Error: j.Error, ExitCode: j.ExitCode, Attempt: j.Attempt}
	if n := len(attempts); n > 0 {
		f.end.Output = string(attempts[n-1].Output)
	}
	before, err := p.o.Store.FollowUps(ctx, j.ID)
	if err != nil {
		return err
	}
	for _, u := range before {
		if u.Attempt != j.Attempt || u.Step > len(f.actions) {
			continue
		}
		if f.begun[u.Step] = u.Try; u.FinishedAt.IsZero() {
			u.FinishedAt, u.Error = time.Now(), "cut off when the daemon died; how far it came is not known"
			if err := p.o.Store.EndFollowUp(ctx, j.ID, u); err != nil && !errors.Is(err, store.ErrFenced) {
				return fmt.Errorf("record follow-up as cut off: %w", err)
			}
		}
		f.over[u.Step] = u.Error == "" || u.Try >= f.actions[u.Step-1].Retry().Attempts
	}
	return nil
}
