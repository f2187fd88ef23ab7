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

// Hands carry jobs through their attempts. A pool's own are its workers; those of a pool that
// decides for several processes give the jobs to them.
type Hands interface {
	// Reserve waits for a place to run a job; false when ctx has ended.
	Reserve(ctx context.Context) (Place, bool)
	// Carry takes a job through one attempt in a place, and returns how it waits on, nil when it
	// does not.
	Carry(fetch context.Context, in Place, c Carried) *job.Waiting
}

// Place is where one job can run.
type Place interface {
	Free()
	// Fits reports whether a job of this site can have the place, or another one that is free, in
	// its stead. It must not ask the pool.
	Fits(on job.Site) bool
}

// Carried is a job on its way through one attempt.
type Carried struct{ run *run }

// Job is the job as it was when it was handed out.
func (c Carried) Job() job.Job { return c.run.job }

// On is where the job can run.
func (c Carried) On() job.Site { return c.run.on }

// Ended is closed when the attempt is to end before its time.
func (c Carried) Ended() <-chan struct{} { return c.run.ctx.Done() }

// Overtaker is the job that this one has to make room for, "" for none.
func (c Carried) Overtaker() string { return c.run.overtaker() }

// own are the workers of the pool itself.
type own struct {
	pool  *Pool
	slots chan struct{}
}

// Reserve implements Hands.
func (o *own) Reserve(ctx context.Context) (Place, bool) {
	select {
	case o.slots <- struct{}{}:
		return o, true
	case <-ctx.Done():
		return nil, false
	}
}

// Free implements Place.
func (o *own) Free() { <-o.slots }

// Fits implements Place: this is the only node, whatever it is called.
func (o *own) Fits(job.Site) bool { return true }

// Carry implements Hands.
func (o *own) Carry(fetch context.Context, _ Place, c Carried) *job.Waiting {
	return o.pool.attempt(fetch, c.run)
}

// errNotHeld ends a run whose process may have lost the job to another one while it stood still.
var errNotHeld = fmt.Errorf("%w: this node was silent for too long", action.ErrStopping)

// Take runs a job that another process decided to start here, as soon as there is a worker.
func (p *Pool) Take(j job.Job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flow.Add(job.Waiting{Job: j, Kept: true, Resumes: j.State == job.Running, Lane: job.Lane{Hook: j.Hook, Rule: j.Rule}}, time.Now())
	p.wake()
}

// Overtake ends a job that Take brought, because it has to make room for another one.
func (p *Pool) Overtake(ctx context.Context, id, by string) {
	p.mu.Lock()
	if r := p.running[id]; r != nil {
		if !r.following {
			r.overtakenBy = by
			r.cancel(errOvertaken)
		}
		p.mu.Unlock()
		return
	}
	w, ok := p.flow.Withdraw(id)
	p.mu.Unlock()
	if ok {
		p.done(id, p.settle(ctx, &w, job.Superseded, "a newer job took its place", by))
	}
}

// Abandon ends whatever Take brought, because others may have been given it.
func (p *Pool) Abandon() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, r := range p.running {
		p.o.Log.Warn("ending a run: this node was silent for too long", "job", id)
		r.cancel(errNotHeld)
	}
}

// AddHeld takes jobs that run, or are about to, in other processes: they have their places.
func (p *Pool) AddHeld(jobs []job.Job) {
	rules, now := p.o.Rules(), time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range jobs {
		w := waiting(&jobs[i], rules, now)
		w.Resumes, w.Held, w.Due = true, true, time.Time{}
		p.flow.Add(w, now)
	}
	p.wake()
}

// Look lets the pool look again for what may run: there is another place.
func (p *Pool) Look() { poke(p.next) }

// Move says again where each job can run, by the rules in force.
func (p *Pool) Move() {
	rules := p.o.Rules()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flow.Move(func(j *job.Job) job.Site {
		if rule, ok := rules.Rule(j.Hook, j.Rule); ok {
			return rule.Lane(j).On
		}
		return goneLane(j).On
	})
	p.wake()
}

// Stranded records of jobs that could start why they do not: there is no place as they need it.
func (p *Pool) Stranded(ctx context.Context, exists func(job.Site) bool, most int) {
	p.mu.Lock()
	found := p.flow.Stranded(exists, most)
	p.mu.Unlock()
	for i := range found {
		err := p.o.Store.Settle(ctx, store.Settle{Job: found[i].Job.ID, At: time.Now(), Next: job.Queued, Reason: noNode(found[i].Lane.On)})
		if err != nil && !errors.Is(err, store.ErrFenced) {
			p.o.Log.Debug("why a job waits is not recorded", "job", found[i].Job.ID, "error", err)
		}
	}
}

// noNode says in words what keeps a job from starting that has no node.
func noNode(on job.Site) string { return "waits for " + on.String() + ": none is up" }

// Knows reports whether a job is here.
func (p *Pool) Knows(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.flow.Has(id)
}

// Watch begins a reading of jobs that TakeUp is told of.
func (p *Pool) Watch() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flow.Watch()
}

// TakeUp schedules jobs that were read since Watch, each in its place by Seq, and forgets those that
// have ended. What was read of some may be older than what is known here, and such are left out: one
// that came back or ended since Watch would come again, as a job that is none any more, and one that
// is on its way to the attempt that it waits for would do so when that is over.
func (p *Pool) TakeUp(jobs []job.Job) {
	rules, now := p.o.Rules(), time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range jobs {
		switch j := &jobs[i]; {
		case j.State.Terminal():
			p.flow.Remove(j.ID)
		case p.flow.Ended(j.ID) || p.flow.Away(j):
		default:
			w := waiting(j, rules, now)
			w.BySeq = !j.Requeued()
			p.flow.Add(w, now)
		}
	}
	p.flow.Ignore()
	p.wake()
}

// Settled reports jobs that the store ended when it stored them.
func (p *Pool) Settled(jobs []job.Job) {
	for i := range jobs {
		p.settled(&jobs[i], jobs[i].State, jobs[i].Reason)
	}
}

// Waits is how a job waits that was in other hands.
func (p *Pool) Waits(j *job.Job) *job.Waiting {
	w := waiting(j, p.o.Rules(), time.Now())
	w.Kept = true
	return &w
}

// CutOff records that a job's attempt ended with its process, and moves the job on. It returns how
// it waits on, nil when it does not. It tries until ctx ends.
func (p *Pool) CutOff(ctx context.Context, j job.Job) *job.Waiting {
	var again bool
	err := p.persist(ctx, 0, &j, "cut off", func(ctx context.Context, _ int) (err error) {
		again, err = p.cutOff(ctx, &j)
		return err
	})
	switch {
	case errors.Is(err, store.ErrUnavailable):
		return p.Waits(&j)
	case err != nil:
		p.drop(&j, "cut off", err)
		return nil
	case !again:
		return nil
	}
	return p.Waits(&j)
}

// RecoverControls takes up what is paused, and how early the next job of a throttle may start.
func (p *Pool) RecoverControls(ctx context.Context) error { return p.recoverControls(ctx) }

// Awaited are the jobs whose ends are waited for.
func (p *Pool) Awaited() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	ids := make([]string, 0, len(p.awaited))
	for id := range p.awaited {
		ids = append(ids, id)
	}
	return ids
}

// Tell tells who waits for a job that it has ended elsewhere.
func (p *Pool) Tell(d Done) { p.tell(d) }
