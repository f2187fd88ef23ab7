package worker

import (
	"context"
	"slices"

	"github.com/tenterhook/tenterhook/internal/job"
)

// Done is how an awaited job ended.
type Done struct {
	Job      string
	State    job.State
	Reason   string
	ExitCode *int   // of the last attempt, nil when it has none
	Output   []byte // of the last attempt; not to be changed
}

// Expectation waits for the end of jobs. It is made before they are stored, so that none that
// ends at once is missed. Release must be called.
type Expectation struct {
	pool *Pool
	ids  []string
	all  chan struct{} // closed when every job has ended

	ends map[string]Done // under Pool.mu
}

// Expect begins to watch for the end of jobs. Ids of jobs that are never stored do no harm.
func (p *Pool) Expect(ids []string) *Expectation {
	e := &Expectation{pool: p, ids: slices.Clone(ids), all: make(chan struct{}), ends: map[string]Done{}}
	if len(ids) == 0 {
		close(e.all)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		p.awaited[id] = append(p.awaited[id], e)
	}
	return e
}

// Wait waits until every job has ended, and returns how, in the order they were asked for. When
// ctx ends first, it returns those that had ended and false.
func (e *Expectation) Wait(ctx context.Context) ([]Done, bool) {
	complete := true
	select {
	case <-e.all:
	case <-ctx.Done():
		complete = false
	}
	e.pool.mu.Lock()
	defer e.pool.mu.Unlock()
	var out []Done
	for _, id := range e.ids {
		if done, ok := e.ends[id]; ok {
			out = append(out, done)
		}
	}
	return out, complete || len(out) == len(e.ids)
}

// Release stops watching. It may be called more than once.
func (e *Expectation) Release() {
	e.pool.mu.Lock()
	defer e.pool.mu.Unlock()
	for _, id := range e.ids {
		left := slices.DeleteFunc(e.pool.awaited[id], func(o *Expectation) bool { return o == e })
		if len(left) == 0 {
			delete(e.pool.awaited, id)
		} else {
			e.pool.awaited[id] = left
		}
	}
}

// tell tells who waits for a job that it has ended. The first end counts: the job may be run
// again by hand while its Expectation is still there.
func (p *Pool) tell(d Done) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.awaited[d.Job] {
		e.ends[d.Job] = d
		if len(e.ends) == len(e.ids) {
			close(e.all)
		}
	}
	delete(p.awaited, d.Job)
}
