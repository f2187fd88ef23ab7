// Package worker runs jobs: a scheduler in memory, rebuilt from the store at start, decides
// which job may run, and a pool runs it. An action begins only after its start mark is on disk,
// and a job leaves the running state only by a recorded end.
package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/tenterhook/tenterhook/internal/action"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// Store is what the pool needs of one. Every write is on disk when it returns nil.
type Store interface {
	Start(ctx context.Context, m store.StartMark) error
	Finish(ctx context.Context, e store.Ended) error
	Settle(ctx context.Context, s store.Settle) error
	Delivery(ctx context.Context, id string) (job.Delivery, error)
	Live(ctx context.Context, yield func(job.Job) bool) error
}

// Rule is what the pool needs of a rule.
type Rule interface {
	// Prepare renders the action for attempt j.Attempt+1. An error is final for the attempt.
	Prepare(d *job.Delivery, j *job.Job, runDir string) (action.Prepared, error)
	Retry() job.RetryPolicy
	// OnInterrupt is "fail" or "retry": what an attempt that a crash cut off becomes.
	OnInterrupt() string
	// Lane is how many jobs of one concurrency key run at once and how many may wait.
	Lane() (limit, maxPending int)
	OutputLimit() int
}

// Rules are the rules in force.
type Rules interface {
	Rule(hook, rule string) (Rule, bool)
	Digest() string
}

// Observer counts. Its methods must not block.
type Observer interface {
	JobStarted(hook, rule string)
	JobEnded(hook, rule string, state job.State, took time.Duration)
}

// Options are what a Pool is made of.
type Options struct {
	Workers int // jobs running at once
	Store   Store
	Rules   func() Rules // asked for each attempt, so that a fix reaches the next one
	Log     *slog.Logger
	Node    string
	RunDir  string // private folder for running attempts
	MaxLive int    // jobs that have not ended; beyond it Full reports true. 0 is 100,000
	Observe Observer
	// Sweep ends left-over processes of jobs whose daemon died, before they can run again.
	Sweep func(ctx context.Context, jobs []string) (ended int, err error)
}

const defaultMaxLive = 100_000

// Pool runs jobs. Make one with New, call Recover, then Run.
type Pool struct {
	o Options

	mu       sync.Mutex
	schedule *schedule
	running  map[string]*run
	ends     map[string][]*Expectation // who waits for a job's end
	wake     chan struct{}             // capacity 1: there may be something to do
}

// run is an attempt under way.
type run struct {
	job       job.Job
	cancel    context.CancelCauseFunc
	output    *action.Output // nil until the action begins
	cancelled bool           // by a person
}

// New makes a Pool. It starts no goroutines.
func New(o Options) *Pool {
	if o.MaxLive == 0 {
		o.MaxLive = defaultMaxLive
	}
	return &Pool{
		o: o, schedule: newSchedule(), running: map[string]*run{}, ends: map[string][]*Expectation{},
		wake: make(chan struct{}, 1),
	}
}

// Add schedules jobs that are on disk. The store's writer calls it in commit order, which is
// the order in which jobs of one lane start. It never blocks.
func (p *Pool) Add(jobs []job.Job) {
	p.mu.Lock()
	for _, j := range jobs {
		p.schedule.add(j, p.lane(&j), time.Now())
	}
	p.mu.Unlock()
	p.poke()
}

func (p *Pool) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// lane is where a job waits and how many of its lane may run and wait at once.
func (p *Pool) lane(j *job.Job) laneKey {
	rule, ok := p.o.Rules().Rule(j.Hook, j.Rule)
	if !ok || j.ConcurrencyKey == "" {
		return laneKey{}
	}
	limit, pending := rule.Lane()
	if limit < 1 {
		return laneKey{}
	}
	return laneKey{name: j.Hook + "\x00" + j.Rule + "\x00" + j.ConcurrencyKey, limit: limit, pending: pending}
}

// Len is how many jobs have not ended.
func (p *Pool) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.schedule.len() + len(p.running)
}

// Full reports whether no further job should be taken.
func (p *Pool) Full() bool { return p.Len() >= p.o.MaxLive }

// Counts is how many jobs are in each state that has not ended.
func (p *Pool) Counts() map[job.State]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	scheduled := p.schedule.scheduled()
	return map[job.State]int{
		job.Scheduled: scheduled, job.Queued: p.schedule.len() - scheduled, job.Running: len(p.running),
	}
}

// Output is what the running attempt of a job has written so far.
func (p *Pool) Output(id string) ([]byte, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.running[id]
	if r == nil || r.output == nil {
		return nil, false
	}
	return r.output.Bytes(), true
}

// Cancel ends a job: one that waits at once, one that runs by ending its action, which is
// recorded when it is gone. A job that has ended is store.ErrFenced.
func (p *Pool) Cancel(ctx context.Context, id, reason string) error {
	p.mu.Lock()
	if r := p.running[id]; r != nil {
		r.cancelled = true
		r.cancel(action.ErrCancelled)
		p.mu.Unlock()
		return nil
	}
	j, ok := p.schedule.remove(id)
	p.mu.Unlock()
	if !ok {
		return store.ErrFenced
	}
	err := p.o.Store.Settle(ctx, store.Settle{Job: id, At: time.Now(), Next: job.Cancelled, Reason: reason})
	if errors.Is(err, store.ErrUnavailable) {
		p.Add([]job.Job{j}) // it was not cancelled: it waits on
		return err
	}
	if err == nil {
		p.ended(&j, job.Cancelled, reason, nil, nil)
	}
	p.poke()
	return err
}

// Run runs jobs until fetch ends and everything that runs has been recorded. When work ends,
// what runs is ended.
func (p *Pool) Run(fetch, work context.Context) error {
	slots := make(chan struct{}, p.o.Workers)
	var all sync.WaitGroup
	defer all.Wait()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case slots <- struct{}{}:
		case <-fetch.Done():
			return nil
		}
		j, pause, ok := p.take()
		if !ok {
			<-slots
			timer.Reset(pause)
			select {
			case <-p.wake:
			case <-timer.C:
			case <-fetch.Done():
				return nil
			}
			continue
		}
		all.Go(func() {
			defer func() { <-slots; p.poke() }()
			p.run(work, j)
		})
	}
}

// longestPause bounds how long the pool sleeps without looking at the clock again.
const longestPause = time.Minute

// take moves the next job that may run to running, or says how long to wait for one. Jobs for
// which their lane has no room are handed over to be settled.
func (p *Pool) take() (j *run, pause time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if refused, found := p.schedule.refused(); found {
		r := &run{job: refused.job, cancel: func(error) {}}
		r.job.State, r.job.Reason = job.Skipped, refused.reason
		p.running[refused.job.ID] = r
		return r, 0, true
	}
	next, found := p.schedule.next(now)
	if !found {
		return nil, min(p.schedule.pause(now), longestPause), false
	}
	r := &run{job: next, cancel: func(error) {}}
	p.running[next.ID] = r
	return r, 0, true
}

// free takes a job off the running ones, gives its place in the lane back, and schedules it
// again when it has a further attempt.
func (p *Pool) free(r *run, again *job.Job) {
	p.mu.Lock()
	delete(p.running, r.job.ID)
	p.schedule.done(r.job.ID)
	if again != nil {
		p.schedule.add(*again, p.lane(again), time.Now())
	}
	p.mu.Unlock()
	p.poke()
}
