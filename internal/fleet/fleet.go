// Package fleet lets several daemons work on one PostgreSQL store as if they were one.
//
// One of them leads: it alone decides which job runs next, with the same job.Flow that a single
// daemon has in memory, rebuilt from the store when it begins to lead. What it decides it writes:
// a ticket gives one job to one node. The node runs it and records its end, which takes the ticket
// away; the leader sees that and decides on. So every flow control holds over all nodes because
// one Flow decides, and no attempt starts twice because of three fences in the store:
//
//   - The start of an attempt names the attempt before it, and locks the node's ticket.
//   - A ticket is written only while the leader's term is the current one.
//   - A node that was silent for its lease is taken over: its tickets go, in a transaction that
//     waits for starts under way, and no later start finds one.
//
// Silence is counted by who watches, on its own clock that never jumps, and only while it can ask
// the database: clocks are never compared, and an outage of the database is nobody's silence. A
// node that cannot reach the database ends what it runs before its lease is over.
//
// River (riverqueue.com) was to carry the tickets. Its jobs are taken over when they have run for
// longer than any job may, an hour by default, not when their node is silent for seconds, and
// river_test.go shows it; what is left of it then, claiming a row and being told of it, is the few
// statements of store/postgres/fleet.go, in the transactions that the fences need.
//
// Notes between the nodes (LISTEN and NOTIFY) only make it fast. Whatever a note says is also
// found by looking, every few seconds.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/postgres"
	"github.com/tenterhook/tenterhook/internal/worker"
)

// DefaultLease is after how much silence a node's jobs are taken over.
const DefaultLease = 10 * time.Second

// beats is how often a node says within its lease that it lives.
const beats = 5

// Options are what a Fleet is made of.
type Options struct {
	Store  *postgres.Store // opened as Shared
	Node   postgres.Node   // Name, Labels, Workers, Lease and Version count
	Log    *slog.Logger
	Digest func() string // of the configuration in force
	// Every are the rules in force that run on each node with a label.
	Every func() []Every
	// OpenLog opens the whole output of an attempt that ran here.
	OpenLog func(job string, attempt int) (*os.File, error)
	// Asked answers what another node asks of the daemon of the leader; false when it cannot.
	Asked func(ctx context.Context, kind, subject string) (answer string, ok bool)
	// Listens reports whether somebody here listens to what happens; OnHappened is told what
	// happened on other nodes, nil when some of it is lost.
	Listens    func() bool
	OnHappened func([]postgres.Happened)
	// OnConfig is told that another node has put a configuration into the store. It must not block.
	OnConfig func()
	// OnPause is called when another node changed what is paused.
	OnPause func(context.Context)
	// Watch may put something around the store of the leader.
	Watch func(*postgres.Led) worker.Store
	// Worker makes the node's own pool; Node, Released, Holds and Hands are set here.
	Worker worker.Options
}

// Fleet is this daemon as one node of many. It does what a worker.Pool does for a single one. Make
// it with New, call Recover, then Run.
type Fleet struct {
	o      Options
	pool   *worker.Pool
	teller *teller
	broken chan error

	id         atomic.Int64 // this life of the node
	began      time.Time
	clockWrong bool         // of live alone
	beaten     atomic.Int64 // how long after began the last beat that was heard was sent
	leader     atomic.Pointer[leader]
	counts     atomic.Pointer[map[job.State]int] // as the store had them a moment ago
	nodes      atomic.Pointer[[]postgres.Node]   // the same

	asker       *asker
	questions   chan struct{} // capacity 1: perhaps this node was asked
	happened    chan []int64  // on other nodes; what does not fit is lost
	listens     bool          // of live alone
	toldListens bool          // the same

	tickets chan struct{} // capacity 1: perhaps there are other tickets
	nudge   chan struct{} // capacity 1: perhaps nobody leads
	pauses  chan struct{} // capacity 1: perhaps other rules are paused

	mu       sync.Mutex
	seen     map[int64]*taken   // tickets that were taken
	held     map[string][]int64 // the same by job, in the order they came
	released []int64            // tickets that are to be given back
	over     []int64            // Seqs of jobs that are over here
	freed    chan struct{}      // capacity 1: released has some
}

