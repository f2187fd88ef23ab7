package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

const (
	maxBatch      = 512
	maxBatchBytes = 4 << 20

	// fairTurn is after how many batches the low queue and the inspection get an equal chance
	// against a queue that is never empty.
	fairTurn = 32

	inspectEvery = time.Second
	longestPause = 2 * time.Second // between attempts to connect again
)

// operation is one thing to write, inside a transaction, perhaps more than once: first its
// statement, in one pipeline with those of its neighbours; then answer, which is told what came
// back; and then, when answer asks for it, finish, which has the connection for itself. At the
// end what told returns is told to Options.Committed.
//
// An error of answer or finish that wraps store.ErrNotFound or store.ErrFenced is an answer: the
// operation changed nothing and its neighbours are not touched. Any other undoes them.
type operation interface {
	// statement returns the one statement, "" for none. key orders the statements of a batch, so
	// that two processes lock rows in the same order.
	statement() (sql string, args []any, key string)
	answer(rows pgx.Rows) (more bool, err error)
	finish(ctx context.Context, tx pgx.Tx) error
	told() []job.Job
}

// ruled is an operation whose finish decides by what is remembered of a rule. The rule is locked
// before, so that no two processes decide at once.
type ruled interface {
	// rules names the rules by hook and name, or the job whose rule it is.
	rules() (rules [][2]string, job string)
}

// none are the methods of an operation that has nothing else to do.
type none struct{}

func (none) finish(context.Context, pgx.Tx) error { return nil }
func (none) told() []job.Job                      { return nil }

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
	err   error      // of the operation, when it is an answer
	reply chan error // of capacity 1: the writer never waits for a caller
}

// writer owns the connection that writes. Its fields below reply to nobody but its goroutine,
// except those marked as shared.
type writer struct {
	target   target
	opened   time.Time
	opts     Options
	high     chan *write // shared
	low      chan *write // shared; pruning
	stop     chan struct{}
	done     chan struct{}
	broken   chan error                 // shared; of capacity 1
	fault    atomic.Pointer[faultState] // shared; nil when the last commit went well
	began    atomic.Int64               // shared; how long after opened the commit under way began, 0 when none is
	stopping atomic.Bool                // shared

	conn      *pgx.Conn // nil until it is opened again
	timeline  string    // of the server, "" while it is not known
	confirmed bool      // a standby has to confirm each commit
	retry     time.Duration
	pause     time.Duration
	batch     []*write
}

// faultState is why the writer cannot commit.
type faultState struct {
	err   error
	lost  bool // for good
	since time.Time
}

func newWriter(t target, conn *pgx.Conn, o Options) *writer {
	return &writer{
		target: t, opened: time.Now(), opts: o, conn: conn,
		high: make(chan *write, o.QueueLen), low: make(chan *write, 1),
		stop: make(chan struct{}), done: make(chan struct{}), broken: make(chan error, 1),
	}
}

func (w *writer) start() { go w.run() }

// close makes the writer commit what waits and end, and waits for it.
func (w *writer) close() error {
	w.stopping.Store(true)
	close(w.stop)
	<-w.done
	return nil
}

func unavailable(format string, a ...any) error {
	return fmt.Errorf("%w: %w", store.ErrUnavailable, fmt.Errorf(format, a...))
}

var errClosing = errors.New("the store is closing")

// do hands op to the writer and waits for its answer, at most until the deadline.
func (w *writer) do(ctx context.Context, op operation, size int) error {
	return w.hand(ctx, op, size, w.high)
}

// doLow is do for what may wait until nothing else does.
func (w *writer) doLow(ctx context.Context, op operation) error { return w.hand(ctx, op, 0, w.low) }

func (w *writer) hand(ctx context.Context, op operation, size int, queue chan *write) error {
	if err := ctx.Err(); err != nil {
		return unavailable("%w", err)
	}
	if w.stopping.Load() {
		return unavailable("%w", errClosing)
	}
	if f := w.fault.Load(); f != nil && f.lost {
		return unavailable("%w", f.err)
	}
	if err := w.hangs(); err != nil {
		return err
	}
	wr := &write{op: op, size: size, reply: make(chan error, 1)}
	select {
	case queue <- wr:
	default:
		return unavailable("%d writes wait already", cap(queue))
	}
	return w.await(ctx, wr)
}

func (w *writer) await(ctx context.Context, wr *write) error {
	deadline := time.NewTimer(w.opts.CommitDeadline)
	defer deadline.Stop()
	select {
	case err := <-wr.reply:
		return err
	case <-ctx.Done():
		return wr.leave(ctx.Err())
	case <-deadline.C:
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
				continue
			default:
			}
		}
		select {
		case wr := <-w.high:
			w.commit(w.gather(wr))
		case wr := <-w.low:
			w.commit(w.gather(wr))
		case <-inspect.C:
			w.inspect()
		case <-w.stop:
			w.end()
			return
		}
	}
}

