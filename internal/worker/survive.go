package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenterhook/tenterhook/internal/action"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// letGo lets a run that survives go as soon as the daemon begins to stop: it may be what stops
// the daemon, and wait for it. The result must be called when the run is over.
func (p *Pool) letGo(fetch context.Context, r *run) (over func() bool) {
	return context.AfterFunc(fetch, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if !r.following {
			r.cancel(action.ErrStopping)
		}
	})
}

// survivors returns which of the jobs that were running have a run that lives on, or that has
// ended meanwhile, and forgets what is left of others.
func (p *Pool) survivors(running []job.Job) (map[string]bool, error) {
	found := map[string]bool{}
	if p.o.Dirs.Survive == "" {
		return found, nil
	}
	all, err := action.Survivors(p.o.Dirs.Survive)
	if err != nil {
		return nil, err
	}
	wanted := map[action.Survivor]bool{}
	for i := range running {
		wanted[action.Survivor{Job: running[i].ID, Attempt: running[i].Attempt}] = true
	}
	for _, s := range all {
		if wanted[s] && s.Claim(p.o.Dirs.Survive) {
			found[s.Job] = true
		} else {
			s.Forget(p.o.Dirs.Survive)
		}
	}
	return found, nil
}

// reattach waits for a run that an earlier daemon started.
func (p *Pool) reattach(fetch context.Context, r *run) *job.Waiting {
	j := &r.job
	rule, ok := p.o.Rules().Rule(j.Hook, j.Rule)
	if !ok {
		return p.endSurvivor(r)
	}
	m, err := p.read(fetch, r, false)
	if errors.Is(err, store.ErrUnavailable) {
		return nil // fetch has ended; the run lives on
	}
	defer p.letGo(fetch, r)()
	output := action.NewOutput(rule.OutputLimit())
	p.mu.Lock()
	r.output = output
	p.mu.Unlock()
	p.o.Log.Info("waiting for a run that went on", "job", j.ID, "delivery", j.Delivery, "hook", j.Hook, "rule", j.Rule, "attempt", j.Attempt)
	s := action.Survivor{Job: j.ID, Attempt: j.Attempt}
	_, r.traced = p.o.Trace.Attempt(r.ctx, &m.delivery, nil, j, rule.Kind(), j.Attempt, j.StartedAt)
	e := end{begun: true, Result: s.Attach(r.ctx, p.o.Dirs.Survive, output)}
	if errors.Is(e.Err, action.ErrLost) && p.o.Sweep != nil {
		_, _ = p.o.Sweep(context.WithoutCancel(r.ctx), []string{j.ID}) // what its supervisor left
	}
	mark := store.StartMark{Job: j.ID, Attempt: j.Attempt, At: j.StartedAt, Controls: rule.Controls()}
	return p.over(r, rule, &m.delivery, mark, e, output)
}

// endSurvivor ends a run whose rule is gone.
func (p *Pool) endSurvivor(r *run) *job.Waiting {
	j := &r.job
	r.cancel(action.ErrCancelled)
	s := action.Survivor{Job: j.ID, Attempt: j.Attempt}
	output := action.NewOutput(64 << 10)
	result := s.Attach(r.ctx, p.o.Dirs.Survive, output)
	reason := fmt.Sprintf("ended: %s", gone(j))
	err := p.record(r.work, j, store.Ended{
		Job: j.ID, Attempt: j.Attempt, At: time.Now(), ExitCode: result.ExitCode, Signal: result.Signal, Error: reason,
		Output: output.Bytes(), Next: job.Failed, Reason: reason,
	})
	if err != nil {
		p.drop(j, "finish", err)
		return nil
	}
	s.Forget(p.o.Dirs.Survive)
	p.report(j, j.Attempt, outcome{next: job.Failed, reason: reason}, 0, false)
	p.o.Trace.CutOff(j, job.Failed, reason)
	p.o.Trace.Ended(nil, j, job.Failed)
	return nil
}
