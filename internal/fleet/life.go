package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store/postgres"
)

// alone makes sure that no other daemon lives that has this node's name: one that is up must not
// beat while it is watched.
func (f *Fleet) alone(ctx context.Context) error {
	before, err := f.beating(ctx)
	if err != nil || len(before) == 0 {
		return err
	}
	f.o.Log.Info("an earlier life of this node did not end cleanly, making sure that it has ended", "node", f.o.Node.Name)
	var longest time.Duration
	for _, n := range before {
		longest = max(longest, n.Lease/beats*3/2)
	}
	pause(ctx, longest)
	after, err := f.beating(ctx)
	if err != nil {
		return err
	}
	for id, n := range after {
		if n.Beat != before[id].Beat {
			return fmt.Errorf("node %q: %w: give each its own node.name", n.Name, postgres.ErrReplaced)
		}
	}
	return ctx.Err()
}

// beating returns the lives of this node's name that have not ended, by id.
func (f *Fleet) beating(ctx context.Context) (map[int64]postgres.Node, error) {
	nodes, err := f.o.Store.Nodes(ctx, false)
	out := map[int64]postgres.Node{}
	for _, n := range nodes {
		if n.Name == f.o.Node.Name && (n.State == "up" || n.State == "draining") {
			out[n.ID] = n
		}
	}
	return out, err
}

func (f *Fleet) register(ctx context.Context) error {
	n := f.o.Node
	n.Config = f.o.Digest()
	sent := time.Since(f.began)
	id, err := f.o.Store.Register(ctx, n)
	if err != nil {
		return err
	}
	f.o.Store.ActAs(id)
	f.id.Store(id)
	f.beaten.Store(int64(sent))
	if err := f.o.Store.Beat(ctx, id, "up", n.Config); err != nil { // it tells the clock, before anything is stored by it
		return err
	}
	f.watchClock()
	f.teller.tell(postgres.Note{Kind: postgres.NoteNodes})
	f.teller.send(ctx) // nobody else may send yet
	f.o.Log.Info("node is known", "node", n.Name, "id", id, "lease", n.Lease.String())
	return nil
}

// silent is for how long nobody may have heard of this node.
func (f *Fleet) silent() time.Duration { return time.Since(f.began) - time.Duration(f.beaten.Load()) }

// holds reports whether nobody can have taken this node's jobs over yet.
func (f *Fleet) holds() bool { return f.silent() < f.o.Node.Lease*2/3 }

