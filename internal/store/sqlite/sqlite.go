// Package sqlite keeps deliveries and jobs in one SQLite file, for one process.
//
// All writes go through one goroutine that owns the only writing connection. It takes what is
// waiting, commits it as one transaction with an fsync, and then answers every caller: while one
// commit syncs, the next batch gathers by itself, so no timer is needed (group commit). Reads use
// a few read-only connections that never wait for the writer.
//
// Space that pruning frees is used again; the file does not shrink. Incremental vacuum would add
// a pointer map to every commit and give back little, because retention bounds the file.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// Options change how a store works; the zero value is a good one.
type Options struct {
	// Committed is called by the writer after each commit, before the callers are answered, in
	// commit order, with the jobs that now wait because of it: new ones from Accept, and those
	// that a redelivery or Requeue queued again; and with the jobs that Accept ended, the new ones
	// and those that new ones took the place of. It must return soon, must not keep the slice, and must
	// not write to the store, or the writer waits for itself.
	Committed func([]job.Job)
	// Log hears of what an operator should know; nothing is logged for each write.
	Log *slog.Logger
	// CommitDeadline bounds how long a write waits for its answer, and for a lock that another
	// process holds; 0 is 5 s.
	CommitDeadline time.Duration
	// QueueLen is how many writes may wait; 0 is 1024. Beyond it a write is refused at once.
	QueueLen int

	// Singly gives each write a transaction of its own, so that a benchmark can show what grouping
	// them is worth. There is no other reason to set it.
	Singly bool

	clock     clock // the zero clock is the system's
	runLength int   // of keys; 0 is runLength
}

func (o *Options) setDefaults() {
	if o.Committed == nil {
		o.Committed = func([]job.Job) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.CommitDeadline <= 0 {
		o.CommitDeadline = 5 * time.Second
	}
	if o.QueueLen <= 0 {
		o.QueueLen = 1024
	}
	if o.runLength <= 0 {
		o.runLength = runLength
	}
	o.clock.setDefaults()
}

// Store is a store.Store in one SQLite file. Its methods are safe for concurrent use.
type Store struct {
	reads
	writer *writer
	lock   *lockFile
	log    *slog.Logger

	pruning sync.Mutex // held by Prune; guards jumps and round
	jumps   jumpGuard
	round   pruneRound

	closing sync.Once
	closed  error
}

var _ store.Store = (*Store)(nil)

// Open opens the database at path, creating it (mode 0600) and its folder (mode 0700) when they
// are missing, and brings its schema up to date in one transaction. It refuses a file that
// another process has open, that is no database or another program's, that a newer version
// wrote, or that is on a network file system.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	o.setDefaults()
	s := &Store{log: o.Log, jumps: newJumpGuard(o.clock)}
	if err := s.open(ctx, path, o); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %q: %w", path, err), s.release())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, path string, o Options) (err error) {
	if path, err = prepareFolder(path); err != nil {
		return err
	}
	if s.lock, err = lock(path + ".lock"); err != nil {
		return err
	}
	wal, err := prepareFile(path, o.Log)
	if err != nil {
		return err
	}
	conn, err := openConnection(ctx, path, o.CommitDeadline)
	if err != nil {
		return err
	}
	if s.reads, err = openReads(path); err != nil {
		return errors.Join(err, conn.close())
	}
	if wal > 0 {
		if err = s.reads.quickCheck(ctx, o.Log); err != nil {
			return errors.Join(err, conn.close())
		}
	}
	if err = conn.bringUp(ctx); err != nil {
		return errors.Join(err, conn.close())
	}
	s.writer = newWriter(path, conn, o)
	s.writer.pages = int(wal / pageSize) // a process that is killed again and again would never come to a checkpoint
	s.writer.start()
	return nil
}

// Close refuses further writes, commits those that wait, writes the log back into the database
// file and releases everything. It waits for all of that.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.closed = s.release()
	})
	return s.closed
}

// release closes what has been opened so far, last first.
func (s *Store) release() error {
	var errs []error
	if s.reads.db != nil {
		// Before the writer, so that its last checkpoint meets no reader.
		errs = append(errs, s.reads.close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.release())
	}
	return errors.Join(errs...)
}

// Ready returns nil when the last commit went well and none hangs, or why not. It looks at
// nothing on disk: after a fault the writer tries by itself until it can commit again.
func (s *Store) Ready(context.Context) error { return s.writer.ready() }

// Broken delivers one error when the store can never be trusted again in this process: after an
// I/O error, a corrupt page, or when its file was replaced. Every write fails from then on; the
// daemon should exit and start afresh.
func (s *Store) Broken() <-chan error { return s.writer.broken }

// sameFile reports whether path still names the file of before.
func sameFile(path string, before os.FileInfo) error {
	now, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("database file is gone: %w", err)
	}
	if !os.SameFile(before, now) {
		return errors.New("database file was replaced while it was open")
	}
	return nil
}
