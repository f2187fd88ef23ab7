package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tenterhook/tenterhook/internal/action"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// deciders is how many decided jobs are recorded at once. More than one, so that the store can
// commit them together.
const deciders = 8

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
	for range deciders {
		all.Go(func() { p.recordDecided(fetch) })
	}
	if p.o.Hands == nil {
		all.Go(func() { p.readAhead(fetch) })
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

// dispatch starts jobs as they may run, at most Workers at once, or as many as there are hands.
func (p *Pool) dispatch(fetch, work context.Context, all *sync.WaitGroup) {
	hands := p.o.Hands
	if hands == nil {
		hands = &own{pool: p, slots: make(chan struct{}, p.o.Workers)}
	}
	crew := crew{all: all, idle: make(chan func()), ended: fetch.Done()}
	timer := time.NewTimer(longestSleep)
	defer timer.Stop()
	for {
		place, ok := hands.Reserve(fetch)
		if !ok {
			return
		}
		r, pause := p.take(fetch, work, place)
		if r != nil {
			r.leave = sync.OnceFunc(place.Free)
			crew.do(func() {
				defer r.leave()
				p.run(fetch, r, func() *job.Waiting { return hands.Carry(fetch, place, Carried{r}) })
			})
			continue
		}
		place.Free()
		timer.Reset(pause)
		select {
		case <-p.next:
		case <-timer.C:
		case <-fetch.Done():
			return
		}
	}
}

// crew does things beside each other, on goroutines that it keeps: their stacks have grown already.
type crew struct {
	all   *sync.WaitGroup
	idle  chan func() // to one that has nothing to do
	ended <-chan struct{}
}

func (c crew) do(what func()) {
	select {
	case c.idle <- what:
		return
	default:
	}
	c.all.Go(func() {
		for {
			what()
			what = nil // and all that it holds
			select {
			case what = <-c.idle:
			case <-c.ended:
				return
			}
		}
	})
}

// run is a job on its way through one attempt.
type run struct {
	job    job.Job
	on     job.Site
	ctx    context.Context         // ends when the action must, with action's cause
	cancel context.CancelCauseFunc // releases ctx
	unlink func() bool             // unties ctx from work
	work   context.Context
	// leave gives the place among the Workers to the next job. It is called when nothing of this
	// one runs any more: its end is then committed together with the next one's start. That bounds
	// what waits for the store to some Workers each, since no action begins before its start is
	// on disk.
	leave func()
	input *job.Delivery // what was read ahead of its delivery; nil for nothing
	// company is how many starts and ends are about to be written with this one's; 0 is not known.
	company int
	// traced ends the span of the attempt; nil when it did not begin here.
	traced func(a job.Attempt, next job.State)

	// Under Pool.mu.
	cancelled   string         // why a person cancelled it, "" if none did
	overtakenBy string         // the job it has to make room for, "" if none
	following   bool           // its attempts are over, what follows them runs
	output      *action.Output // nil until the attempt begins
}

// take takes the job that runs next, or says how long to sleep.
func (p *Pool) take(fetch, work context.Context, in Place) (*run, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if fetch.Err() != nil {
		return nil, longestSleep
	}
	now := time.Now()
	w, ok := p.flow.NextFor(now, in.Fits)
	if p.delayed = append(p.delayed, p.flow.Delayed()...); p.flow.HasDecided() || len(p.delayed) > 0 {
		poke(p.decided)
	}
	p.endOvertaken()
	if !ok {
		clear(p.ready) // whoever comes next is not known
		if pause, some := p.flow.Until(now); some {
			return nil, min(pause, longestSleep)
		}
		return nil, longestSleep
	}
	r := &run{job: w.Job, on: w.Lane.On, work: work}
	r.tie()
	p.running[w.Job.ID] = r
	if p.o.Hands == nil {
		p.lookAhead(r)
	}
	return r, 0
}

// tie gives the run a context that ends with work. It is not a child of work: its end must have a
// cause of its own.
func (r *run) tie() {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.work))
	r.ctx, r.cancel = ctx, cancel
	r.unlink = context.AfterFunc(r.work, func() { cancel(action.ErrStopping) })
}

