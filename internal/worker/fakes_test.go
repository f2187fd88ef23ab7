package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/tenterhook/tenterhook/internal/action"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fault is what a memory store does instead of answering.
type fault int

const (
	none    fault = iota
	refuses       // nothing happened, and it says unavailable
	forgets       // it happened, and it says unavailable
)

// memory is a store in memory that keeps the contract's fences.
type memory struct {
	mu       sync.Mutex
	jobs     map[string]*job.Job
	attempts map[string][]job.Attempt
	seq      int64
	events   []string // what was committed, in order
	// fault is asked before each call, with what was asked and of which job.
	fault func(what, id string) fault
	// committed is called under the store's lock, as a writer does, with what waits because of
	// a requeue.
	committed func([]job.Job)
	readErr   error  // of Inputs
	reads     int    // how often Inputs was called
	tooLarge  string // the delivery that Inputs returns only when there is no bound
	followUps map[string][]job.FollowUp
	records   map[string]job.Record // of controls
	pauses    []job.Pause
	throttles map[[3]string]time.Time
	bursts    map[string][]job.Delivery
	// before is called before each write, without the lock.
	before func(what, id string)
}

func newMemory() *memory {
	return &memory{
		jobs: map[string]*job.Job{}, attempts: map[string][]job.Attempt{}, followUps: map[string][]job.FollowUp{},
		records: map[string]job.Record{},
	}
}

// put stores a job as it is, and returns it as the store gave it out.
func (m *memory) put(j job.Job) job.Job {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seq++
	j.Seq, j.Delivery = m.seq, "d-"+j.ID
	if j.Hook == "" {
		j.Hook, j.Rule = "deploy", "main"
	}
	if j.State == "" {
		j.State = job.Queued
	}
	m.jobs[j.ID] = &j
	m.attempts[j.ID] = make([]job.Attempt, j.Attempt)
	return j
}

// move changes a job as somebody else would.
func (m *memory) move(id string, to job.State) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.jobs[id].State = to
}

// mend ends all faults.
func (m *memory) mend() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault, m.readErr = nil, nil
}

func (m *memory) get(id string) job.Job {
	m.mu.Lock()
	defer m.mu.Unlock()
	return *m.jobs[id]
}

func (m *memory) attempt(id string, n int) job.Attempt {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.attempts[id][n-1]
}

func (m *memory) history() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.events)
}

// write does a fenced write unless a fault is in its way.
func (m *memory) write(ctx context.Context, what, id string, allowed func(*job.Job) bool, apply func(*job.Job)) error {
	if m.before != nil {
		m.before(what, id)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w: %w", what, store.ErrUnavailable, err)
	}
	f := none
	if m.fault != nil {
		f = m.fault(what, id)
	}
	if f == refuses {
		return fmt.Errorf("%s: disk full: %w", what, store.ErrUnavailable)
	}
	j := m.jobs[id]
	switch {
	case j == nil:
		return fmt.Errorf("%s: %w", what, store.ErrNotFound)
	case !allowed(j):
		return fmt.Errorf("%s of a job that is %s at %d: %w", what, j.State, j.Attempt, store.ErrFenced)
	}
	apply(j)
	m.events = append(m.events, fmt.Sprintf("%s %s %d %s", what, id, j.Attempt, j.State))
	if f == forgets {
		return fmt.Errorf("%s: commit: %w", what, store.ErrUnavailable)
	}
	return nil
}

func waits(j *job.Job) bool { return j.State == job.Queued || j.State == job.Scheduled }

// Recall, Keep and Debounced make it a job.Ledger, of one rule. m.mu is held.
func (m *memory) Recall(c job.Control, key string) (job.Record, bool, error) {
	r, ok := m.records[string(c)+" "+key]
	return r, ok, nil
}

func (m *memory) Keep(c job.Control, key string, r job.Record) error {
	m.records[string(c)+" "+key] = r
	return nil
}

func (m *memory) Debounced(string) (job.Job, bool, error) { return job.Job{}, false, nil }

