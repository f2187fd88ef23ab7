package fleet

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store/postgres"
	"github.com/tenterhook/tenterhook/internal/worker"
)

// leader decides for all nodes during one term. Its pool runs nothing: its hands are the nodes.
type leader struct {
	f    *Fleet
	term int64
	pool *worker.Pool
	end  context.CancelFunc // of the term

	look   chan struct{} // capacity 1: notes may have been lost
	nudge  chan struct{} // capacity 1: the nodes have changed
	pauses chan struct{} // capacity 1: perhaps other rules are paused
	more   chan struct{} // capacity 1: there is something in news
	read   seqs          // of hear alone

	mu      sync.Mutex
	nodes   map[int64]*member
	room    chan struct{}    // closed and made anew when a place may have become free
	carried map[int64]*load  // by Seq
	adopted map[string]int64 // jobs that had a ticket when the term began, and its node
	news    []int64          // Seqs of jobs that notes told of and that are to be read
	lacks   lacks            // of housekeep alone
}

func newLeader(f *Fleet, term int64) *leader {
	l := &leader{
		f: f, term: term, look: make(chan struct{}, 1), nudge: make(chan struct{}, 1), pauses: make(chan struct{}, 1), more: make(chan struct{}, 1),
		read: seqs{gaps: map[int64]time.Time{}}, nodes: map[int64]*member{}, room: make(chan struct{}), carried: map[int64]*load{}, adopted: map[string]int64{},
	}
	o := f.o.Worker
	o.Hands, o.Released, o.Holds = l, nil, nil
	if o.Store = f.o.Store.Leading(term); f.o.Watch != nil {
		o.Store = f.o.Watch(f.o.Store.Leading(term))
	}
	l.pool = worker.New(o)
	return l
}

// run leads until fetch ends or another node does.
func (l *leader) run(fetch context.Context) {
	ctx, end := context.WithCancel(fetch)
	defer end()
	l.end = end
	log := l.f.o.Log.With("term", l.term)
	log.Info("this node leads", "node", l.f.o.Node.Name)
	for {
		err := l.recover(ctx)
		if err == nil {
			break
		}
		if ctx.Err() != nil || !l.keep(ctx) {
			return
		}
		log.Warn("take up what waits", "error", err)
		pause(ctx, time.Second)
	}
	var all sync.WaitGroup
	all.Go(func() { l.housekeep(ctx) })
	all.Go(func() { l.hear(ctx) })
	_ = l.pool.Run(ctx, ctx) // it records no ends of its own
	all.Wait()
	yield, cancel := context.WithTimeout(context.WithoutCancel(fetch), time.Second)
	defer cancel()
	if err := l.f.o.Store.YieldLead(yield, l.term); err == nil {
		l.f.teller.tell(postgres.Note{Kind: postgres.NoteNodes})
	}
	log.Info("this node leads no more")
}

// recover takes up what the store has: jobs with tickets keep their places, those of nodes that
// are gone are cut off, the others wait.
func (l *leader) recover(ctx context.Context) error {
	if err := l.refresh(ctx, 0); err != nil {
		return err
	}
	tickets, err := l.f.o.Store.Tickets(ctx, 0)
	if err != nil {
		return err
	}
	last, err := l.f.o.Store.LastSeq(ctx)
	if err != nil {
		return err
	}
	held := map[string]int64{}
	for _, t := range tickets {
		held[t.Job.ID] = t.Node
	}
	var waits, out, cut []job.Job
	err = l.f.o.Store.Live(ctx, func(j job.Job) bool {
		j = l.f.here(j)
		switch {
		case held[j.ID] != 0:
			out = append(out, j)
		case j.State == job.Running && j.Ending == "":
			cut = append(cut, j)
		default:
			waits = append(waits, j)
		}
		return true
	})
	if err != nil {
		return err
	}
	if err := l.pool.RecoverControls(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	l.adopted = held
	l.mu.Unlock()
	for i := range cut {
		if w := l.pool.CutOff(ctx, cut[i]); w != nil {
			waits = append(waits, w.Job)
		}
	}
	// In one order, those that run and those that wait: which is the newest of a lane is decided by it.
	waits = append(waits, out...)
	slices.SortFunc(waits, func(a, b job.Job) int { return cmp.Compare(a.Seq, b.Seq) })
	for i := range waits {
		if held[waits[i].ID] != 0 {
			l.pool.AddHeld(waits[i : i+1])
		} else {
			l.pool.TakeUp(waits[i : i+1])
		}
	}
	// What was stored while they were read, too, before anything starts.
	l.read.top = max(0, last-mostFirst)
	if err := l.add(ctx, l.read.upTo([]int64{last}, time.Now())); err != nil || l.lookForJobs(ctx) != nil {
		poke(l.look)
	}
	return nil
}

// keep says that the leader lives; it is false when the term is over.
func (l *leader) keep(ctx context.Context) bool {
	err := l.f.o.Store.KeepLead(ctx, l.term)
	if errors.Is(err, postgres.ErrDeposed) {
		l.end()
		return false
	}
	return true
}

// housekeep keeps the lead, watches the nodes and looks for what notes did not tell.
func (l *leader) housekeep(ctx context.Context) {
	every := l.f.o.Node.Lease / beats
	tick := time.NewTicker(every)
	defer tick.Stop()
	last := time.Now()
	for round := 1; ; round++ {
		if !l.keep(ctx) {
			return
		}
		passed := min(time.Since(last), 2*every) // more was an outage, or this node stood still
		last = time.Now()
		if err := l.refresh(ctx, passed); err != nil {
			last = time.Now() // what could not be asked is nobody's silence
			l.f.o.Log.Debug("look at the nodes", "error", err)
		}
		l.pokeAll()
		l.pool.Stranded(ctx, l.Exists, mostStranded)
		l.spread(ctx, round)
		if round%beats == 0 {
			poke(l.look)
		}
		if round%30 == 1 {
			if err := l.f.o.Store.ForgetTalk(ctx); err != nil {
				l.f.o.Log.Debug("forget what nodes told each other", "error", err)
			}
		}
		if round%600 == 1 {
			if err := l.f.o.Store.ForgetNodes(ctx); err != nil {
				l.f.o.Log.Debug("forget nodes", "error", err)
			}
		}
		select {
		case <-tick.C:
		case <-l.nudge:
		case <-ctx.Done():
			return
		}
	}
}
