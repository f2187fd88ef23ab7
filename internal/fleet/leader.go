package fleet

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
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
}

// member is a node as the leader sees it.
type member struct {
	postgres.Node
	inUse  int
	silent time.Duration
}

// load is a job that was given to a node.
type load struct {
	poke chan struct{} // capacity 1: its ticket may be gone
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
		if round%beats == 0 {
			poke(l.look)
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

// refresh looks at the nodes and takes over those that were silent for their lease, or that are
// gone and left tickets.
func (l *leader) refresh(ctx context.Context, passed time.Duration) error {
	now, err := l.f.o.Store.Nodes(ctx, false)
	if err != nil {
		return err
	}
	var gone []postgres.Node
	l.mu.Lock()
	seen := map[int64]bool{}
	for _, n := range now {
		m := l.nodes[n.ID]
		switch {
		case m == nil:
			m = &member{}
			l.nodes[n.ID] = m
		case m.Beat == n.Beat:
			m.silent += passed
		default:
			m.silent = 0
		}
		m.Node = n
		seen[n.ID] = true
		if m.silent >= n.Lease || n.State != "up" && n.State != "draining" && n.Tickets > 0 {
			gone = append(gone, n)
		}
	}
	for id, m := range l.nodes {
		if !seen[id] && m.inUse == 0 {
			delete(l.nodes, id)
		} else if !seen[id] {
			m.State = "left"
		}
	}
	l.mu.Unlock()
	for _, n := range gone {
		l.takeOver(ctx, n)
	}
	l.wake()
	return nil
}

func (l *leader) takeOver(ctx context.Context, n postgres.Node) {
	did, err := l.f.o.Store.TakeOver(ctx, l.term, n.ID, n.Beat)
	if err != nil || !did {
		l.f.o.Log.Debug("node not taken over", "node", n.Name, "error", err)
		return
	}
	l.f.o.Log.Warn("node taken over", "node", n.Name, "id", n.ID, "state", n.State, "jobs", n.Tickets)
	l.mu.Lock()
	if m := l.nodes[n.ID]; m != nil {
		m.State = "silent"
	}
	l.mu.Unlock()
	l.pokeAll()
}

// wake lets Reserve look again.
func (l *leader) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.room)
	l.room = make(chan struct{})
}

// pokeAll lets every job that is out be looked at.
func (l *leader) pokeAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range l.carried {
		poke(one.poke)
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
			case j.State != job.Running:
				waits = append(waits, j)
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
	return l.f.o.Store.Live(ctx, func(j job.Job) bool {
		if j.State != job.Running && !l.pool.Knows(j.ID) {
			l.pool.Add([]job.Job{j})
		}
		return true
	})
}

// place is one that a job can run in, on some node.
type place struct {
	l    *leader
	node int64
}

// Free implements worker.Place.
func (p *place) Free() {
	p.l.mu.Lock()
	if m := p.l.nodes[p.node]; m != nil {
		m.inUse--
	}
	p.l.mu.Unlock()
	p.l.wake()
}

// move makes it a place of another node.
func (p *place) move(node int64) {
	p.l.mu.Lock()
	defer p.l.mu.Unlock()
	if m := p.l.nodes[p.node]; m != nil {
		m.inUse--
	}
	p.node = node
	if m := p.l.nodes[node]; m != nil {
		m.inUse++
	}
}

// Reserve implements worker.Hands: a place on the node that has the most room.
func (l *leader) Reserve(ctx context.Context) (worker.Place, bool) {
	for {
		l.mu.Lock()
		var best *member
		for _, m := range l.nodes {
			free := m.Workers - m.inUse
			if m.State != "up" || free <= 0 || m.silent > m.Lease/2 {
				continue
			}
			if best == nil || free*best.Workers > (best.Workers-best.inUse)*m.Workers {
				best = m
			}
		}
		if best != nil {
			best.inUse++
			l.mu.Unlock()
			return &place{l, best.ID}, ctx.Err() == nil
		}
		room := l.room
		l.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return nil, false
		}
	}
}

// Carry implements worker.Hands: it gives the job to the place's node and waits until its ticket
// is gone.
func (l *leader) Carry(ctx context.Context, in worker.Place, c worker.Carried) *job.Waiting {
	j, p := c.Job(), in.(*place)
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
	} else if !l.assign(ctx, p.node, &j, one) {
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
