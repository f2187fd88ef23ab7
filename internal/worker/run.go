package worker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tenterhook/tenterhook/internal/action"
	"github.com/tenterhook/tenterhook/internal/job"
)

// refusers is how many refused jobs are recorded at once. More than one, so that the store can
// commit them together.
const refusers = 8

// longestSleep bounds how long the pool sleeps without looking at the clock again.
const longestSleep = time.Minute

// Run runs jobs until fetch ends; then nothing new starts, and it returns once the end of
// everything that runs has been recorded. When work ends, what runs is ended, and fetch with it.
// The error says that ends could not be recorded; the next Recover finds those jobs.
func (p *Pool) Run(fetch, work context.Context) error {
	fetch, end := context.WithCancel(fetch)
	defer end()
	defer context.AfterFunc(work, end)()
	var all sync.WaitGroup
	for range refusers {
		all.Go(func() { p.recordRefused(fetch) })
	}
	p.dispatch(fetch, work, &all)
	all.Wait()

	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lost > 0 {
		return fmt.Errorf("the ends of %d attempts could not be recorded", p.lost)
	}
	return nil
}

// dispatch starts jobs as they may run, at most Workers at once.
func (p *Pool) dispatch(fetch, work context.Context, all *sync.WaitGroup) {
	slots := make(chan struct{}, p.o.Workers)
	timer := time.NewTimer(longestSleep)
	defer timer.Stop()
	for {
		select {
		case slots <- struct{}{}:
		case <-fetch.Done():
			return
		}
		r, pause := p.take(fetch, work)
		if r != nil {
			all.Go(func() {
				p.run(fetch, r)
				<-slots
			})
			continue
		}
		<-slots
		timer.Reset(pause)
		select {
		case <-p.next:
		case <-timer.C:
		case <-fetch.Done():
			return
		}
	}
}

// run is a job on its way through one attempt.
type run struct {
	job    job.Job
	ctx    context.Context         // ends when the action must, with action's cause
	cancel context.CancelCauseFunc // releases ctx
	unlink func() bool             // unties ctx from work
	work   context.Context

	// Under Pool.mu.
	cancelled string         // why a person cancelled it, "" if none did
	output    *action.Output // nil until the attempt begins
}

// take takes the job that runs next, or says how long to sleep.
func (p *Pool) take(fetch, work context.Context) (*run, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if fetch.Err() != nil {
		return nil, longestSleep
	}
	now := time.Now()
	j, ok := p.flow.Next(now)
	if p.flow.HasRefused() {
		poke(p.refused)
	}
	if !ok {
		if pause, some := p.flow.Until(now); some {
			return nil, min(pause, longestSleep)
		}
		return nil, longestSleep
	}
	r := &run{job: j, work: work}
	// Not a child of work: its end must have a cause of its own.
	r.ctx, r.cancel = context.WithCancelCause(context.WithoutCancel(work))
	r.unlink = context.AfterFunc(work, func() { r.cancel(action.ErrStopping) })
	p.running[j.ID] = r
	return r, 0
}

// run takes a job through one attempt.
func (p *Pool) run(fetch context.Context, r *run) {
	again := p.attempt(fetch, r)
	for {
		cancelled := p.release(r, again)
		if cancelled == "" {
			break
		}
		// It was cancelled when its attempt was over already, and it has a further one.
		again = p.settle(fetch, again, job.Cancelled, cancelled)
	}
	r.unlink()
	r.cancel(nil)
}

// release gives a job's place in its lane back and schedules it again when it has a further
// attempt. If it was cancelled instead, release does nothing but say why.
func (p *Pool) release(r *run, again *job.Waiting) (cancelled string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if again != nil && r.cancelled != "" {
		cancelled, r.cancelled = r.cancelled, ""
		return cancelled
	}
	delete(p.running, r.job.ID)
	p.flow.Done(r.job.ID, again, time.Now())
	p.wake()
	return ""
}

// recordRefused records jobs as skipped for which their lanes have no room, until fetch ends.
// It has workers of its own: a lane that overflows while every action is slow must not fill
// the memory.
func (p *Pool) recordRefused(fetch context.Context) {
	for {
		w, ok := p.takeRefused()
		if !ok {
			select {
			case <-p.refused:
				continue
			case <-fetch.Done():
				return
			}
		}
		p.done(w.Job.ID, p.settle(fetch, &w, job.Skipped, noRoom(w)))
		if fetch.Err() != nil {
			return
		}
	}
}

func (p *Pool) takeRefused() (job.Waiting, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w, ok := p.flow.Refused()
	if p.flow.HasRefused() {
		poke(p.refused) // for the next of the goroutines that do this
	}
	return w, ok
}

// noRoom says in words why a job was refused.
func noRoom(w job.Waiting) string {
	switch key := w.Job.ConcurrencyKey; w.Lane.Pending {
	case 0:
		return fmt.Sprintf("another job runs for %q", key)
	case 1:
		return fmt.Sprintf("1 job already waits for %q", key)
	default:
		return fmt.Sprintf("%d jobs already wait for %q", w.Lane.Pending, key)
	}
}

// done gives back a job that was refused or withdrawn: again is nil when it ended.
func (p *Pool) done(id string, again *job.Waiting) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flow.Done(id, again, time.Now())
	p.wake()
}
