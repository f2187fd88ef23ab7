package worker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// The pauses between tries of what the store could not do, and bounds of them.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 5 * time.Second
	tryWithin  = 15 * time.Second
	// finishWithin is for how long the end of an attempt is tried to be recorded once the pool's
	// work is over.
	finishWithin = 10 * time.Second
	// readWithin is for how long a delivery is tried to be read that is there but cannot be. It is
	// long: an outage must not fail whatever was waiting.
	readWithin = 5 * time.Minute
)

// persist does what the store may be unable to do just now, until it is done, is refused for
// good, or ctx ended longer than patience ago. Only in the last case the error is
// store.ErrUnavailable. do is called at least once, and told how often it was called before.
func (p *Pool) persist(ctx context.Context, patience time.Duration, j *job.Job, what string, do func(ctx context.Context, before int) error) error {
	ended := ctx.Done()
	var until time.Time // set once ctx has ended
	pause := firstPause
	for before := 0; ; before++ {
		// Not ended with ctx: a write that is broken off leaves nobody knowing.
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), tryWithin)
		err := do(bounded, before)
		cancel()
		if !errors.Is(err, store.ErrUnavailable) {
			return err
		}
		if before == 0 {
			p.o.Log.Warn("store is not available, trying again", "job", j.ID, "step", what, "error", err)
		}
		if ended == nil && !time.Now().Before(until) {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
			pause = min(2*pause, lastPause)
		case <-ended:
			ended, until = nil, time.Now().Add(patience)
			if patience == 0 {
				timer.Stop()
				return err
			}
		}
		timer.Stop()
	}
}

// material is what a job's action is made of.
type material struct {
	delivery job.Delivery
	burst    []job.Delivery
}

// read reads a job's delivery, unless that was done ahead, and those of its burst if the rule keeps
// all of them. An error that wraps store.ErrUnavailable means that fetch ended.
func (p *Pool) read(fetch context.Context, r *run, burst bool) (m material, err error) {
	j := &r.job
	if r.input != nil && !burst {
		return material{delivery: *r.input}, nil
	}
	began := time.Now()
	err = p.persist(fetch, 0, j, "read delivery", func(ctx context.Context, _ int) error {
		var found []job.Delivery
		found, err = p.o.Store.Inputs(ctx, []string{j.Delivery}, math.MaxInt)
		if err == nil && len(found) == 0 {
			return errors.New("its delivery is no longer stored")
		}
		if err == nil {
			m.delivery = found[0]
		}
		if err == nil && burst {
			if m.burst, err = p.o.Store.Burst(ctx, j.ID); err == nil && len(m.burst) == 0 {
				m.burst = []job.Delivery{m.delivery} // the rule was not debounced when it came
			}
		}
		switch {
		case err == nil || errors.Is(err, store.ErrUnavailable):
			return err
		case time.Since(began) < readWithin:
			return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
		return fmt.Errorf("its delivery cannot be read: %w", err)
	})
	return m, err
}

// start commits a start mark. After a try of which nobody knows whether it happened, a mark that
// is there is this one.
func (p *Pool) start(fetch context.Context, j *job.Job, mark store.StartMark) error {
	return p.persist(fetch, 0, j, "start", func(ctx context.Context, before int) error {
		err := p.o.Store.Start(ctx, mark)
		if before == 0 || !errors.Is(err, store.ErrFenced) {
			return err
		}
		now, readErr := p.o.Store.Job(ctx, mark.Job)
		switch {
		case readErr != nil:
			return fmt.Errorf("%w: %w", store.ErrUnavailable, readErr)
		case now.State == job.Running && now.Attempt == mark.Attempt && now.Node == mark.Node && now.StartedAt.Sub(mark.At).Abs() < time.Microsecond:
			return nil // this mark, to the microsecond that stores keep, and no other of this node
		}
		return err
	})
}

// record records the end of an attempt. Without it a restart would call the job interrupted, so
// it is tried for as long as can be.
func (p *Pool) record(work context.Context, j *job.Job, ended store.Ended) error {
	return p.persist(work, finishWithin, j, "finish", func(ctx context.Context, before int) error {
		return happened(p.o.Store.Finish(ctx, ended), before)
	})
}

// happened reads the answer to a write that may have been made by an earlier try, whose answer
// nobody knows: nobody else moves a job that is away.
func happened(err error, before int) error {
	if before > 0 && errors.Is(err, store.ErrFenced) {
		return nil
	}
	return err
}

// settle ends a job that waits, without an attempt. It returns how the job waits on: nil, unless
// the store was not available until fetch ended.
func (p *Pool) settle(fetch context.Context, w *job.Waiting, next job.State, reason, by string) *job.Waiting {
	err := p.persist(fetch, 0, &w.Job, "settle", func(ctx context.Context, before int) error {
		s := store.Settle{Job: w.Job.ID, At: time.Now(), Next: next, Reason: reason, SupersededBy: by}
		return happened(p.o.Store.Settle(ctx, s), before)
	})
	switch {
	case errors.Is(err, store.ErrUnavailable):
		return w
	case err != nil:
		p.drop(&w.Job, "settle", err)
		return nil
	}
	p.settled(&w.Job, next, reason)
	return nil
}

// settled says that a job ended without an attempt.
func (p *Pool) settled(j *job.Job, next job.State, reason string) {
	p.report(j, j.Attempt, outcome{next: next, reason: reason}, 0, false)
	p.o.Trace.Ended(nil, j, next)
	p.tell(Done{Job: j.ID, State: next, Reason: reason})
}

// drop says why a job leaves the memory that the pool could not move on. The store has it:
// whoever moved it goes on with it, or the next start does.
func (p *Pool) drop(j *job.Job, step string, err error) {
	log := p.o.Log.Error
	if errors.Is(err, store.ErrFenced) || errors.Is(err, store.ErrNotFound) {
		log = p.o.Log.Warn
	} else if step == "finish" {
		p.mu.Lock()
		p.lost++
		p.mu.Unlock()
	}
	log("job left as the store has it", "job", j.ID, "delivery", j.Delivery, "hook", j.Hook, "rule", j.Rule, "step", step, "error", err)

	ctx, cancel := context.WithTimeout(context.Background(), tryWithin)
	defer cancel()
	if now, err := p.o.Store.Job(ctx, j.ID); err == nil && now.State.Terminal() {
		p.tell(Done{Job: j.ID, State: now.State, Reason: now.Reason, ExitCode: now.ExitCode})
	}
}
