package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tenterhook/tenterhook/internal/action"
	"github.com/tenterhook/tenterhook/internal/job"
)

// plan is a life of several daemons on one store.
type plan struct {
	Seed        uint64 // of the faults and of how long things take
	Faults      int    // of 100 writes
	Workers     int
	Limit       int
	Pending     int
	Attempts    int
	OnInterrupt string
	Daemons     []daemonPlan
}

type daemonPlan struct {
	Jobs  int
	Keys  int
	Lives time.Duration
	// Crash: its store stops taking writes, so that nothing of what it does is recorded; else
	// it is stopped in order.
	Crash bool
}

func drawPlan(t *rapid.T) plan {
	p := plan{
		Seed: rapid.Uint64().Draw(t, "seed"), Faults: rapid.SampledFrom([]int{0, 10, 50}).Draw(t, "faults"),
		Workers: rapid.IntRange(1, 5).Draw(t, "workers"), Limit: rapid.IntRange(0, 3).Draw(t, "limit"),
		Pending: rapid.IntRange(0, 6).Draw(t, "pending"), Attempts: rapid.IntRange(1, 4).Draw(t, "attempts"),
		OnInterrupt: rapid.SampledFrom([]string{"fail", "retry"}).Draw(t, "on_interrupt"),
	}
	for range rapid.IntRange(1, 4).Draw(t, "daemons") {
		p.Daemons = append(p.Daemons, daemonPlan{
			Jobs: rapid.IntRange(0, 25).Draw(t, "jobs"), Keys: rapid.IntRange(1, 3).Draw(t, "keys"),
			Lives: time.Duration(rapid.IntRange(0, 60).Draw(t, "lives")) * time.Second, Crash: rapid.Bool().Draw(t, "crash"),
		})
	}
	return p
}

// TestPool_KeepsItsPromises lets daemons live, crash and stop on one store that fails at random,
// while jobs arrive, are cancelled and are requeued. Whatever happens: no attempt begins twice or
// without its mark, no lane has more than its limit, no job has more attempts than it may, and in
// the end every job has ended and none is left in memory.
func TestPool_KeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := drawPlan(rt)
		var broken []string
		synctest.Test(t, func(t *testing.T) { broken = newLife(t, p).run() })
		for _, b := range broken {
			rt.Error(b)
		}
	})
}

// life carries out a plan.
type life struct {
	*world
	plan   plan
	dice   *rand.Rand // under the store's lock, and where only one goroutine can be
	begun  map[string]bool
	active map[string]int // by lane
	broken []string
	serial int
}

func newLife(t *testing.T, p plan) *life {
	l := &life{world: newWorld(t), plan: p, dice: rand.New(rand.NewPCG(p.Seed, 0)), begun: map[string]bool{}, active: map[string]int{}}
	l.options.Workers = p.Workers
	l.rule = &rule{
		onInterrupt: p.OnInterrupt, limit: p.Limit, pending: p.Pending, do: l.action,
		retry: job.RetryPolicy{Attempts: p.Attempts, Initial: time.Second, Factor: 2, Max: 20 * time.Second, Jitter: true},
	}
	return l
}

// breaks notes a broken promise. The store's lock is held.
func (l *life) breaks(format string, a ...any) {
	l.broken = append(l.broken, fmt.Sprintf(format, a...))
}

// action is what every job does: something that takes a while and ends somehow.
func (l *life) action(ctx context.Context, _ io.Writer, j *job.Job) action.Result {
	l.store.mu.Lock()
	stored, attempt := l.store.jobs[j.ID], fmt.Sprint(j.ID, " ", j.Attempt+1)
	if stored.State != job.Running || stored.Attempt != j.Attempt+1 {
		l.breaks("attempt %s began while the job was %s at %d", attempt, stored.State, stored.Attempt)
	}
	if l.begun[attempt] {
		l.breaks("attempt %s began twice", attempt)
	}
	l.begun[attempt] = true
	lane := j.ConcurrencyKey
	l.active[lane]++
	if l.plan.Limit > 0 && lane != "" && l.active[lane] > l.plan.Limit {
		l.breaks("%d of lane %s run", l.active[lane], lane)
	}
	takes, how := time.Duration(l.dice.IntN(20))*time.Second, l.dice.IntN(4)
	l.store.mu.Unlock()

	result := action.Result{}
	select {
	case <-time.After(takes):
		if how == 0 {
			result = exit(1)
		}
	case <-ctx.Done():
		result.Err = context.Cause(ctx)
		if !errors.Is(result.Err, action.ErrCancelled) && !errors.Is(result.Err, action.ErrStopping) {
			l.store.mu.Lock()
			l.breaks("attempt %s was ended by %v", attempt, result.Err)
			l.store.mu.Unlock()
		}
	}
	l.store.mu.Lock()
	l.active[lane]--
	l.store.mu.Unlock()
	if how == 1 {
		panic("at the end")
	}
	return result
}

