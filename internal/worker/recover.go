package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tenterhook/tenterhook/internal/crashpoint"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// Report is what Recover found.
type Report struct {
	Waiting     int // jobs that waited and wait on
	Interrupted int // jobs whose attempt was cut off and that are not run again
	Requeued    int // jobs whose attempt was cut off and that are run again
	Survived    int // jobs whose run lives on, or has ended meanwhile by itself
	Swept       int // processes that were left over and were ended
}

// Recover takes up what the run before left, before anything runs: processes of attempts that
// were cut off are ended, and then each such job becomes what its rule's on_interrupt says; what
// waited waits again, in its order.
func (p *Pool) Recover(ctx context.Context) (Report, error) {
	var report Report
	waits, cut, following, err := p.live(ctx)
	if err != nil {
		return report, err
	}
	crashpoint.Reach(crashpoint.RecoveryRead)
	report.Waiting = len(waits)
	alive, err := p.survivors(cut)
	if err != nil {
		return report, err
	}
	cut = slices.DeleteFunc(cut, func(j job.Job) bool {
		if alive[j.ID] {
			following = append(following, j)
		}
		return alive[j.ID]
	})
	report.Survived = len(alive)
	swept := slices.DeleteFunc(append(slices.Clone(following), cut...), func(j job.Job) bool { return alive[j.ID] })
	if report.Swept, err = p.sweep(ctx, swept); err != nil {
		return report, fmt.Errorf("end left-over processes: %w", err)
	}
	crashpoint.Reach(crashpoint.RecoverySwept)
	if err := p.recoverControls(ctx); err != nil {
		return report, err
	}
	waits = append(waits, following...) // what follows them goes on, in their places
	again, err := p.cutOffAll(ctx, cut, &report)
	if err != nil {
		return report, err
	}
	// In one go and in order: what is run again keeps its place in its lane.
	if waits = append(waits, again...); len(waits) > report.Waiting {
		slices.SortFunc(waits, func(a, b job.Job) int { return cmp.Compare(a.Seq, b.Seq) })
	}
	p.Add(waits)
	return report, nil
}

// live reads the jobs that have not ended: those that wait, those whose attempt was cut off, and those
// whose attempt has ended and what follows it not.
func (p *Pool) live(ctx context.Context) (waits, cut, following []job.Job, err error) {
	if waits, err = p.room(ctx); err != nil {
		return nil, nil, nil, err
	}
	err = p.o.Store.Live(ctx, func(j job.Job) bool {
		switch {
		case j.State == job.Running && j.Ending == "":
			cut = append(cut, j)
		case j.State == job.Running:
			following = append(following, j)
		default:
			waits = append(waits, j)
		}
		return true
	})
	if err != nil {
		return nil, nil, nil, fmt.Errorf("read live jobs: %w", err)
	}
	return waits, cut, following, nil
}

// cutOffAll records the attempts that were cut off, and returns the jobs that are run again.
func (p *Pool) cutOffAll(ctx context.Context, cut []job.Job, report *Report) (again []job.Job, err error) {
	for i := range cut {
		rerun, err := p.cutOff(ctx, &cut[i])
		crashpoint.Reach(crashpoint.RecoveryCutOff)
		switch {
		case err != nil:
			return nil, fmt.Errorf("record job %s as cut off: %w", cut[i].ID, err)
		case rerun:
			report.Requeued++
			again = append(again, cut[i])
		default:
			report.Interrupted++
		}
	}
	return again, nil
}

// room has room for all jobs that have not ended: there may be very many of them.
func (p *Pool) room(ctx context.Context) ([]job.Job, error) {
	counts, err := p.o.Store.Counts(ctx)
	if err != nil {
		return nil, fmt.Errorf("count live jobs: %w", err)
	}
	n := 0
	for _, count := range counts {
		n += count
	}
	return make([]job.Job, 0, n), nil
}

// recoverControls takes up what is paused, and how early the next job of a throttle may start.
func (p *Pool) recoverControls(ctx context.Context) error {
	pauses, err := p.o.Store.Pauses(ctx)
	if err != nil {
		return fmt.Errorf("read what is paused: %w", err)
	}
	p.SetPaused(pauses)
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	err = p.o.Store.Throttles(ctx, func(hook, rule, key string, at time.Time) {
		p.flow.Pace(hook+"\x00"+rule+"\x00"+key, now.Add(at.Sub(now))) // on the monotonic clock
	})
	if err != nil {
		return fmt.Errorf("read throttles: %w", err)
	}
	return nil
}

func (p *Pool) sweep(ctx context.Context, cut []job.Job) (int, error) {
	if p.o.Sweep == nil || len(cut) == 0 {
		return 0, nil
	}
	ids := make([]string, len(cut))
	for i := range cut {
		ids[i] = cut[i].ID
	}
	return p.o.Sweep(ctx, ids)
}

// cutOff records the attempt of a job that ended with its daemon, and moves the job on. It
// reports whether the job has a further attempt. One that somebody else moved meanwhile is left.
func (p *Pool) cutOff(ctx context.Context, j *job.Job) (again bool, err error) {
	const reason = "cut off when the daemon died; how far it came is not known"
	to := outcome{next: job.Interrupted, reason: reason + "; " + gone(j)}
	rule, ok := p.o.Rules().Rule(j.Hook, j.Rule)
	if ok {
		to = interrupted(rule, j.Attempt-j.Since, reason)
	}
	ended := store.Ended{Job: j.ID, Attempt: j.Attempt, At: time.Now(), Error: reason, Next: to.next, Reason: to.reason}
	if ok {
		_, actions := rule.After(to.next)
		ended.FollowUps = len(actions) > 0
	}
	err = p.o.Store.Finish(ctx, ended)
	if errors.Is(err, store.ErrFenced) || errors.Is(err, store.ErrNotFound) {
		p.drop(j, "finish", err)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	p.report(j, j.Attempt, to, 0, false) // how long it ran is not known
	p.o.Trace.CutOff(j, to.next, reason)
	j.State, j.Reason, j.Error = to.next, to.reason, reason
	if ended.FollowUps {
		j.State, j.Ending = job.Running, to.next
	}
	if j.State.Terminal() {
		p.o.Trace.Ended(nil, j, j.State)
	}
	return !j.State.Terminal(), nil
}