func (m *memory) Start(ctx context.Context, s store.StartMark) error {
	var refused *job.Refusal
	err := m.write(ctx, "start", s.Job, func(j *job.Job) bool { return waits(j) && s.Attempt == j.Attempt+1 }, func(j *job.Job) {
		if refused, _ = job.Begin(j.ID, j.Keys, s.Controls, m, s.At); refused != nil {
			j.State, j.Reason, j.SupersededBy = refused.State, refused.Reason, refused.By
			return
		}
		j.State, j.Reason, j.Attempt, j.StartedAt, j.ExitCode, j.Error, j.Node = job.Running, "", s.Attempt, s.At, nil, "", s.Node
		m.attempts[j.ID] = append(m.attempts[j.ID], job.Attempt{N: s.Attempt, StartedAt: s.At, Config: s.Config})
	})
	if err == nil && refused != nil {
		return &store.RefusedError{Refusal: *refused}
	}
	return err
}

func follows(j *job.Job) bool { return j.State == job.Running && j.Ending != "" }

func (m *memory) BeginFollowUp(ctx context.Context, id string, u job.FollowUp) error {
	return m.write(ctx, fmt.Sprintf("begin %s %d.%d", u.Event, u.Step, u.Try), id, follows, func(*job.Job) {
		m.followUps[id] = append(m.followUps[id], u)
	})
}

func (m *memory) EndFollowUp(ctx context.Context, id string, u job.FollowUp) error {
	return m.write(ctx, fmt.Sprintf("end %s %d.%d", u.Event, u.Step, u.Try), id, follows, func(*job.Job) {
		for i, begun := range m.followUps[id] {
			if begun.Attempt == u.Attempt && begun.Step == u.Step && begun.Try == u.Try {
				m.followUps[id][i] = u
			}
		}
	})
}

func (m *memory) Conclude(ctx context.Context, id string, at time.Time) error {
	return m.write(ctx, "conclude", id, follows, func(j *job.Job) { j.State, j.Ending, j.FinishedAt = j.Ending, "", at })
}

func (m *memory) FollowUps(_ context.Context, id string) ([]job.FollowUp, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.followUps[id]), nil
}

func (m *memory) Counts(context.Context) (map[job.State]int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	counts := map[job.State]int{}
	for _, j := range m.jobs {
		if !j.State.Terminal() {
			counts[j.State]++
		}
	}
	return counts, nil
}

func (m *memory) Attempts(_ context.Context, id string) ([]job.Attempt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.attempts[id]), nil
}

func (m *memory) Burst(_ context.Context, id string) ([]job.Delivery, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bursts[id], nil
}

func (m *memory) Pauses(context.Context) ([]job.Pause, error) { return m.pauses, nil }

func (m *memory) Throttles(_ context.Context, yield func(hook, rule, key string, at time.Time)) error {
	for k, at := range m.throttles {
		yield(k[0], k[1], k[2], at)
	}
	return nil
}

func (m *memory) Finish(ctx context.Context, e store.Ended) error {
	return m.write(ctx, "finish", e.Job, func(j *job.Job) bool {
		return j.State == job.Running && j.Ending == "" && e.Attempt == j.Attempt
	}, func(j *job.Job) {
		j.State, j.Reason, j.ExitCode, j.Error, j.SupersededBy = e.Next, e.Reason, e.ExitCode, e.Error, e.SupersededBy
		if e.FollowUps && e.Next.Terminal() {
			j.State, j.Ending = job.Running, e.Next
		}
		if e.Next == job.Succeeded {
			_ = job.Succeed(j.ID, j.Keys, e.Controls, m, e.At)
		}
		a := &m.attempts[j.ID][e.Attempt-1]
		a.FinishedAt, a.ExitCode, a.Signal, a.Status, a.Error, a.Output = e.At, e.ExitCode, e.Signal, e.Status, e.Error, e.Output
		if e.Next.Terminal() {
			j.FinishedAt = e.At
		} else if j.RunAt = e.RunAt; e.RunAt.IsZero() {
			j.RunAt = e.At
		}
	})
}

func (m *memory) Settle(ctx context.Context, s store.Settle) error {
	return m.write(ctx, "settle", s.Job, waits, func(j *job.Job) {
		j.State, j.Reason, j.FinishedAt, j.SupersededBy = s.Next, s.Reason, s.At, s.SupersededBy
		if !s.Next.Terminal() {
			j.FinishedAt, j.RunAt = time.Time{}, s.RunAt
		}
	})
}

