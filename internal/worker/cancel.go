package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenterhook/tenterhook/internal/action"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// Cancel ends a job and does not try it again; reason is recorded. One that waits has ended when
// Cancel returns nil. One that runs is told to end and is recorded as cancelled when it has,
// unless it succeeded before it heard of it. A job that has ended is store.ErrFenced. After any
// error but that and store.ErrNotFound the job waits on.
func (p *Pool) Cancel(ctx context.Context, id, reason string) error {
	reason = cmp.Or(reason, "cancelled")
	p.mu.Lock()
	if r := p.running[id]; r != nil {
		r.cancelled = cmp.Or(r.cancelled, reason)
		r.cancel(action.ErrCancelled)
		p.mu.Unlock()
		return nil
	}
	w, ok := p.flow.Withdraw(id)
	p.mu.Unlock()
	if !ok {
		return fmt.Errorf("job %s does not wait or run: %w", id, store.ErrFenced)
	}
	return p.cancelWaiting(ctx, w, reason)
}

func (p *Pool) cancelWaiting(ctx context.Context, w job.Waiting, reason string) error {
	// Not ended with ctx: whoever asked may leave, and a write broken off leaves nobody knowing.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tryWithin)
	defer cancel()
	err := p.o.Store.Settle(ctx, store.Settle{Job: w.Job.ID, At: time.Now(), Next: job.Cancelled, Reason: reason})
	switch {
	case err == nil:
		p.settled(&w.Job, job.Cancelled, reason)
		p.done(w.Job.ID, nil)
	case errors.Is(err, store.ErrFenced) || errors.Is(err, store.ErrNotFound):
		p.drop(&w.Job, "settle", err)
		p.done(w.Job.ID, nil)
	default:
		w.Kept = true
		p.done(w.Job.ID, &w)
	}
	if err != nil {
		return fmt.Errorf("cancel job %s: %w", w.Job.ID, err)
	}
	return nil
}
