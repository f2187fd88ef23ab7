package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/tenterhook/tenterhook/internal/crashpoint"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

const (
	maxBatch      = 512
	maxBatchBytes = 4 << 20

	// fairTurn is after how many batches the low queue and the inspection get an equal chance
	// against a queue that is never empty.
	fairTurn = 32

	// quickCommit is below which time of a commit it is better to let others join the next one first.
	// With a slow disk it is better to sync for one half of the callers while the other half comes.
	quickCommit = 4 * time.Millisecond

	// companyWithin bounds how long a batch waits for what is said to come, see accompanied.
	companyWithin = 500 * time.Microsecond

	checkpointPages = 1000 // SQLite's own default
	alarmPages      = 64 << 20 / pageSize
	inspectEvery    = time.Second
	longestPause    = 2 * time.Second // between attempts to open the connection again
)

// operation is one thing to write. apply runs inside a transaction, perhaps more than once, and
// then what told returns is told to Options.Committed.
//
// An error of apply that wraps store.ErrNotFound or store.ErrFenced is an answer: the operation
// changed nothing and its neighbours in the transaction are not touched. Any other undoes them.
type operation interface {
	apply(c *connection, now *jumpGuard) error
	told() []job.Job
}

// settler is an operation that changes what the connection knows, once it is on disk.
type settler interface {
	committed(c *connection)
}

// accompanied is an operation that is likely to be one of so many that come within a moment. A batch
// of nothing else waits for them, so that they share a commit.
type accompanied interface {
	company() int
}

// The stages of a write.
const (
	queued int32 = iota
	taken        // in a transaction: it may happen whatever its caller does
	left         // its caller has gone before: it will not happen
)

// write is an operation on its way through the writer.
type write struct {
	op    operation
	size  int
	stage atomic.Int32
	err   error      // of apply, when it is an answer
	reply chan error // of capacity 1: the writer never waits for a caller
}

// writer owns the connection that writes. Its fields below reply to nobody but its goroutine,
// except those marked as shared.
type writer struct {
	path      string
	opened    time.Time
	file      os.FileInfo // to notice that the file was replaced
	opts      Options
	high      chan *write // shared
	low       chan *write // shared; pruning
	stop      chan struct{}
	done      chan struct{}
	broken    chan error                 // shared; of capacity 1
	fault     atomic.Pointer[faultState] // shared; nil when the last commit went well
	began     atomic.Int64               // shared; how long after opened the commit under way began, 0 when none is
	stopping  atomic.Bool                // shared
	deadlines deadlines                  // shared

	conn  *connection // nil until it is opened again
	retry time.Duration
	pause time.Duration
	batch []*write
	jobs  []job.Job     // of publish
	pages int           // of the log since the last checkpoint, those of earlier processes too
	took  time.Duration // of the last commit
	// unindexed is by how many keys the tail of the index may be longer than a run, after a fault.
	unindexed int
	alarmed   bool
	now       jumpGuard
	closed    error
}

// faultState is why the writer cannot commit.
type faultState struct {
	err  error
	lost bool // for good
}

func newWriter(path string, conn *connection, o Options) *writer {
	file, _ := os.Stat(path)
	return &writer{
		path: path, opened: time.Now(), file: file, opts: o, conn: conn,
		high: make(chan *write, o.QueueLen), low: make(chan *write, 1),
		stop: make(chan struct{}), done: make(chan struct{}), broken: make(chan error, 1),
		now: newJumpGuard(o.clock), deadlines: deadlines{span: o.CommitDeadline},
	}
}

func (w *writer) start() { go w.run() }

// close makes the writer commit what waits and end, and waits for it.
func (w *writer) close() error {
	w.stopping.Store(true)
	close(w.stop)
	<-w.done
	w.deadlines.stop()
	return w.closed
}

func unavailable(format string, a ...any) error {
	return fmt.Errorf("%w: %w", store.ErrUnavailable, fmt.Errorf(format, a...))
}

var errClosing = errors.New("the store is closing")

// do hands op to the writer and waits for its answer, at most until the deadline.
func (w *writer) do(ctx context.Context, op operation, size int) error {
	wr, err := w.enter(ctx, op, size)
	if err != nil {
		return err
	}
	select {
	case w.high <- wr:
	default:
		return unavailable("%d writes wait already", cap(w.high))
	}
	return w.await(ctx, wr)
}

// doLow is do for what may wait until nothing else does.
func (w *writer) doLow(ctx context.Context, op operation) error {
	wr, err := w.enter(ctx, op, 0)
	if err != nil {
		return err
	}
	select {
	case w.low <- wr:
	default:
		return unavailable("another one waits already")
	}
	return w.await(ctx, wr)
}

func (w *writer) enter(ctx context.Context, op operation, size int) (*write, error) {
	if err := ctx.Err(); err != nil {
		return nil, unavailable("%w", err)
	}
	if w.stopping.Load() {
		return nil, unavailable("%w", errClosing)
	}
	if f := w.fault.Load(); f != nil && f.lost {
		return nil, unavailable("%w", f.err)
	}
	if err := w.hangs(); err != nil {
		return nil, err
	}
	return &write{op: op, size: size, reply: make(chan error, 1)}, nil
}

func (w *writer) await(ctx context.Context, wr *write) error {
	select {
	case err := <-wr.reply:
		return err
	case <-ctx.Done():
		return wr.leave(ctx.Err())
	case <-w.deadlines.end():
		return wr.leave(fmt.Errorf("no commit within %v", w.opts.CommitDeadline))
	case <-w.done:
		return wr.leave(errClosing)
	}
}

