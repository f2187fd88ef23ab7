// Package worker runs jobs: a scheduler in memory, rebuilt from the store at start, decides
// which job may run, and a pool runs it. An action begins only after its start mark is on disk,
// and a job leaves the running state only by a recorded end.
//
// Which job runs next, and which does not run at all, is decided by job.Flow; what a job's end
// means for other jobs of its keys is decided by the store, with job.Begin and job.Succeed. When
// jobs are taken up at a start, the same is decided again from what is on disk.
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
	"github.com/tenterhook/tenterhook/internal/tracing"
)

// Store is what the pool needs of one. Every write is on disk when it returns nil.
type Store interface {
	Start(ctx context.Context, m store.StartMark) error
	Finish(ctx context.Context, e store.Ended) error
	Settle(ctx context.Context, s store.Settle) error
	BeginFollowUp(ctx context.Context, id string, u job.FollowUp) error
	EndFollowUp(ctx context.Context, id string, u job.FollowUp) error
	Conclude(ctx context.Context, id string, at time.Time) error
	Inputs(ctx context.Context, ids []string, maxBytes int) ([]job.Delivery, error)
	// Job tells who moved a job that a write found moved.
	Job(ctx context.Context, id string) (job.Job, error)
	Live(ctx context.Context, yield func(job.Job) bool) error
	Counts(ctx context.Context) (map[job.State]int, error)
	Attempts(ctx context.Context, id string) ([]job.Attempt, error)
	FollowUps(ctx context.Context, id string) ([]job.FollowUp, error)
	Burst(ctx context.Context, id string) ([]job.Delivery, error)
	Pauses(ctx context.Context) ([]job.Pause, error)
	Throttles(ctx context.Context, yield func(hook, rule, key string, at time.Time)) error
}

// Rule is what the pool needs of a rule.
type Rule interface {
	// Prepare renders the action for attempt j.Attempt+1. burst are the deliveries of the job's
	// burst if KeepsAll. An error is final for the job.
	Prepare(d *job.Delivery, burst []job.Delivery, j *job.Job, dirs action.Dirs) (action.Prepared, error)
	KeepsAll() bool
	// Kind is that of its action: run, exec or http.
	Kind() string
	// Survives reports whether a run lives on when the daemon ends.
	Survives() bool
	Retry() job.RetryPolicy
	// OnInterrupt is "fail" or "retry": what an attempt that was cut off becomes.
	OnInterrupt() string
	// Lane is where a job of the rule waits for room.
	Lane(j *job.Job) job.Lane
	// Controls are the other flow controls, nil for none.
	Controls() *job.Controls
	// After returns the actions that follow an end of a job, and the key they are written under.
	After(end job.State) (event string, actions []FollowUp)
	// OutputLimit is how many bytes of an attempt's output are kept.
	OutputLimit() int
}

// FollowUp is an action that runs after the end of a job.
type FollowUp interface {
	Kind() string
	Retry() job.RetryPolicy
	OutputLimit() int
	Prepare(d *job.Delivery, j *job.Job, end JobEnd, dirs action.Dirs) (action.Prepared, error)
}

// JobEnd is what follow-ups are told of the attempt that ended the job.
type JobEnd struct {
	Error    string
	Output   string
	ExitCode *int
	Attempt  int
}

// Rules are the rules in force.
type Rules interface {
	Rule(hook, rule string) (Rule, bool)
	Digest() string
}

// Observer counts. Its methods must not block.
type Observer interface {
	// JobStarted is told of each attempt that is about to begin.
	JobStarted(hook, rule string)
	// JobEnded is told of each attempt that ended, with the state the job is in then, which is
	// queued or scheduled when it has a further one; and of each job that ended without an
	// attempt. took is 0 for these and for attempts that were cut off.
	JobEnded(hook, rule string, state job.State, took time.Duration)
}