// New makes a Fleet. It starts nothing.
func New(o Options) *Fleet {
	if o.Node.Lease <= 0 {
		o.Node.Lease = DefaultLease
	}
	f := &Fleet{
		o: o, broken: make(chan error, 1), began: time.Now(), seen: map[int64]*taken{}, held: map[string][]int64{},
		asker: newAsker(), questions: make(chan struct{}, 1), happened: make(chan []int64, 256), toldListens: true,
		tickets: make(chan struct{}, 1), freed: make(chan struct{}, 1), nudge: make(chan struct{}, 1), pauses: make(chan struct{}, 1),
	}
	f.teller = newTeller(o.Store, f.heard)
	o.Worker.Store = orStore(o.Worker.Store, o.Store)
	f.o.Worker.Store = o.Worker.Store
	o.Worker.Node, o.Worker.Workers = o.Node.Name, o.Node.Workers
	o.Worker.Released, o.Worker.Holds = f.release, f.holds
	f.pool = worker.New(o.Worker)
	return f
}

func orStore(s worker.Store, otherwise *postgres.Store) worker.Store {
	if s == nil {
		return otherwise
	}
	return s
}

// Broken delivers an error when the daemon must end: another one has its name.
func (f *Fleet) Broken() <-chan error { return f.broken }

// Leads reports whether this node decides for all.
func (f *Fleet) Leads() bool { return f.leader.Load() != nil }

// Recover ends what an earlier life of this node left running, and makes the node known. What the
// earlier life had been given is taken over by the leader then.
func (f *Fleet) Recover(ctx context.Context) (worker.Report, error) {
	var report worker.Report
	if err := f.alone(ctx); err != nil {
		return report, err
	}
	left, err := f.o.Store.TicketsOfName(ctx, f.o.Node.Name)
	if err != nil {
		return report, err
	}
	if f.o.Worker.Sweep != nil && len(left) > 0 {
		ids := make([]string, len(left))
		for i := range left {
			ids[i] = left[i].Job.ID
		}
		if report.Swept, err = f.o.Worker.Sweep(ctx, ids); err != nil {
			return report, fmt.Errorf("end left-over processes: %w", err)
		}
	}
	counts, err := f.o.Store.Counts(ctx)
	if err != nil {
		return report, err
	}
	f.counts.Store(&counts)
	f.lookAround(ctx)
	report.Waiting = counts[job.Queued] + counts[job.Scheduled]
	return report, f.register(ctx)
}

// Run runs jobs until fetch ends, and returns once the end of everything that runs here has been
// recorded. When work ends, what runs is ended.
func (f *Fleet) Run(fetch, work context.Context) error {
	ctx, stop := context.WithCancel(context.WithoutCancel(fetch))
	var all sync.WaitGroup
	all.Go(func() { f.teller.run(ctx) })
	all.Go(func() { f.listen(ctx) })
	all.Go(func() { f.giveBack(ctx) })
	all.Go(func() { f.takeTickets(ctx, fetch) })
	all.Go(func() { f.live(ctx, fetch) })
	all.Go(func() { f.watchSilence(ctx) })
	all.Go(func() { f.watchAwaited(ctx) })
	all.Go(func() { f.answerAll(ctx) })
	all.Go(func() { f.hearHappened(ctx) })
	err := f.pool.Run(fetch, work)
	f.giveBackAll()
	leave, cancel := context.WithTimeout(context.WithoutCancel(fetch), f.o.Node.Lease)
	defer cancel()
	if left := f.o.Store.Leave(leave, f.id.Load()); left != nil {
		f.o.Log.Warn("leave the fleet", "error", left)
	}
	f.teller.tell(postgres.Note{Kind: postgres.NoteNodes})
	stop()
	all.Wait()
	f.teller.send(leave)
	return err
}

// Committed is told by the store of the jobs that a commit of this node has made wait or end.
func (f *Fleet) Committed(jobs []job.Job) {
	seqs := make([]int64, len(jobs))
	var ended []job.Job
	for i := range jobs {
		seqs[i] = jobs[i].Seq
		if jobs[i].State.Terminal() {
			ended = append(ended, jobs[i])
		}
	}
	f.pool.Settled(ended)
	f.teller.tell(postgres.Note{Kind: postgres.NoteJobs, IDs: seqs})
}