// requeue gives an ended job another run of attempts, as a person's retry does.
func (m *memory) requeue(id string) error {
	return m.write(context.Background(), "requeue", id, func(j *job.Job) bool { return j.State.Terminal() }, func(j *job.Job) {
		j.State, j.Reason, j.RunAt, j.Since, j.FinishedAt = job.Queued, "again", time.Now(), j.Attempt, time.Time{}
		m.committed([]job.Job{*j})
	})
}

// errGone is the readErr of a store without deliveries.
var errGone = errors.New("no deliveries")

func (m *memory) Inputs(_ context.Context, ids []string, maxBytes int) (out []job.Delivery, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	if errors.Is(m.readErr, errGone) {
		return nil, nil
	}
	for _, id := range ids {
		if id != m.tooLarge || maxBytes == math.MaxInt {
			out = append(out, job.Delivery{ID: id, Body: []byte("body of " + id)})
		}
	}
	return out, m.readErr
}

func (m *memory) Job(_ context.Context, id string) (job.Job, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if j := m.jobs[id]; j != nil {
		return *j, nil
	}
	return job.Job{}, store.ErrNotFound
}

func (m *memory) Live(_ context.Context, yield func(job.Job) bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var live []job.Job
	for _, j := range m.jobs {
		if !j.State.Terminal() {
			live = append(live, *j)
		}
	}
	slices.SortFunc(live, func(a, b job.Job) int { return int(a.Seq - b.Seq) })
	for _, j := range live {
		if !yield(j) {
			break
		}
	}
	return nil
}

// rule is a worker.Rule of which each part can be set. It is its own action.
type rule struct {
	prepare     func(d *job.Delivery, j *job.Job) error
	do          func(ctx context.Context, out io.Writer, j *job.Job) action.Result
	retry       job.RetryPolicy
	onInterrupt string
	limit       int
	pending     int
	output      int
	overflow    job.Overflow
	controls    *job.Controls
	all         bool
	burst       func([]job.Delivery) // is shown what Prepare gets
	after       map[job.State][]worker.FollowUp
}

// followUp is a worker.FollowUp. It is its own action.
type followUp struct {
	do    func(ctx context.Context, out io.Writer, end worker.JobEnd) action.Result
	retry job.RetryPolicy
}

type preparedFollowUp struct {
	*followUp
	end worker.JobEnd
}

func (f *followUp) Kind() string           { return "run" }
func (f *followUp) Retry() job.RetryPolicy { return f.retry }
func (f *followUp) OutputLimit() int       { return 1024 }

func (f *followUp) Prepare(_ *job.Delivery, _ *job.Job, end worker.JobEnd, _ action.Dirs) (action.Prepared, error) {
	return preparedFollowUp{f, end}, nil
}

func (p preparedFollowUp) Describe() map[string]any { return nil }

func (p preparedFollowUp) Run(ctx context.Context, out io.Writer) action.Result {
	if ctx.Err() != nil {
		return action.Result{Err: context.Cause(ctx)}
	}
	return p.do(ctx, out, p.end)
}

func (r *rule) Prepare(d *job.Delivery, burst []job.Delivery, j *job.Job, _ action.Dirs) (action.Prepared, error) {
	if r.burst != nil {
		r.burst(burst)
	}
	if r.prepare != nil {
		if err := r.prepare(d, j); err != nil {
			return nil, err
		}
	}
	return prepared{r, *j}, nil
}

func (r *rule) KeepsAll() bool          { return r.all }
func (r *rule) Kind() string            { return "run" }
func (r *rule) Survives() bool          { return false }
func (r *rule) Retry() job.RetryPolicy  { return r.retry }
func (r *rule) OnInterrupt() string     { return r.onInterrupt }
func (r *rule) Controls() *job.Controls { return r.controls }
func (r *rule) OutputLimit() int        { return max(r.output, 1024) }

func (r *rule) Lane(j *job.Job) job.Lane {
	l := job.Lane{Hook: j.Hook, Rule: j.Rule}
	if r.limit > 0 && j.ConcurrencyKey != "" {
		l.Key, l.Limit, l.Pending, l.Overflow = j.ConcurrencyKey, r.limit, r.pending, r.overflow
	}
	return l
}

func (r *rule) After(end job.State) (string, []worker.FollowUp) {
	return "on_" + string(end), r.after[end]
}

type prepared struct {
	*rule
	job job.Job
}

func (p prepared) Describe() map[string]any { return nil }