// live says that the node lives, and leads when nobody does, until ctx ends.
func (f *Fleet) live(ctx, fetch context.Context) {
	var leading sync.WaitGroup
	defer leading.Wait()
	w := newWatch(f.o.Node.Lease)
	tick := time.NewTicker(f.o.Node.Lease / beats)
	defer tick.Stop()
	for {
		f.beat(ctx, fetch)
		f.watchListeners()
		if f.leader.Load() == nil && fetch.Err() == nil {
			f.stand(ctx, fetch, w, &leading)
		}
		f.lookAround(ctx)
		select {
		case <-tick.C:
		case <-f.nudge:
			f.lookAround(ctx)
		case <-f.pauses:
			f.o.OnPause(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (f *Fleet) beat(ctx, fetch context.Context) {
	state := "up"
	if fetch.Err() != nil {
		state = "draining"
	}
	sent := time.Since(f.began)
	switch err := f.o.Store.Beat(ctx, f.id.Load(), state, f.o.Digest()); {
	case err == nil:
		f.beaten.Store(int64(sent))
		f.watchClock()
	case errors.Is(err, postgres.ErrGone):
		f.o.Log.Warn("this node was silent for too long, its jobs were taken over", "node", f.o.Node.Name)
		f.pool.Abandon()
		if fetch.Err() == nil {
			if err := f.register(ctx); err != nil {
				f.o.Log.Warn("register anew", "error", err)
			}
		}
	case errors.Is(err, postgres.ErrReplaced):
		f.pool.Abandon()
		select {
		case f.broken <- fmt.Errorf("node %q: %w: give each its own node.name", f.o.Node.Name, err):
		default:
		}
	default:
		f.o.Log.Debug("beat", "error", err)
	}
}

// watchClock warns of a clock that is off, once until it is right again.
func (f *Fleet) watchClock() {
	off := f.o.Store.Clock()
	if wrong := off.Abs() > wrongClock; wrong != f.clockWrong {
		if f.clockWrong = wrong; wrong {
			f.o.Log.Warn("the clock here is not the database's: times of jobs mislead, start_within counts wrong, and signatures with a time may be refused", "ahead", off.Round(time.Millisecond).String())
		} else {
			f.o.Log.Info("the clock here is the database's again")
		}
	}
}

// here is a job with its times as the clock here would have had them.
func (f *Fleet) here(j job.Job) job.Job {
	if off := f.o.Store.Clock(); off.Abs() > wrongClock {
		for _, t := range []*time.Time{&j.CreatedAt, &j.RunAt} {
			if !t.IsZero() {
				*t = t.Add(off)
			}
		}
	}
	return j
}

// wrongClock is by how much a clock may differ from the database's.
const wrongClock = time.Second

// Age is for how long nobody may have heard of this node, and its lease.
func (f *Fleet) Age() (silent, lease time.Duration) { return f.silent(), f.o.Node.Lease }

// Clock is by how much the clock here is ahead of the database's.
func (f *Fleet) Clock() time.Duration { return f.o.Store.Clock() }

// Nodes are the nodes as they were a moment ago: those that are up or draining, or left tickets.
func (f *Fleet) Nodes() []postgres.Node { return *f.nodes.Load() }

// lookAround notes what the store has of jobs and nodes.
func (f *Fleet) lookAround(ctx context.Context) {
	if counts, err := f.o.Store.Counts(ctx); err == nil {
		f.counts.Store(&counts)
	}
	if nodes, err := f.o.Store.Nodes(ctx, false); err == nil {
		f.nodes.Store(&nodes)
	}
}

// stand makes this node lead when nobody does.
func (f *Fleet) stand(ctx, fetch context.Context, w *watch, leading *sync.WaitGroup) {
	before, err := f.o.Store.Leader(ctx)
	if err != nil || !w.vacant(before) {
		return
	}
	term, err := f.o.Store.Claim(ctx, before, f.id.Load())
	if err != nil {
		f.o.Log.Debug("not leading", "error", err)
		return
	}
	l := newLeader(f, term)
	f.leader.Store(l)
	leading.Go(func() {
		l.run(fetch)
		f.leader.CompareAndSwap(l, nil)
	})
}

// watch counts the silence of the leader.
type watch struct {
	lease  time.Duration
	last   postgres.Lead
	at     time.Time
	silent time.Duration
}

func newWatch(lease time.Duration) *watch { return &watch{lease: lease, at: time.Now()} }

// vacant reports whether nobody leads: nobody says so, or whoever does was silent for a lease.
func (w *watch) vacant(now postgres.Lead) bool {
	passed := min(time.Since(w.at), 2*w.lease/beats) // a question that took longer was an outage, or this node stood still
	w.at = time.Now()
	if now != w.last {
		w.last, w.silent = now, 0
	} else {
		w.silent += passed
	}
	return now.Holder == 0 || w.silent >= w.lease
}

// watchSilence ends what runs here when the database cannot be reached for so long that others may
// take it over.
func (f *Fleet) watchSilence(ctx context.Context) {
	tick := time.NewTicker(f.o.Node.Lease / 20)
	defer tick.Stop()
	var abandoned bool
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if late := f.silent() > f.o.Node.Lease*9/10; late != abandoned {
			if abandoned = late; late {
				f.o.Log.Warn("the database was not reached for almost the lease, ending what runs", "lease", f.o.Node.Lease.String())
				f.pool.Abandon()
			}
		}
	}
}