// Options are what a Pool is made of.
type Options struct {
	Workers int // jobs running at once, at least 1
	Store   Store
	Rules   func() Rules // asked for each attempt, so that a fix reaches the next one
	Log     *slog.Logger
	Node    string // recorded with each attempt
	Dirs    action.Dirs
	MaxLive int      // jobs that have not ended; from it on Full reports true. 0 is 100,000
	Observe Observer // may be nil
	// Panicked is told of each panic that an attempt or a follow-up ended with. It may be nil.
	Panicked func()
	Trace    *tracing.Tracer // nil: no spans
	// Sweep ends left-over processes of jobs whose daemon died, before they can run again. It
	// may be nil.
	Sweep func(ctx context.Context, jobs []string) (ended int, err error)

	// What follows is for several processes on one store, see package fleet.

	// Hands carry jobs to other processes, in place of running them here.
	Hands Hands
	// Released is told of each job that Take brought and that is over here. It must not block, nor
	// ask the pool.
	Released func(j job.Job)
	// Holds reports whether this process may still begin what it was given. Nil is always.
	Holds func() bool
}

const defaultMaxLive = 100_000

// Pool runs jobs. Make one with New, call Recover, then Run. Its other methods may be called at
// any time and from any goroutine.
type Pool struct {
	o Options

	mu      sync.Mutex
	flow    *job.Flow
	running map[string]*run           // by job; each is away from flow
	awaited map[string][]*Expectation // by job
	lost    int                       // attempts whose end could not be recorded

	ready map[string]*job.Delivery // that were read ahead, by id; nil for one that was not to be had
	ahead chan struct{}            // capacity 1: perhaps there is something to read ahead

	next    chan struct{} // capacity 1: perhaps a job may run
	decided chan struct{} // capacity 1: perhaps a job was decided or delayed
	delayed []job.Delayed // to be recorded
}

// New makes a Pool. It starts no goroutines.
func New(o Options) *Pool {
	if o.MaxLive == 0 {
		o.MaxLive = defaultMaxLive
	}
	o.Workers = max(1, o.Workers)
	return &Pool{
		o: o, flow: job.NewFlow(), running: map[string]*run{}, awaited: map[string][]*Expectation{},
		next: make(chan struct{}, 1), decided: make(chan struct{}, 1), ahead: make(chan struct{}, 1), ready: map[string]*job.Delivery{},
	}
}

// Add schedules jobs that are on disk, and forgets those that the store ended while they waited.
// The store's writer calls it in commit order. It never blocks; what bounds it is Full, which is
// asked before a job is stored.
func (p *Pool) Add(jobs []job.Job) {
	rules, now := p.o.Rules(), time.Now()
	p.mu.Lock()
	for i := range jobs {
		if j := &jobs[i]; j.State.Terminal() {
			p.flow.Remove(j.ID)
		} else {
			p.flow.Add(waiting(j, rules, now), now)
		}
	}
	p.wake()
	p.mu.Unlock()
	for i := range jobs {
		if j := &jobs[i]; j.State.Terminal() {
			p.settled(j, j.State, j.Reason)
		}
	}
}

// longestRetry bounds the pause of a job whose rule does not say a bound.
const longestRetry = time.Hour

// waiting says how a job waits under the rules in force.
func waiting(j *job.Job, rules Rules, now time.Time) job.Waiting {
	// A job that has begun in its run of attempts keeps its place: it was let in before.
	w := job.Waiting{
		Job: *j, Kept: j.Attempt > j.Since, Resumes: j.State == job.Running, Lane: goneLane(j),
	}
	longest := longestRetry
	if rule, ok := rules.Rule(j.Hook, j.Rule); ok {
		w.Lane = rule.Lane(j)
		if m := rule.Retry().Max; m > 0 {
			longest = m
		}
		if c := rule.Controls(); c != nil {
			longest = max(longest, control(&w, c, now))
		}
	}
	if pause := j.RunAt.Sub(now); j.State == job.Scheduled && pause > 0 {
		// From here on only the monotonic clock counts. A wall clock that was wrong when RunAt
		// was stored, or is now, costs at most the longest pause of the rule.
		w.Due = now.Add(min(pause, longest))
	}
	return w
}

// goneLane is the lane of a job whose rule is not known here: on other nodes it may be, so that
// what is for one node stays there.
func goneLane(j *job.Job) job.Lane {
	l := job.Lane{Hook: j.Hook, Rule: j.Rule}
	if j.Target != "" && j.Target != job.Somewhere {
		l.Key, l.On.Node = j.Target, j.Target
	}
	return l
}