func (p prepared) Run(ctx context.Context, out io.Writer) action.Result {
	if p.do == nil {
		return action.Result{}
	}
	return p.do(ctx, out, &p.job)
}

// rules are one rule for everything; nil is no rule.
type rules struct{ only *rule }

func (r rules) Digest() string { return "digest" }

func (r rules) Rule(string, string) (worker.Rule, bool) {
	if r.only == nil {
		return nil, false
	}
	return r.only, true
}

// counter is a worker.Observer.
type counter struct {
	mu   sync.Mutex
	seen []string
}

func (c *counter) JobStarted(hook, rule string) { c.add("start " + hook + "/" + rule) }

func (c *counter) JobEnded(hook, rule string, state job.State, took time.Duration) {
	c.add(fmt.Sprintf("%s %s/%s %s", state, hook, rule, took))
}

func (c *counter) add(s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, s)
}

// lockedBuffer is a log that can be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// world is a pool and what is around it.
type world struct {
	t        *testing.T
	store    *memory
	mu       sync.Mutex
	rule     *rule // in force; nil is a configuration without it
	counter  *counter
	log      *lockedBuffer
	options  worker.Options
	pool     *worker.Pool
	endFetch context.CancelFunc
	endWork  context.CancelFunc
	ran      chan error
}

// inWorld runs a test with a clock of its own, on which waiting takes no time.
func inWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(newWorld(t)) })
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, store: newMemory(), rule: &rule{onInterrupt: "fail"}, counter: &counter{}, log: &lockedBuffer{}}
	w.options = worker.Options{
		Workers: 2, Store: w.store, Rules: w.rules,
		Log: slog.New(slog.NewTextHandler(w.log, nil)), Node: "node", Observe: w.counter,
	}
	w.remake()
	return w
}

func (w *world) rules() worker.Rules {
	w.mu.Lock()
	defer w.mu.Unlock()
	return rules{w.rule}
}

// reload puts another rule in force while the pool runs.
func (w *world) reload(r *rule) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rule = r
}

// remake makes a new pool, as a new daemon does.
func (w *world) remake() {
	w.pool = worker.New(w.options)
	w.store.committed = w.pool.Add
}

// start runs the pool until the test ends or stop.
func (w *world) start() {
	var fetch, work context.Context
	fetch, w.endFetch = context.WithCancel(context.Background())
	work, w.endWork = context.WithCancel(context.Background())
	w.ran = make(chan error, 1)
	pool := w.pool
	go func() { w.ran <- pool.Run(fetch, work) }()
	w.t.Cleanup(func() { w.endFetch(); w.endWork() })
}

// stop ends the pool as a daemon does whose drain time is over, and returns what Run did.
func (w *world) stop() error {
	w.endFetch()
	w.endWork()
	return <-w.ran
}

// add stores a job and tells the pool, as the store's writer does.
func (w *world) add(jobs ...job.Job) {
	for _, j := range jobs {
		w.pool.Add([]job.Job{w.store.put(j)})
	}
}

// settle lets everything happen that can without time passing.
func (w *world) settle() { synctest.Wait() }

// pass lets time pass, and everything happen that does meanwhile.
func (w *world) pass(d time.Duration) {
	time.Sleep(d) // on the clock of the bubble
	synctest.Wait()
}

func (w *world) state(id string, want job.State, reason string) {
	w.t.Helper()
	j := w.store.get(id)
	w.same("state of "+id, [2]string{string(j.State), j.Reason}, [2]string{string(want), reason})
}

func (w *world) same(what string, got, want any) {
	w.t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		w.t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// sometimes is a fault of some calls: the first n of one kind.
func sometimes(what string, n int, f fault) func(string, string) fault {
	return func(asked, _ string) fault {
		if asked == what && n > 0 {
			n--
			return f
		}
		return none
	}
}

func exit(code int) action.Result {
	return action.Result{ExitCode: &code, Err: fmt.Errorf("exit status %d", code)}
}

// untilTold runs until its context ends, and then says why.
func untilTold(ctx context.Context, _ io.Writer, _ *job.Job) action.Result {
	<-ctx.Done()
	return action.Result{Err: fmt.Errorf("%w; terminated", context.Cause(ctx)), Signal: "SIGTERM"}
}

var errDisk = errors.New("disk image is malformed")
