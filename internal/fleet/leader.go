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

	look  chan struct{} // capacity 1: notes may have been lost
	nudge chan struct{} // capacity 1: the nodes have changed
	notes chan postgres.Note

	mu      sync.Mutex
	nodes   map[int64]*member
	room    chan struct{}    // closed and made anew when a place may have become free
	carried map[int64]*load  // by Seq
	adopted map[string]int64 // jobs that had a ticket when the term began, and its node
	lacks   lacks            // of housekeep alone
}

func newLeader(f *Fleet, term int64) *leader {
	l := &leader{
		f: f, term: term, look: make(chan struct{}, 1), nudge: make(chan struct{}, 1), notes: make(chan postgres.Note, 256),
		nodes: map[int64]*member{}, room: make(chan struct{}), carried: map[int64]*load{}, adopted: map[string]int64{},
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
			l.pool.Add(waits[i : i+1])
		}
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

// heard is told of notes. It does not block: what does not fit is found by looking.
func (l *leader) heard(n postgres.Note) {
	if n.Kind == postgres.NoteReleased {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, seq := range n.IDs {
			if one := l.carried[seq]; one != nil {
				poke(one.poke)
			}
		}
		return
	}
	switch n.Kind {
	case postgres.NoteConfig, postgres.NoteQuestions, postgres.NoteAnswers, postgres.NoteHappened:
		return
	}
	if n.Kind == postgres.NoteNodes {
		poke(l.nudge)
		return
	}
	select {
	case l.notes <- n:
	default:
		poke(l.look)
	}
}

// hear takes up jobs that notes tell of, or that looking finds.
func (l *leader) hear(ctx context.Context) {
	for {
		var err error
		select {
		case n := <-l.notes:
			switch n.Kind {
			case postgres.NoteJobs:
				err = l.add(ctx, n.IDs)
			case postgres.NotePauses:
				err = l.readPauses(ctx)
			}
		case <-l.look:
			if err = l.readPauses(ctx); err == nil {
				err = l.lookForJobs(ctx)
			}
		case <-ctx.Done():
			return
		}
		if err != nil && ctx.Err() == nil {
			l.f.o.Log.Debug("take up jobs", "error", err)
			pause(ctx, 200*time.Millisecond)
			poke(l.look)
		}
	}
}

// most is how many jobs are read at once.
const most = 500

func (l *leader) add(ctx context.Context, seqs []int64) error {
	for part := range slices.Chunk(seqs, most) {
		jobs, err := l.f.o.Store.JobsBySeq(ctx, part)
		if err != nil {
			return err
		}
		var waits []job.Job
		for _, j := range jobs {
			switch {
			case j.State.Terminal():
				l.pool.Forget(j.ID)
			case j.State != job.Running && !l.pool.Away(&j):
				// Taken up while it is away, it would come again as the newest of its lane when it has ended: it was found by
				// looking, or when the term began, and its node has not started it yet.
				waits = append(waits, l.f.here(j))
			}
		}
		l.pool.Add(waits)
	}
	return nil
}

func (l *leader) readPauses(ctx context.Context) error {
	pauses, err := l.f.o.Store.Pauses(ctx)
	if err == nil {
		l.pool.SetPaused(pauses)
	}
	return err
}

// lookForJobs adds jobs that wait and that nobody told of.
func (l *leader) lookForJobs(ctx context.Context) error {
	var unknown []int64
	err := l.f.o.Store.Live(ctx, func(j job.Job) bool {
		if j.State != job.Running && !l.pool.Knows(j.ID) {
			unknown = append(unknown, j.Seq)
		}
		return true
	})
	if err != nil {
		return err
	}
	// Read again: what was known when it was read, and has ended since, waits no more. Nobody else
	// could have let one run that was not known.
	return l.add(ctx, unknown)
}
