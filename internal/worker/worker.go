// Package worker runs jobs: a scheduler in memory, rebuilt from the store at start, decides
// which job may run, and a pool runs it. An action begins only after its start mark is on disk,
// and a job leaves the running state only by a recorded end.
//
// Jobs start in the order of their Seq, as far as their lanes have room. A retry that waits for
// its time does not hold its lane: jobs behind it go on. When its time has come it is again the
// first of those that wait, and it is never refused for want of room. A job that finds its lane
// full ends as skipped; the same rule is applied when jobs are taken up at a start.
package worker

import (
	"context"
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
	// Job tells who moved a job that a write found moved.
	Job(ctx context.Context, id string) (job.Job, error)
	Live(ctx context.Context, yield func(job.Job) bool) error
}

// Rule is what the pool needs of a rule.
type Rule interface {
	// Prepare renders the action for attempt j.Attempt+1. An error is final for the job.
	Prepare(d *job.Delivery, j *job.Job, runDir string) (action.Prepared, error)
	Retry() job.RetryPolicy
	// OnInterrupt is "fail" or "retry": what an attempt that was cut off becomes.
	OnInterrupt() string
	// Lane is how many jobs of one concurrency key run at once and how many may wait beyond
	// those. A limit of 0 is no bound.
	Lane() (limit, maxPending int)
	// OutputLimit is how many bytes of an attempt's output are kept.
	OutputLimit() int
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
	Node    string   // recorded with each attempt
	RunDir  string   // private folder for running attempts
	MaxLive int      // jobs that have not ended; from it on Full reports true. 0 is 100,000
	Observe Observer // may be nil
	// Sweep ends left-over processes of jobs whose daemon died, before they can run again. It
	// may be nil.
	Sweep func(ctx context.Context, jobs []string) (ended int, err error)
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

	next    chan struct{} // capacity 1: perhaps a job may run
	refused chan struct{} // capacity 1: perhaps a job is refused
}

// New makes a Pool. It starts no goroutines.
func New(o Options) *Pool {
	if o.MaxLive == 0 {
		o.MaxLive = defaultMaxLive
	}
	o.Workers = max(1, o.Workers)
	return &Pool{
		o: o, flow: job.NewFlow(), running: map[string]*run{}, awaited: map[string][]*Expectation{},
		next: make(chan struct{}, 1), refused: make(chan struct{}, 1),
	}
}

// Add schedules jobs that are on disk. The store's writer calls it in commit order. It never
// blocks; what bounds it is Full, which is asked before a job is stored.
func (p *Pool) Add(jobs []job.Job) {
	rules, now := p.o.Rules(), time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range jobs {
		p.flow.Add(waiting(&jobs[i], rules, now), now)
	}
	p.wake()
}

// longestRetry bounds the pause of a job whose rule does not say a bound.
const longestRetry = time.Hour

// waiting says how a job waits under the rules in force.
func waiting(j *job.Job, rules Rules, now time.Time) job.Waiting {
	// A job that has begun in its run of attempts keeps its place: it was let in before.
	w := job.Waiting{Job: *j, Kept: j.Attempt > j.Since}
	longest := longestRetry
	if rule, ok := rules.Rule(j.Hook, j.Rule); ok {
		if limit, pending := rule.Lane(); limit > 0 && j.ConcurrencyKey != "" {
			w.Lane = job.Lane{Key: j.Hook + "\x00" + j.Rule + "\x00" + j.ConcurrencyKey, Limit: limit, Pending: pending}
		}
		if m := rule.Retry().Max; m > 0 {
			longest = m
		}
	}
	if pause := j.RunAt.Sub(now); j.State == job.Scheduled && pause > 0 {
		// From here on only the monotonic clock counts. A wall clock that was wrong when RunAt
		// was stored, or is now, costs at most the longest pause of the rule.
		w.Due = now.Add(min(pause, longest))
	}
	return w
}

// wake tells Run's goroutines that there may be something to do. p.mu is held.
func (p *Pool) wake() {
	poke(p.next)
	if p.flow.HasRefused() {
		poke(p.refused)
	}
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
