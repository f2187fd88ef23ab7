package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
)

// This file is what the writer does when something is wrong, and to keep it from becoming so.

// discard gives the connection up: what it would do next is not known. What it had not
// committed is rolled back by that.
func (w *writer) discard() {
	if w.conn != nil {
		if err := w.conn.close(); err != nil {
			w.opts.Log.Debug("close connection after fault", "error", err)
		}
		w.conn = nil
	}
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
	conn, err := w.reopen()
	if err != nil {
		w.pause = min(max(2*w.pause, 20*time.Millisecond), longestPause)
		w.retry = time.Since(w.opened) + w.pause
		return fmt.Errorf("open again: %w", err)
	}
	w.conn, w.pause = conn, 0
	return nil
}

func (w *writer) reopen() (*connection, error) {
	if err := sameFile(w.path, w.file); err != nil {
		return nil, lostError{err}
	}
	ctx, cancel := context.WithTimeout(context.Background(), w.opts.CommitDeadline)
	defer cancel()
	conn, err := openConnection(ctx, w.path, w.opts.CommitDeadline)
	if err != nil {
		return nil, err
	}
	if err := conn.prepare(ctx); err != nil {
		return nil, errors.Join(err, conn.close())
	}
	return conn, nil
}

// fail remembers why nothing can be committed now, and says so once.
func (w *writer) fail(err error) {
	before := w.fault.Load()
	if before != nil && before.lost {
		return
	}
	now := &faultState{err: err, lost: isLost(err)}
	w.fault.Store(now)
	switch {
	case now.lost:
		w.discard()
		w.opts.Log.Error("store broken", "path", w.path, "error", err)
		w.broken <- err
	case before == nil:
		w.opts.Log.Warn("store cannot commit", "path", w.path, "error", err)
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

// inspect looks, once a second, whether the file is still there, and after a fault whether it is
// over, so that a store nobody dares to write to recovers.
func (w *writer) inspect() {
	f := w.fault.Load()
	if f != nil && f.lost {
		return
	}
	if err := sameFile(w.path, w.file); err != nil {
		w.fail(lostError{err})
		return
	}
	if f == nil {
		return
	}
	probe := &write{op: probe{}, reply: make(chan error, 1)}
	w.commit([]*write{probe})
}

// probe writes one page and leaves nothing behind but proof that it can be done.
type probe struct{}

func (probe) told() []job.Job { return nil }

func (probe) apply(c *connection, _ *jumpGuard) error {
	_, err := c.conn.ExecContext(context.Background(), "PRAGMA application_id = "+fmt.Sprint(applicationID))
	return err
}

// checkpointIfDue keeps the log short. The callers have been answered by now; the next batch
// gathers meanwhile.
func (w *writer) checkpointIfDue() {
	if w.conn == nil {
		return
	}
	if w.pages += w.conn.written(); w.pages < checkpointPages {
		return
	}
	w.pages = 0
	pages, err := w.conn.checkpoint("PASSIVE")
	if err != nil {
		if !isBusy(err) {
			w.fail(err)
		}
		return
	}
	if pages > alarmPages != w.alarmed {
		w.alarmed = !w.alarmed
		if w.alarmed {
			w.opts.Log.Warn("store's log cannot shrink: something reads for a long time", "path", w.path+"-wal", "pages", pages)
		}
	}
}