// heardOther is told of the notes of other nodes.
func (f *Fleet) heardOther(n postgres.Note) {
	if n.Kind != postgres.NoteHappened {
		f.heard(n)
		return
	}
	if !f.o.Listens() {
		return
	}
	select {
	case f.happened <- n.IDs:
	default:
		f.o.OnHappened(nil)
	}
}

// heard is told of every note, its own too.
func (f *Fleet) heard(n postgres.Note) {
	switch n.Kind {
	case postgres.NoteTickets:
		for _, id := range n.IDs {
			if id == f.id.Load() {
				poke(f.tickets)
			}
		}
	case postgres.NoteNodes:
		poke(f.nudge)
	case postgres.NotePauses:
		poke(f.pauses)
	case postgres.NoteQuestions:
		if slices.Contains(n.IDs, f.id.Load()) {
			poke(f.questions)
		}
	case postgres.NoteConfig:
		f.o.OnConfig()
	case postgres.NoteAnswers:
		f.asker.answered(n.IDs)
	}
	if l := f.leader.Load(); l != nil {
		l.heard(n)
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// listen hears notes until ctx ends.
func (f *Fleet) listen(ctx context.Context) {
	for ctx.Err() == nil {
		err := f.o.Store.Listen(ctx, func() {
			poke(f.tickets)
			if l := f.leader.Load(); l != nil {
				poke(l.look)
			}
		}, f.heardOther)
		if ctx.Err() == nil {
			f.o.Log.Debug("notes are not heard, only looked for", "error", err)
			pause(ctx, time.Second)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// watchAwaited tells who waits here for the end of jobs that end on other nodes.
func (f *Fleet) watchAwaited(ctx context.Context) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for _, id := range f.pool.Awaited() {
			j, err := f.o.Store.Job(ctx, id)
			if err != nil || !j.State.Terminal() {
				continue
			}
			done := worker.Done{Job: id, State: j.State, Reason: j.Reason, ExitCode: j.ExitCode}
			if attempts, err := f.o.Store.Attempts(ctx, id); err == nil && len(attempts) > 0 {
				done.Output = attempts[len(attempts)-1].Output
			}
			f.pool.Tell(done)
		}
	}
}

// Cancel ends a job wherever it waits or runs. See worker.Pool.Cancel.
func (f *Fleet) Cancel(ctx context.Context, id, reason string) error {
	now := time.Now()
	err := f.o.Worker.Store.Settle(ctx, store.Settle{Job: id, At: now, Next: job.Cancelled, Reason: reason})
	if err == nil {
		if j, err := f.o.Store.Job(ctx, id); err == nil {
			f.pool.Settled([]job.Job{j})
			f.teller.tell(postgres.Note{Kind: postgres.NoteJobs, IDs: []int64{j.Seq}})
		}
		return nil
	}
	if !errors.Is(err, store.ErrFenced) {
		return err
	}
	node, err := f.o.Store.Cancelled(ctx, id, reason)
	if err != nil {
		return err
	}
	f.teller.tell(postgres.Note{Kind: postgres.NoteTickets, IDs: []int64{node}})
	return nil
}

// SetPaused says which rules start nothing; the store has it already.
func (f *Fleet) SetPaused(pauses []job.Pause) {
	if l := f.leader.Load(); l != nil {
		l.pool.SetPaused(pauses)
	}
}

// TellConfig tells the other nodes that there is another configuration in the store.
func (f *Fleet) TellConfig() { f.teller.tell(postgres.Note{Kind: postgres.NoteConfig}) }

// TellPaused tells the other nodes that what is paused has changed.
func (f *Fleet) TellPaused() { f.teller.tell(postgres.Note{Kind: postgres.NotePauses}) }

// Expect begins to watch for the end of jobs, wherever they run.
func (f *Fleet) Expect(ids []string) *worker.Expectation { return f.pool.Expect(ids) }

// Counts is how many jobs of all nodes are in each state that has not ended, a moment ago.
func (f *Fleet) Counts() map[job.State]int { return *f.counts.Load() }

// mostLive bounds the jobs that have not ended.
const mostLive = 100_000

// Full reports whether no further job should be taken.
func (f *Fleet) Full() bool {
	n := 0
	for _, count := range f.Counts() {
		n += count
	}
	return n >= mostLive
}
