package daemon

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store/sqlite"
)

// TestListened_AProcessThatStoodStillHasAGap runs the heartbeat on a clock of its own, which
// leaps as the wall clock does over a machine's sleep.
func TestListened_AProcessThatStoodStillHasAGap(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	synctest.Test(t, func(t *testing.T) {
		log := slog.New(slog.NewTextHandler(io.Discard, nil))
		db, err := sqlite.Open(t.Context(), path, sqlite.Options{Log: log})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		l, err := openListened(t.Context(), db, time.Now, log)
		if err != nil {
			t.Fatal(err)
		}
		first := time.Now()
		span := l.once(t.Context(), job.Listened{})
		for range 10 {
			time.Sleep(15 * time.Second)
			span = l.once(t.Context(), span)
		}
		if gaps := l.Gaps(); len(gaps) != 0 {
			t.Fatalf("gaps while it listened: %v", gaps)
		}
		time.Sleep(time.Hour)
		span = l.once(t.Context(), span)
		gaps := l.Gaps()
		if len(gaps) != 1 || gaps[0].Length() != time.Hour || !gaps[0].From.Equal(first.Add(150*time.Second)) {
			t.Fatalf("gaps after it stood still for an hour: %v", gaps)
		}
		again, err := openListened(t.Context(), db, time.Now, log)
		if err != nil {
			t.Fatal(err)
		}
		if got := again.Gaps(); len(got) != 1 || !again.lastRun().Equal(span.Until) {
			t.Fatalf("read again: gaps %v, last run %v", got, again.lastRun())
		}
	})
}

// TestListened_TheLastHeartbeatIsTheStop ends the loop between two heartbeats.
func TestListened_TheLastHeartbeatIsTheStop(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	synctest.Test(t, func(t *testing.T) {
		log := slog.New(slog.NewTextHandler(io.Discard, nil))
		db, err := sqlite.Open(t.Context(), path, sqlite.Options{Log: log})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		l, err := openListened(t.Context(), db, time.Now, log)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
		defer cancel()
		l.beat(ctx, l.begin(ctx))
		spans, err := db.Listened(t.Context())
		if err != nil || len(spans) != 1 || !spans[0].Since.Equal(began) || spans[0].Until.Sub(began) != 40*time.Second {
			t.Fatalf("spans %v, %v", spans, err)
		}
	})
}