// gather takes what waits behind first, without waiting for more.
func (w *writer) gather(first *write) []*write {
	w.batch = w.batch[:0]
	size := 0
	for wr := first; ; {
		if wr.stage.CompareAndSwap(queued, taken) {
			w.batch = append(w.batch, wr)
			size += wr.size
		}
		if len(w.batch) == maxBatch || size >= maxBatchBytes {
			return w.batch
		}
		select {
		case wr = <-w.high:
		default:
			return w.batch
		}
	}
}

// tries is how often a write is tried that another process's write undid.
const tries = 5

// commit writes a batch and answers everyone in it.
func (w *writer) commit(batch []*write) {
	if len(batch) == 0 {
		return
	}
	w.began.Store(int64(time.Since(w.opened)) | 1)
	defer w.began.Store(0)
	err := w.usable()
	for range tries {
		if err == nil {
			err = w.transact(batch)
		}
		if !isConflict(err) {
			break
		}
		err = w.usable()
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
}

// publish tells what now waits, and then the callers, in commit order.
func (w *writer) publish(batch []*write) {
	if w.fault.Swap(nil) != nil {
		w.opts.Log.Info("store commits again", "store", w.target.shown)
	}
	var jobs []job.Job
	for _, wr := range batch {
		if wr.err == nil {
			jobs = append(jobs, wr.op.told()...)
		}
	}
	if len(jobs) > 0 {
		w.opts.Committed(jobs)
	}
	for _, wr := range batch {
		wr.reply <- wr.err
	}
}

// transact runs a batch as one transaction. After an error nothing of it is on disk, except
// after an error of COMMIT, when nobody knows.
func (w *writer) transact(batch []*write) error {
	ctx, cancel := context.WithTimeout(context.Background(), w.opts.CommitDeadline)
	defer cancel()
	tx, err := w.conn.Begin(ctx)
	if err != nil {
		w.discard()
		return lostConnectionError{fmt.Errorf("begin: %w", err)}
	}
	if err := apply(ctx, tx, batch); err != nil {
		if w.conn.IsClosed() {
			err = lostConnectionError{err}
		}
		if undo := tx.Rollback(ctx); undo != nil || !isPoison(err) && !isConflict(err) {
			w.discard()
		}
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		w.discard()
		if sqlState(err) == "" { // nobody knows whether it happened
			err = lostConnectionError{err}
		}
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// apply runs the operations of a batch: their statements in one pipeline, in the order of their
// keys, and then what one statement could not decide, in the order they came.
func apply(ctx context.Context, tx pgx.Tx, batch []*write) error {
	if err := lockRules(ctx, tx, batch); err != nil {
		return err
	}
	more, err := pipeline(ctx, tx, batch)
	if err != nil {
		return err
	}
	for _, wr := range more {
		if err := wr.settle(wr.op.finish(ctx, tx)); err != nil {
			return err
		}
	}
	return nil
}

// settle keeps an error that is an answer, and returns any other.
func (wr *write) settle(err error) error {
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrFenced) {
		wr.err = err
		return nil
	}
	return err
}

// pipeline sends every statement at once. It returns the writes that are not done yet, in the
// order of batch.
func pipeline(ctx context.Context, tx pgx.Tx, batch []*write) (more []*write, err error) {
	type sent struct {
		*write
		sql  string
		args []any
		key  string
		more bool
	}
	all := make([]*sent, len(batch))
	for i, wr := range batch {
		wr.err = nil
		all[i] = &sent{write: wr}
		all[i].sql, all[i].args, all[i].key = wr.op.statement()
	}
	ordered := slices.Clone(all)
	slices.SortStableFunc(ordered, func(a, b *sent) int {
		switch {
		case a.key < b.key:
			return -1
		case a.key > b.key:
			return 1
		}
		return 0
	})
	var b pgx.Batch
	for _, s := range ordered {
		if s.more = s.sql == ""; !s.more {
			b.Queue(s.sql, s.args...)
		}
	}
	results := tx.SendBatch(ctx, &b)
	for _, s := range ordered {
		if s.sql == "" {
			continue
		}
		rows, err := results.Query()
		if err == nil {
			s.more, err = s.op.answer(rows)
			rows.Close()
			if rows.Err() != nil {
				err = rows.Err()
			}
		}
		if err = s.settle(err); err != nil {
			_ = results.Close()
			return nil, err
		}
	}
	if err := results.Close(); err != nil {
		return nil, err
	}
	for _, s := range all {
		if s.more && s.err == nil {
			more = append(more, s.write)
		}
	}
	return more, nil
}

// end commits what waits and closes the connection.
func (w *writer) end() {
	for {
		select {
		case wr := <-w.high:
			w.commit(w.gather(wr))
			continue
		case wr := <-w.low:
			w.commit(w.gather(wr))
			continue
		default:
		}
		w.discard()
		return
	}
}