func (l *life) run() []string {
	for i, d := range l.plan.Daemons {
		l.daemon(i, d)
	}
	l.daemon(len(l.plan.Daemons), daemonPlan{Lives: 24 * time.Hour}) // and then one without faults
	for id, j := range l.store.jobs {
		granted := max(l.plan.Attempts, 2) // one more after an interruption, whatever the policy
		if !j.State.Terminal() {
			l.breaks("job %s is %s: %s", id, j.State, j.Reason)
		}
		// An attempt that was marked and then not begun is not counted by what it did.
		if n := j.Attempt - j.Since; n > granted+len(l.plan.Daemons) {
			l.breaks("job %s had %d attempts of %d", id, n, l.plan.Attempts)
		}
		if j.State == job.Skipped && (j.Attempt > j.Since || l.plan.Limit == 0 || j.ConcurrencyKey == "") {
			l.breaks("job %s was skipped with %d attempts", id, j.Attempt)
		}
	}
	if n := l.pool.Len(); n != 0 {
		l.breaks("%d jobs are left in memory", n)
	}
	return l.broken
}

// daemon lets one daemon live.
func (l *life) daemon(n int, d daemonPlan) {
	faults, dead := l.plan.Faults, false
	if n == len(l.plan.Daemons) {
		faults = 0
	}
	l.remake()
	l.store.fault = nil // a start that fails is tried again by whoever starts daemons
	if _, err := l.pool.Recover(l.t.Context()); err != nil {
		l.breaks("recover: %v", err)
	}
	l.store.mu.Lock()
	l.store.fault = func(what, _ string) fault {
		switch roll := l.dice.IntN(100); {
		case dead:
			return refuses
		case roll >= faults || what == "requeue":
			return none
		case roll%2 == 0:
			return refuses
		default:
			return forgets
		}
	}
	l.store.mu.Unlock()
	l.start()
	for range d.Jobs {
		l.pass(d.Lives / time.Duration(2*d.Jobs))
		l.serial++
		l.add(job.Job{ID: fmt.Sprint(l.serial), ConcurrencyKey: []string{"", "a", "b"}[l.serial%d.Keys]})
		l.meddle()
	}
	l.pass(d.Lives / 2)
	if d.Crash {
		l.store.mu.Lock()
		dead = true
		l.store.mu.Unlock()
	}
	err := l.stop()
	if err != nil && faults == 0 && !d.Crash {
		l.breaks("Run: %v", err)
	}
}

// meddle is a person who cancels or requeues a job now and then.
func (l *life) meddle() {
	l.store.mu.Lock()
	id, what := fmt.Sprint(1+l.dice.IntN(l.serial)), l.dice.IntN(4)
	l.store.mu.Unlock()
	switch what {
	case 0:
		_ = l.pool.Cancel(l.t.Context(), id, byHand) // it may have ended
	case 1:
		_ = l.store.requeue(id) // it may not have ended
	}
}

// TestPool_ThePlansOfItsPromisesAreWild holds the test above to what it is for.
func TestPool_ThePlansOfItsPromisesAreWild(t *testing.T) {
	states := map[job.State]int{}
	for seed := range 40 {
		p := rapid.Custom(drawPlan).Example(seed)
		synctest.Test(t, func(t *testing.T) {
			l := newLife(t, p)
			l.run()
			for _, j := range l.store.jobs {
				states[j.State]++
			}
		})
	}
	for _, want := range []job.State{job.Succeeded, job.Failed, job.Cancelled, job.Skipped, job.Interrupted} {
		if states[want] == 0 {
			t.Errorf("no job ended as %s: %v", want, states)
		}
	}
}
