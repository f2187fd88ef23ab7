package daemon_test

import (
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store/sqlite"
)

// listenedUntil writes into a store that no daemon has that one listened, as a run that was killed
// leaves it.
func listenedUntil(t *testing.T, dir string, since, until time.Time) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(dir, "t.db"), sqlite.Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	must(t, err)
	must(t, db.KeepListened(t.Context(), job.Listened{ID: job.NewID(), Since: since, Until: until}))
	must(t, db.Close())
}

func TestGaps_ADaemonThatStartsSaysForHowLongNobodyListened(t *testing.T) {
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+siteHook)
	last := time.Now().Add(-time.Hour).Truncate(time.Second)
	listenedUntil(t, dir, last.Add(-time.Hour), last)
	r := startIn(t, dir)
	r.eventually("the gap", func() bool { return len(r.status().Gaps) == 1 })
	s := r.status()
	if !s.LastRunAt.Equal(last) || !s.Gaps[0].From.Equal(last) || s.Gaps[0].Seconds < 3600 || s.Gaps[0].Seconds > 4000 {
		t.Fatalf("last run %v, gaps %+v", s.LastRunAt, s.Gaps)
	}
	if log := r.log.String(); !strings.Contains(log, "did not listen: what senders do not repeat is lost") {
		t.Errorf("log: %s", log)
	}
	if _, metrics := r.admin("../../metrics"); !strings.Contains(metrics, "tenterhook_listener_gap_seconds 36") ||
		!strings.Contains(metrics, "tenterhook_listener_gap_end_timestamp_seconds 1.") {
		t.Errorf("metrics have no gap")
	}
}

func TestGaps_AFirstRunHasNone(t *testing.T) {
	r := start(t, siteHook)
	r.eventually("a heartbeat", func() bool {
		_, metrics := r.admin("../../metrics")
		return strings.Contains(metrics, "tenterhook_build_info") && !strings.Contains(metrics, "tenterhook_listener_gap")
	})
	if s := r.status(); len(s.Gaps) != 0 || !s.LastRunAt.IsZero() {
		t.Fatalf("gaps %+v, last run %v", s.Gaps, s.LastRunAt)
	}
}
