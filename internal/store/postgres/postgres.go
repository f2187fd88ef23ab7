// Package postgres keeps deliveries and jobs in a PostgreSQL database.
//
// All writes of a process go through one goroutine that owns one connection. It takes what is
// waiting, sends it as one pipeline in one transaction, and then answers every caller: while one
// commit syncs, the next batch gathers by itself (group commit). So a write costs a share of
// three round trips, however many wait. Reads use a few read-only connections beside it.
//
// How to add a method. One that reads is a query in the file of its subject: take r.pool, a
// bounded context, scan. One that writes is a type with the three methods of operation: its one
// statement that decides everything (pipelined with its neighbours'), what that statement's answer
// means, and, only if one statement cannot decide, what is done after it inside the transaction. What is
// rare needs no type: script runs a function inside the transaction.
// Plain SQL, no procedures. Text that comes from outside goes through encodeText and decodeText,
// because PostgreSQL refuses some bytes; an id goes through knownID; a time through nullTime. A
// change of the tables is a new file in schema/, never an edit of one that was released.
package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// Options change how a store works; the zero value is a good one.
type Options struct {
	// Committed is called by the writer after each commit, before the callers are answered, in
	// commit order, with the jobs that now wait because of it: new ones from Accept, and those
	// that a redelivery or Requeue queued again; and with the jobs that Accept ended, the new ones
	// and those that new ones took the place of. It must return soon and must not write to the
	// store, or the writer waits for itself.
	Committed func([]job.Job)
	// Log hears of what an operator should know; nothing is logged for each write.
	Log *slog.Logger
	// CommitDeadline bounds how long a write waits for its answer; 0 is 5 s.
	CommitDeadline time.Duration
	// Shared lets several processes write, which package fleet keeps apart. Without it the process
	// has the store for itself.
	Shared bool
	// QueueLen is how many writes may wait; 0 is 1024. Beyond it a write is refused at once.
	QueueLen int
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
}

// Store is a store.Store in a PostgreSQL database. Its methods are safe for concurrent use.
type Store struct {
	reads
	writer  *writer
	side    *pgxpool.Pool // for what must not wait behind the writer
	target  target
	channel string // of notes
	sender  string // of this process's
	durable string
	node    *atomic.Int64 // that starts jobs only by its tickets; 0 for none

	clock atomic.Int64 // microseconds by which it is ahead of the database's here

	listens atomic.Bool // somebody follows here what happens

	closing sync.Once
	closed  error
}

var _ store.Store = (*Store)(nil)

// Open connects to the database that url names (postgres://user:password@host/database, also
// several hosts with commas; the one that can be written to is taken), makes its schema when it is
// missing and brings it up to date in one transaction. The tables are in the schema tenterhook,
// or in the first one of the URL's search_path.
//
// It refuses a server that does not keep what it has committed (fsync off), one that cannot be
// written to (a standby), tables of a newer version, and, unless both are Shared, a database that
// another process has open as its store: the writing connection holds a lock for as long as it
// lives. No error holds the password.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	o.setDefaults()
	s := &Store{node: &atomic.Int64{}}
	if err := s.open(ctx, url, o); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", Shown(url), err), s.release())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, url string, o Options) error {
	target, err := parse(url)
	if err != nil {
		return err
	}
	conn, err := target.connect(ctx, o.CommitDeadline)
	if err != nil {
		return err
	}
	target.shared, s.target, s.channel = o.Shared, target, "tenterhook_"+target.schema
	s.sender = rand.Text()[:senderLen]
	if s.durable, err = bringUp(ctx, conn, target); err != nil {
		return errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
	}
	if s.reads, err = openReads(ctx, target, pgconn.ValidateConnectTargetSessionAttrsPrimary); err != nil {
		return errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
	}
	if s.side, err = openSide(ctx, target); err != nil {
		return errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
	}
	s.writer = newWriter(target, conn, o)
	s.writer.timeline, s.writer.confirmed = timelineOf(ctx, conn), confirmedByStandby(s.durable)
	s.writer.start()
	return nil
}

// Durability says in words what a commit survives.
func (s *Store) Durability() string { return s.durable }

// Close refuses further writes, commits those that wait and releases everything. It waits for
// all of that.
func (s *Store) Close() error {
	s.closing.Do(func() { s.closed = s.release() })
	return s.closed
}

func (s *Store) release() error {
	var err error
	if s.writer != nil {
		err = s.writer.close()
	}
	for _, pool := range []*pgxpool.Pool{s.side, s.pool} {
		if pool != nil {
			pool.Close()
		}
	}
	return err
}

// Ready returns nil when the last commit went well and none hangs, or why not. It asks nothing of
// the server: after a fault the writer tries by itself until it can commit again.
func (s *Store) Ready(context.Context) error { return s.writer.ready() }

// Broken delivers one error when the store can never be written to again by this process: when
// another one has taken it over. The daemon should exit.
func (s *Store) Broken() <-chan error { return s.writer.broken }

// ActAs makes Start ask for a ticket of the node: only the one that a job was given to may start it.
func (s *Store) ActAs(node int64) { s.node.Store(node) }
