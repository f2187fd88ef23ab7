package daemon

import (
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store/sqlite"
)

// TestCatchup_ADaemonThatWasStartedTooOftenLooksBackAllTheSame: one that crashes each second forgets within
// an hour since when it listens. What it took says that it did.
func TestCatchup_ADaemonThatWasStartedTooOftenLooksBackAllTheSame(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "t.db"), sqlite.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	now := time.Now().Truncate(time.Second)
	from := func(since time.Time) time.Time {
		t.Helper()
		heard, err := openListened(t.Context(), db, time.Now, log)
		if err != nil {
			t.Fatal(err)
		}
		got, err := (&Daemon{store: db, heard: heard, started: now}).notBefore(t.Context(), since)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	within := now.Add(-72 * time.Hour)
	if got := from(within); !got.Equal(now) {
		t.Errorf("the first start ever begins at %s", got)
	}
	var all sync.WaitGroup
	for i := range job.MostListened {
		at := now.Add(-time.Duration(i) * time.Second)
		all.Go(func() {
			if err := db.KeepListened(t.Context(), job.Listened{ID: job.NewID(), Since: at, Until: at}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	oldest := now.Add(-time.Duration(job.MostListened-1) * time.Second)
	if got := from(within); !got.Equal(oldest) {
		t.Errorf("one that took nothing yet begins at %s", got)
	}
	d := &job.Delivery{
		ID: job.NewID(), Hook: "site", Key: "1", Window: time.Hour, ReceivedAt: now.Add(-48 * time.Hour), Outcome: job.Ignored, Origin: "request",
		Method: "POST", Path: "/", Secret: -1, Config: "x",
	}
	if _, err := db.Accept(t.Context(), d, nil); err != nil {
		t.Fatal(err)
	}
	if got := from(within); !got.Equal(d.ReceivedAt) {
		t.Errorf("one that took a delivery two days ago begins at %s", got)
	}
	if got := from(now.Add(-time.Minute)); !got.Equal(now.Add(-time.Minute)) {
		t.Errorf("a later round begins at %s", got)
	}
}