// run takes a job through one attempt.
func (p *Pool) run(fetch context.Context, r *run, attempt func() *job.Waiting) {
	again := attempt()
	for {
		cancelled := p.release(r, again)
		if cancelled == "" {
			break
		}
		// It was cancelled when its attempt was over already, and it has a further one.
		again = p.settle(fetch, again, job.Cancelled, cancelled, "")
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
	if p.o.Released != nil {
		p.o.Released(r.job)
		again = nil // who gave the job decides how it goes on
	}
	p.flow.Done(r.job.ID, again, time.Now())
	p.wake()
	return ""
}

// recordDecided records the jobs that were decided not to run, until fetch ends. It has workers
// of its own: a lane that overflows while every action is slow must not fill the memory.
func (p *Pool) recordDecided(fetch context.Context) {
	for fetch.Err() == nil {
		if d, ok := p.takeDecided(); ok {
			p.done(d.Job.ID, p.settle(fetch, &d.Waiting, d.Next, why(d), d.By))
			continue
		}
		if d, ok := p.takeDelayed(); ok {
			p.recordDelay(fetch, d)
			continue
		}
		select {
		case <-p.decided:
		case <-fetch.Done():
		}
	}
}

func (p *Pool) takeDecided() (job.Decision, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d, ok := p.flow.Decided()
	if p.flow.HasDecided() {
		poke(p.decided) // for the next of the goroutines that do this
	}
	return d, ok
}

func (p *Pool) takeDelayed() (job.Delayed, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.delayed) == 0 {
		return job.Delayed{}, false
	}
	d := p.delayed[0]
	p.delayed = p.delayed[1:]
	return d, true
}

// recordDelay shows a job as scheduled that waits for its pace. It is tried once, for people to
// see: the job starts in its time whatever the store says of it.
func (p *Pool) recordDelay(fetch context.Context, d job.Delayed) {
	wait := time.Until(d.Until)
	if wait < time.Second {
		return
	}
	now := time.Now()
	err := p.o.Store.Settle(fetch, store.Settle{
		Job: d.Job, At: now, Next: job.Scheduled, RunAt: now.Add(wait), Reason: "throttled: waits for its turn",
	})
	if err != nil && !errors.Is(err, store.ErrFenced) {
		p.o.Log.Debug("delay not recorded", "job", d.Job, "error", err)
	}
}

// why says in words why a job was decided not to run.
func why(d job.Decision) string {
	switch d.Next {
	case job.Superseded:
		return "a newer job took its place"
	case job.Expired:
		if d.Lane.On != (job.Site{}) {
			return "no start in time on " + d.Lane.On.String()
		}
		return "it could not start in time"
	}
	return noRoom(d.Waiting)
}

// noRoom says in words why a job was refused.
func noRoom(w job.Waiting) string {
	key := w.Job.ConcurrencyKey
	switch {
	case w.Lane.Overflow == job.OverflowSkip || w.Lane.Pending == 0:
		return fmt.Sprintf("another job runs for %q", key)
	case w.Lane.Pending == 1:
		return fmt.Sprintf("1 job already waits for %q", key)
	default:
		return fmt.Sprintf("%d jobs already wait for %q", w.Lane.Pending, key)
	}
}

// done gives back a job that was refused or withdrawn: again is nil when it ended.
func (p *Pool) done(id string, again *job.Waiting) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.giveBack(id, again)
}

// giveBack is done with p.mu held.
func (p *Pool) giveBack(id string, again *job.Waiting) {
	if p.o.Released != nil {
		p.o.Released(job.Job{ID: id})
		again = nil
	}
	p.flow.Done(id, again, time.Now())
	p.wake()
}
