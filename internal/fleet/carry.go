package fleet

import (
	"context"
	"errors"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/postgres"
	"github.com/tenterhook/tenterhook/internal/worker"
)

// load is a job that was given to a node.
type load struct {
	poke chan struct{} // capacity 1: its ticket may be gone
}

// pokeAll lets every job that is out be looked at.
func (l *leader) pokeAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range l.carried {
		poke(one.poke)
	}
}

// Carry implements worker.Hands: it gives the job to the place's node and waits until its ticket
// is gone.
func (l *leader) Carry(ctx context.Context, in worker.Place, c worker.Carried) *job.Waiting {
	j, p := c.Job(), in.(*place)
	p.used = true
	one := &load{poke: make(chan struct{}, 1)}
	l.mu.Lock()
	had := l.adopted[j.ID]
	delete(l.adopted, j.ID)
	l.carried[j.Seq] = one
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.carried, j.Seq)
	}()
	if had != 0 {
		p.move(had)
		poke(one.poke)
	} else if !p.aim(c.On()) || !l.assign(ctx, p.node, &j, one) {
		return l.pool.Waits(&j)
	}
	return l.await(ctx, one, c)
}

// assign writes the ticket. It is false when ctx ended before.
func (l *leader) assign(ctx context.Context, node int64, j *job.Job, one *load) bool {
	for ctx.Err() == nil {
		given, err := l.f.o.Store.Assign(ctx, l.term, j.ID, node)
		switch {
		case err == nil && !given: // the job or the node is not what it was
			poke(one.poke)
			return true
		case err == nil:
			l.f.teller.tell(postgres.Note{Kind: postgres.NoteTickets, IDs: []int64{node}})
			return true
		case errors.Is(err, postgres.ErrDeposed):
			l.end()
			return false
		}
		pause(ctx, 100*time.Millisecond)
	}
	return false
}

// await waits until a job has no ticket and says how it waits on.
func (l *leader) await(ctx context.Context, one *load, c worker.Carried) *job.Waiting {
	j := c.Job()
	ended := c.Ended()
	for {
		select {
		case <-one.poke:
		case <-ended:
			ended = nil
			l.overtake(ctx, &j, c.Overtaker())
			continue
		case <-ctx.Done():
			return l.pool.Waits(&j)
		}
		now, held, err := l.f.o.Store.Held(ctx, j.ID)
		now = l.f.here(now)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return nil
		case err != nil:
			pause(ctx, 100*time.Millisecond)
			poke(one.poke)
		case held:
		case now.State.Terminal():
			return nil
		case now.State == job.Running && now.Ending == "":
			return l.pool.CutOff(ctx, now)
		default:
			return l.pool.Waits(&now)
		}
	}
}

// overtake tells the node of a job that it has to end it for another one.
func (l *leader) overtake(ctx context.Context, j *job.Job, by string) {
	if by == "" {
		return
	}
	node, err := l.f.o.Store.Overtaken(ctx, j.ID, by)
	if err == nil {
		l.f.teller.tell(postgres.Note{Kind: postgres.NoteTickets, IDs: []int64{node}})
	} else if !errors.Is(err, store.ErrFenced) {
		l.f.o.Log.Warn("end a job for a newer one", "job", j.ID, "error", err)
	}
}