// leave ends the wait for an answer, unless it is there.
func (wr *write) leave(why error) error {
	if wr.stage.CompareAndSwap(queued, left) {
		return unavailable("%w", why)
	}
	select {
	case err := <-wr.reply:
		return err
	default:
		return unavailable("%w; the write may still happen", why)
	}
}

// run is the writer's goroutine.
func (w *writer) run() {
	defer close(w.done)
	inspect := time.NewTicker(inspectEvery)
	defer inspect.Stop()
	for turn := 1; ; turn++ {
		if turn%fairTurn != 0 {
			select {
			case wr := <-w.high:
				w.commit(w.gather(wr))
				w.indexKeysIfDue()
				continue
			default:
			}
		}
		select {
		case wr := <-w.high:
			w.commit(w.gather(wr))
			w.indexKeysIfDue()
		case wr := <-w.low:
			if wr.stage.CompareAndSwap(queued, taken) {
				w.commit([]*write{wr})
			}
		case <-inspect.C:
			w.inspect()
		case <-w.stop:
			w.finish()
			return
		}
	}
}

// gather takes what waits behind first, without waiting for more, unless it is said to come at once.
func (w *writer) gather(first *write) []*write {
	w.batch = w.batch[:0]
	size, company := 0, maxBatch
	var late *time.Timer
	if w.took < quickCommit {
		runtime.Gosched() // those who can run and are about to write shall be in it; with nobody there this costs nothing
	}
	for wr := first; ; {
		if wr.stage.CompareAndSwap(queued, taken) {
			w.batch = append(w.batch, wr)
			size += wr.size
			company = min(company, companyOf(wr.op))
		}
		if len(w.batch) == maxBatch || size >= maxBatchBytes || w.opts.Singly && len(w.batch) > 0 {
			return w.batch
		}
		select {
		case wr = <-w.high:
			continue
		default:
		}
		if len(w.batch) == 0 || len(w.batch) >= company || w.took >= quickCommit {
			return w.batch
		}
		if late == nil {
			late = time.NewTimer(companyWithin)
			defer late.Stop()
		}
		select {
		case wr = <-w.high:
		case <-late.C:
			return w.batch
		case <-w.stop:
			return w.batch
		}
	}
}

// companyOf is how many of its kind an operation is likely to be one of.
func companyOf(op operation) int {
	if a, ok := op.(accompanied); ok {
		return a.company()
	}
	return 0
}

// commit writes a batch and answers everyone in it.
func (w *writer) commit(batch []*write) {
	if len(batch) == 0 {
		return
	}
	w.began.Store(int64(time.Since(w.opened)) | 1)
	defer w.began.Store(0)
	err := w.usable()
	if err == nil {
		err = w.transact(batch)
	}
	switch {
	case err == nil:
		w.publish(batch)
	case isPoison(err) && len(batch) > 1:
		// One row is bad, and which one is not known: each stands for itself now.
		for i := range batch {
			w.commit(batch[i : i+1])
		}
	case isPoison(err):
		batch[0].reply <- err
	default:
		w.fail(err)
		for _, wr := range batch {
			wr.reply <- unavailable("%w", err)
		}
	}
	w.checkpointIfDue()
}

// publish tells what now waits, and then the callers, in commit order.
func (w *writer) publish(batch []*write) {
	if w.fault.Swap(nil) != nil {
		w.opts.Log.Info("store commits again", "path", w.path)
	}
	w.jobs = w.jobs[:0]
	for _, wr := range batch {
		if wr.err != nil {
			continue
		}
		w.jobs = append(w.jobs, wr.op.told()...)
		if op, ok := wr.op.(settler); ok {
			op.committed(w.conn)
		}
	}
	if len(w.jobs) > 0 {
		w.opts.Committed(w.jobs)
		clear(w.jobs) // what they hold is not the writer's
	}
	for _, wr := range batch {
		wr.reply <- wr.err
	}
}

// transact runs a batch as one transaction. After an error nothing of it is on disk, except
// after an error of COMMIT, when nobody knows.
func (w *writer) transact(batch []*write) error {
	c := w.conn
	deliverySeq, jobSeq := c.deliverySeq, c.jobSeq
	crashpoint.Reach(crashpoint.BeforeBegin)
	if _, err := c.begin.Exec(); err != nil {
		if !isBusy(err) {
			w.discard()
		}
		return fmt.Errorf("begin: %w", err)
	}
	for _, wr := range batch {
		wr.err = nil
		err := wr.op.apply(c, &w.now)
		if err == nil {
			crashpoint.Reach(crashpoint.AfterInsert)
			continue
		}
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrFenced) {
			wr.err = err
			continue
		}
		c.deliverySeq, c.jobSeq = deliverySeq, jobSeq
		if _, undo := c.rollback.Exec(); undo != nil || !isPoison(err) {
			w.discard()
		}
		return err
	}
	crashpoint.Reach(crashpoint.BeforeCommit)
	began := time.Now()
	if _, err := c.commit.Exec(); err != nil {
		w.discard()
		return fmt.Errorf("commit: %w", err)
	}
	w.took = time.Since(began)
	crashpoint.Reach(crashpoint.AfterCommit)
	return nil
}

// finish commits what waits and closes the connection.
func (w *writer) finish() {
	for {
		select {
		case wr := <-w.high:
			w.commit(w.gather(wr))
			continue
		case wr := <-w.low:
			if wr.stage.CompareAndSwap(queued, taken) {
				w.commit([]*write{wr})
			}
			continue
		default:
		}
		break
	}
	if w.conn == nil {
		if f := w.fault.Load(); f != nil {
			w.closed = f.err
		}
		return
	}
	_, err := w.conn.checkpoint("TRUNCATE")
	w.closed = errors.Join(err, w.conn.close())
}
