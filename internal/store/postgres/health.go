package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// This file is what the writer does when something is wrong.

// discard gives the connection up: what it would do next is not known. What it had not committed
// is rolled back by that.
func (w *writer) discard() {
	if w.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := w.conn.Close(ctx); err != nil {
		w.opts.Log.Debug("close connection", "error", err)
	}
	w.conn = nil
}

// usable returns nil when there is a connection to write on, and opens it again if it must.
func (w *writer) usable() error {
	if f := w.fault.Load(); f != nil {
		if f.lost {
			return f.err
		}
		if w.conn == nil && time.Since(w.opened) < w.retry {
			return f.err
		}
	}
	if w.conn != nil {
		return nil
	}
	if err := w.reopen(); err != nil {
		w.pause = min(max(2*w.pause, 20*time.Millisecond), longestPause)
		w.retry = time.Since(w.opened) + w.pause
		return fmt.Errorf("connect again: %w", err)
	}
	w.pause = 0
	return nil
}

func (w *writer) reopen() error {
	ctx, cancel := context.WithTimeout(context.Background(), w.opts.CommitDeadline)
	defer cancel()
	conn, err := w.target.connect(ctx, w.opts.CommitDeadline)
	if err != nil {
		return err
	}
	durable, err := checkServer(ctx, conn)
	if err == nil {
		err = takeStore(ctx, conn, w.target)
	}
	if err != nil {
		return errors.Join(err, conn.Close(ctx))
	}
	w.conn = conn
	w.notice(timelineOf(ctx, conn), durable)
	return nil
}

// timelineOf names the history that a server writes: a standby that is promoted begins another, which
// has all of the old one that it had received (PostgreSQL: Continuous Archiving, Timelines). It is ""
// where the server does not tell.
func timelineOf(ctx context.Context, conn *pgx.Conn) (timeline string) {
	err := conn.QueryRow(ctx, "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)").Scan(&timeline)
	if err != nil {
		return ""
	}
	return timeline
}

// notice says that the server has been failed over, and what of it may be lost.
func (w *writer) notice(timeline, durable string) {
	before, confirmed := w.timeline, w.confirmed
	w.confirmed = confirmedByStandby(durable)
	if timeline != "" {
		w.timeline = timeline
	}
	if before == "" || timeline == "" || before == timeline {
		return
	}
	lost := "what was acknowledged shortly before it may be lost, as no standby had to confirm it"
	if confirmed {
		lost = "nothing that was acknowledged is lost, as a standby had to confirm it"
	}
	w.opts.Log.Warn("store was failed over to another server: "+lost, "store", w.target.shown, "timeline", timeline, "timeline_before", before)
}

// takenFor is for how long the lock of the store may be somebody else's before that is believed
// to be another process, and not this one's own lost connection that the server still holds.
const takenFor = time.Minute

// fail remembers why nothing can be committed now, and says so once.
func (w *writer) fail(err error) {
	before := w.fault.Load()
	if before != nil && before.lost {
		return
	}
	now := &faultState{err: err, since: time.Now()}
	if before != nil {
		now.since = before.since
	}
	now.lost = errors.Is(err, errTaken) && time.Since(now.since) > takenFor
	w.fault.Store(now)
	switch {
	case now.lost:
		w.discard()
		w.opts.Log.Error("store is another process's now", "store", w.target.shown, "error", err)
		w.broken <- err
	case before == nil:
		w.opts.Log.Warn("store cannot commit", "store", w.target.shown, "error", err)
	}
}

// ready is for other goroutines.
func (w *writer) ready() error {
	if w.stopping.Load() {
		return unavailable("%w", errClosing)
	}
	if f := w.fault.Load(); f != nil {
		return unavailable("%w", f.err)
	}
	return w.hangs()
}

// hangs returns an error while a commit takes longer than anybody would wait for: those who come
// then are refused at once instead of piling up.
func (w *writer) hangs() error {
	if began := w.began.Load(); began != 0 {
		if d := time.Since(w.opened) - time.Duration(began); d > w.opts.CommitDeadline {
			return unavailable("a commit has been under way for %v", d.Round(time.Millisecond))
		}
	}
	return nil
}

// inspect looks, once a second, whether the connection, which is the store's lock, is still there,
// and after a fault whether it is over, so that a store nobody dares to write to recovers.
func (w *writer) inspect() {
	if f := w.fault.Load(); f != nil && f.lost {
		return
	}
	w.began.Store(int64(time.Since(w.opened)) | 1)
	defer w.began.Store(0)
	err := w.usable()
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), w.opts.CommitDeadline)
		defer cancel()
		if err = w.conn.Ping(ctx); err != nil {
			w.discard()
		}
	}
	if err != nil {
		w.fail(err)
		return
	}
	w.publish(nil)
}

// lostConnectionError is an error that ended the connection.
type lostConnectionError struct{ error }

func (e lostConnectionError) Unwrap() error { return e.error }

// sqlState is the code of an error of the server, "" of any other.
func sqlState(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// isConflict reports that the transaction was undone because of another one, and that it can be
// run again: a deadlock, or a serialization failure.
func isConflict(err error) bool {
	code := sqlState(err)
	return code == "40P01" || code == "40001"
}

// isPoison reports that one row is at fault and not the server: it would fail again, alone.
// Everything that the server does not blame on its surroundings counts, also errors before it.
func isPoison(err error) bool {
	switch code := sqlState(err); {
	case err == nil || errors.Is(err, errTaken) || isLost(err):
		return false
	case len(code) < 2:
		return !isConnection(err)
	case code == "25006": // a read-only transaction: the server has become a standby
		return false
	default:
		switch code[:2] {
		case "08", "25", "40", "53", "55", "57", "58", "XX", "F0":
			return false
		}
		return true
	}
}

func isLost(err error) bool {
	_, lost := errors.AsType[lostConnectionError](err)
	return lost
}

// isConnection reports that the connection is at fault, or that time was up.
func isConnection(err error) bool {
	_, isNet := errors.AsType[net.Error](err)
	_, isConnect := errors.AsType[*pgconn.ConnectError](err)
	return isNet || isConnect || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) ||
		pgconn.SafeToRetry(err) || pgconn.Timeout(err)
}
