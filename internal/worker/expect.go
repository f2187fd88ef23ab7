package worker

import (
	"cmp"
	"context"
	"slices"

	"github.com/tenterhook/tenterhook/internal/job"
)

// Done is how an awaited job ended.
type Done struct {
	Job      string
	State    job.State
	Reason   string
	ExitCode *int
	Output   []byte
}

// Expectation waits for the end of jobs. It is made before they are stored, so that none that
// ends at once is missed. Release must be called.
type Expectation struct {
	pool *Pool
	ids  []string
	ends chan Done // capacity len(ids): an end is never waited for
}

// Expect begins to watch for the end of jobs.
func (p *Pool) Expect(ids []string) *Expectation {
	e := &Expectation{pool: p, ids: ids, ends: make(chan Done, len(ids))}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		p.ends[id] = append(p.ends[id], e)
	}
	return e
}

// Wait returns how the jobs ended, in the order they were asked for; false when ctx ended first.
func (e *Expectation) Wait(ctx context.Context) ([]Done, bool) {
	var out []Done
	for range e.ids {
		select {
		case done := <-e.ends:
			out = append(out, done)
		case <-ctx.Done():
			return out, false
		}
	}
	slices.SortFunc(out, func(a, b Done) int {
		return cmp.Compare(slices.Index(e.ids, a.Job), slices.Index(e.ids, b.Job))
	})
	return out, true
}

// Release stops watching.
func (e *Expectation) Release() {
	e.pool.mu.Lock()
	defer e.pool.mu.Unlock()
	for _, id := range e.ids {
		left := slices.DeleteFunc(e.pool.ends[id], func(o *Expectation) bool { return o == e })
		if len(left) == 0 {
			delete(e.pool.ends, id)
		} else {
			e.pool.ends[id] = left
		}
	}
}

// ended tells who waits for a job.
func (p *Pool) ended(j *job.Job, state job.State, reason string, exitCode *int, output []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.ends[j.ID] {
		select {
		case e.ends <- Done{Job: j.ID, State: state, Reason: reason, ExitCode: exitCode, Output: output}:
		default: // it was told already
		}
	}
}

// addInOrder schedules jobs by Seq, so that lanes fill as they did before.
func (p *Pool) addInOrder(jobs []job.Job) {
	slices.SortFunc(jobs, func(a, b job.Job) int { return cmp.Compare(a.Seq, b.Seq) })
	p.Add(jobs)
}
