package fleet

import (
	"context"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store/postgres"
)

// taken is what was done about a ticket.
type taken struct{ cancelled, overtaken bool }

// takeTickets runs what this node was given, until ctx ends; nothing new once fetch has ended, and while
// others may take its jobs over.
func (f *Fleet) takeTickets(ctx, fetch context.Context) {
	look := time.NewTicker(f.o.Node.Lease / beats)
	defer look.Stop()
	for {
		select {
		case <-f.tickets:
		case <-look.C:
		case <-ctx.Done():
			return
		}
		tickets, err := f.o.Store.Tickets(ctx, f.id.Load())
		if err != nil {
			f.o.Log.Debug("read tickets", "error", err)
			continue
		}
		f.take(ctx, fetch, tickets)
	}
}

func (f *Fleet) take(ctx, fetch context.Context, tickets []postgres.Ticket) {
	still := map[int64]bool{}
	for _, t := range tickets {
		still[t.ID] = true
		f.mu.Lock()
		known := f.seen[t.ID]
		f.mu.Unlock()
		switch {
		case known == nil && fetch.Err() != nil:
			continue // it goes back when this node leaves
		case known == nil && !f.holds():
			continue // it may not begin: it is looked at again, and taken once this node was heard
		case known == nil:
			known = &taken{}
			f.mu.Lock()
			f.seen[t.ID] = known
			f.held[t.Job.ID] = append(f.held[t.Job.ID], t.ID)
			f.mu.Unlock()
			f.pool.Take(t.Job)
		case !f.pool.Knows(t.Job.ID):
			f.mu.Lock()
			f.released = append(f.released, t.ID) // it was dropped
			f.mu.Unlock()
			poke(f.freed)
		}
		if t.Cancel != "" && !known.cancelled {
			known.cancelled = true
			_ = f.pool.Cancel(ctx, t.Job.ID, t.Cancel) // one that is over is as good
		}
		if t.Overtaken != "" && !known.overtaken {
			known.overtaken = true
			f.pool.Overtake(ctx, t.Job.ID, t.Overtaken)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for id := range f.seen {
		if !still[id] {
			delete(f.seen, id)
		}
	}
}

// release is told by the pool of a job that is over here.
func (f *Fleet) release(j job.Job) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if tickets := f.held[j.ID]; len(tickets) > 1 {
		f.released, f.held[j.ID] = append(f.released, tickets[0]), tickets[1:]
	} else if len(tickets) == 1 {
		f.released = append(f.released, tickets[0])
		delete(f.held, j.ID)
	}
	if j.Seq != 0 {
		f.over = append(f.over, j.Seq)
	}
	poke(f.freed)
}

// giveBack gives tickets back that are left, and tells the leader, until ctx ends.
func (f *Fleet) giveBack(ctx context.Context) {
	for {
		select {
		case <-f.freed:
			f.giveBackAll()
		case <-ctx.Done():
			return
		}
	}
}

func (f *Fleet) giveBackAll() {
	f.mu.Lock()
	released, over := f.released, f.over
	f.released, f.over = nil, nil
	f.mu.Unlock()
	if len(over) > 0 {
		// The leader hears at once of those whose tickets went with their ends, and looks itself.
		f.teller.tell(postgres.Note{Kind: postgres.NoteReleased, IDs: over})
	}
	if len(released) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), f.o.Node.Lease)
	defer cancel()
	left, err := f.o.Store.Release(ctx, released)
	if err != nil {
		f.o.Log.Debug("give tickets back", "error", err) // they go when this life ends
	}
	if len(left) > 0 {
		f.teller.tell(postgres.Note{Kind: postgres.NoteReleased, IDs: left})
	}
}
