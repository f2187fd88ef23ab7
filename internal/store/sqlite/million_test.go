package sqlite

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// rowsForLists is how many deliveries the lists are measured over: TENTERHOOK_ROWS, else few.
func rowsForLists(b *testing.B) int {
	b.Helper()
	n, err := strconv.Atoi(os.Getenv("TENTERHOOK_ROWS"))
	if err != nil {
		return 20_000
	}
	return n
}

// BenchmarkLists asks for the pages of lists that people ask for, over many deliveries:
//
//	TENTERHOOK_ROWS=1000000 go test ./internal/store/sqlite -run '^$' -bench Lists
//
// Of the deliveries one in a thousand is of the hook "rare", and "old" has only the first
// hundred; six in ten have a job, of which one in five hundred failed.
func BenchmarkLists(b *testing.B) {
	n := rowsForLists(b)
	path := filepath.Join(b.TempDir(), "t.db")
	fillLists(b, path, n)
	s := open(b, path, Options{})
	ctx := context.Background()
	at := epoch.Add(time.Duration(n/2) * time.Second)
	middle, err := s.Deliveries(ctx, store.Filter{Until: at, Limit: 1})
	if err != nil || len(middle) != 1 {
		b.Fatal(middle, err)
	}
	for _, list := range []struct {
		name string
		f    store.Filter
	}{
		{"newest", store.Filter{}},
		{"middle", store.Filter{Cursor: middle[0].ID}},
		{"hook", store.Filter{Hook: "site"}},
		{"rare-hook", store.Filter{Hook: "rare"}},
		{"old-hook", store.Filter{Hook: "old"}},
		{"no-hook", store.Filter{Hook: "none"}},
		{"event", store.Filter{Event: "push"}},
		{"no-event", store.Filter{Event: "none"}},
		{"hook-event", store.Filter{Hook: "rare", Event: "push"}},
		{"ignored", store.Filter{Outcome: job.Ignored}},
		{"failed", store.Filter{State: job.Failed}},
		{"rule-failed", store.Filter{Rule: "deploy", State: job.Failed}},
		{"no-rule", store.Filter{Rule: "none"}},
		{"interrupted", store.Filter{State: job.Interrupted}},
		{"running", store.Filter{State: job.Running}},
		{"since", store.Filter{Since: epoch.Add(time.Duration(n-100) * time.Second)}},
		{"until-middle", store.Filter{Until: at}},
		{"between", store.Filter{Since: at.Add(-time.Hour), Until: at}},
	} {
		b.Run("deliveries/"+list.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Deliveries(ctx, list.f); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("jobs/"+list.name, func(b *testing.B) {
			f := list.f
			f.Cursor = ""
			for b.Loop() {
				if _, err := s.Jobs(ctx, f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("jobs/of-a-delivery", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Jobs(ctx, store.Filter{Delivery: middle[0].ID}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// fillLists makes a store of n deliveries, one a second, by SQL: through Accept it would take
// minutes.
func fillLists(b *testing.B, path string, n int) {
	b.Helper()
	if err := open(b, path, Options{}).Close(); err != nil {
		b.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, statement := range []string{
		"PRAGMA synchronous = OFF",
		`CREATE TEMP TABLE n AS WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < ` + strconv.Itoa(n) + `) SELECT i FROM c`,
		`INSERT INTO delivery (seq, id, hook, key, key_window, on_duplicate, event, received_at, outcome, origin, method, path, query, ip, secret, config, header, verdicts, size)
			SELECT i, unhex(printf('019c00007000%020x', i)), CASE WHEN i <= 100 THEN 'old' WHEN i % 1000 = 0 THEN 'rare' WHEN i % 10 = 0 THEN 'shop' ELSE 'site' END,
				'k' || i, 0, 'skip', CASE i % 3 WHEN 0 THEN 'push' WHEN 1 THEN 'issues' ELSE 'ping' END, ` + strconv.FormatInt(encodeTime(epoch), 10) + ` + i * 1000000,
				CASE WHEN i % 10 < 6 THEN 'accepted' ELSE 'ignored' END, 'request', 'POST', '/github', '', '192.0.2.1', 0, '0123456789ab', NULL,
				'[{"rule":"deploy","verdict":"match"}]', 2000 FROM n`,
		`INSERT INTO job (id, delivery, hook, rule, state, reason, attempt, since, run_at, created_at, started_at, finished_at, error, concurrency_key, superseded_by, replay_of, node)
			SELECT unhex(printf('019c00007001%020x', seq)), seq, hook, 'deploy', CASE WHEN seq % 500 = 1 THEN 'failed' WHEN seq % 100000 = 2 THEN 'interrupted' ELSE 'succeeded' END, '', 1, 0,
				received_at, received_at, received_at, received_at, '', '', '', '', 'here' FROM delivery WHERE outcome = 'accepted'`,
	} {
		if _, err := db.Exec(statement); err != nil {
			b.Fatal(err)
		}
	}
}