// control applies a rule's flow controls to how a job waits. It returns the longest pause that
// they can cause.
func control(w *job.Waiting, c *job.Controls, now time.Time) (longest time.Duration) {
	j := &w.Job
	scope := j.Hook + "\x00" + j.Rule + "\x00"
	if c.Once != nil && j.Keys.Once != "" {
		w.Once = scope + j.Keys.Once
	}
	if c.Throttle != nil && j.Keys.Throttle != "" {
		w.Throttle, w.ThrottleKey = c.Throttle, scope+j.Keys.Throttle
		if w.Lane.Limit == 0 {
			w.Lane.Key = j.Keys.Throttle // so that only its own kind waits behind it
		}
		longest = c.Throttle.Longest()
		w.Kept = w.Kept || j.State == job.Scheduled && c.Debounce == nil // it waited for its pace, in its lane
	}
	if c.Debounce != nil {
		longest = max(longest, c.Debounce.MaxWait)
	}
	if c.StartWithin > 0 && j.Attempt == j.Since {
		from := j.CreatedAt
		if j.Attempt > 0 {
			from = j.RunAt // it was queued again then
		}
		w.Expires = now.Add(c.StartWithin - max(0, min(now.Sub(from), c.StartWithin)))
	}
	if c.StartWithin > 0 && j.Attempt > j.Since && j.Target != "" {
		// The one node that it is for may never be back.
		w.Expires = now.Add(c.StartWithin + max(0, min(j.RunAt.Sub(now), longestRetry)) - max(0, min(now.Sub(j.RunAt), c.StartWithin)))
	}
	return longest
}

// wake tells Run's goroutines that there may be something to do. p.mu is held.
func (p *Pool) wake() {
	p.endOvertaken()
	p.delayed = append(p.delayed, p.flow.Delayed()...)
	poke(p.next)
	if p.flow.HasDecided() || len(p.delayed) > 0 {
		poke(p.decided)
	}
}

// endOvertaken ends the runs that newer jobs wait for. p.mu is held.
func (p *Pool) endOvertaken() {
	for _, o := range p.flow.Overtaken() {
		if r := p.running[o.Job]; r != nil && !r.following {
			r.overtakenBy = o.By
			r.cancel(errOvertaken)
		}
	}
}

// errOvertaken ends a run for which a newer job is waiting.
var errOvertaken = errors.New("a newer job takes its place")

// SetPaused says which rules start nothing. What runs is not touched.
func (p *Pool) SetPaused(pauses []job.Pause) {
	paused := make([][2]string, len(pauses))
	for i, one := range pauses {
		paused[i] = [2]string{one.Hook, one.Rule}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flow.SetPaused(paused)
	p.wake()
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is told already
	}
}

// Len is how many jobs have not ended.
func (p *Pool) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.flow.Len()
}

// Full reports whether no further job should be taken.
func (p *Pool) Full() bool { return p.Len() >= p.o.MaxLive }

// Counts is how many jobs are in each state that has not ended.
func (p *Pool) Counts() map[job.State]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	later, running := p.flow.Later(), len(p.running)
	return map[job.State]int{
		job.Scheduled: later, job.Queued: p.flow.Len() - later - running, job.Running: running,
	}
}

// Output is what the running attempt of a job has written so far; false when none runs.
func (p *Pool) Output(id string) ([]byte, bool) {
	p.mu.Lock()
	r := p.running[id]
	if r == nil || r.output == nil {
		p.mu.Unlock()
		return nil, false
	}
	output := r.output
	p.mu.Unlock()
	return output.Bytes(), true
}

// Wait says what keeps a job from starting; false for one that does not wait.
func (p *Pool) Wait(id string) (job.Wait, bool) {
	p.mu.Lock()
	w, ok := p.flow.Wait(id)
	p.mu.Unlock()
	if places, some := p.o.Hands.(interface{ Exists(on job.Site) bool }); some && w.On != (job.Site{}) && !places.Exists(w.On) {
		w.For = job.WaitNode
	}
	return w, ok
}

// Oldest is the job that has waited longest although its time has come; false when none has.
func (p *Pool) Oldest() (job.Job, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.flow.Oldest()
}
