package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/postgres/postgrestest"
	"github.com/tenterhook/tenterhook/internal/store/sqlite"
)

// filled is a SQLite store with something in every table.
func filled(t *testing.T, deliveries int) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "t.db"), sqlite.Options{})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	c := &job.Controls{Debounce: &job.Debounce{Quiet: time.Minute, MaxWait: time.Hour, Keep: job.KeepLast}, Once: &job.Once{Window: time.Hour}}
	for i := range deliveries {
		d := newDelivery(fmt.Sprintf("key %d \x00", i))
		d.Body = []byte(strings.Repeat("body ", i%2000))
		d.Size, d.ReceivedAt = len(d.Body), epoch.Add(time.Duration(i)*time.Millisecond)
		d.Path, d.Verdicts = "/\xff", []job.RuleVerdict{{Rule: "a", Verdict: job.Match, Match: "true"}}
		d.Params, d.Withheld = map[string]string{"a": "b"}, []string{"X"}
		jobs := newJob(d)
		if i%3 == 0 {
			jobs[0].Controls, jobs[0].Keys = c, job.Keys{Debounce: fmt.Sprint("d", i%7), Once: fmt.Sprint("o\x00", i)}
		}
		if i%3 == 2 {
			jobs[0].Reports = "github-status,github-deployment"
		}
		_, err := s.Accept(t.Context(), d, jobs)
		must(t, err)
		if i%3 != 1 {
			continue
		}
		id, two := jobs[0].ID, 2
		must(t, s.Start(t.Context(), store.StartMark{Job: id, Attempt: 1, At: epoch, Node: "n", Config: "c"}))
		must(t, s.Finish(t.Context(), store.Ended{Job: id, Attempt: 1, At: epoch, Next: job.Failed, Error: "\x00", ExitCode: &two, Output: []byte("out"), FollowUps: true}))
		u := job.FollowUp{Attempt: 1, Step: 1, Try: 1, Event: "on_failure", Kind: "run", StartedAt: epoch}
		must(t, s.BeginFollowUp(t.Context(), id, u))
		u.FinishedAt, u.Output = epoch, []byte("u")
		must(t, s.EndFollowUp(t.Context(), id, u))
		must(t, s.Conclude(t.Context(), id, epoch))
	}
	fillSenderSide(t, s)
	must(t, s.SetPause(t.Context(), job.Pause{Hook: "deploy", Since: epoch, Reason: "r"}, true))
	for i := range 5 {
		_, err = s.Audit(t.Context(), job.AuditEntry{At: epoch, Who: "w", Subject: fmt.Sprint(i)})
		must(t, err)
	}
	_, err = s.Prune(t.Context(), store.Retention{Audit: 3}, epoch)
	must(t, err)
	must(t, s.KeepRejects(t.Context(), []job.Reject{{ID: job.NewID(), At: epoch, IP: "::1", Status: 401, Size: -1, Count: 2, LastAt: epoch}}, 10))
	must(t, s.KeepReplay(t.Context(), job.Replay{ID: job.NewID(), CreatedAt: epoch, Status: job.ReplayDone}))
	return s
}

// fillSenderSide stores what belongs to the sender's side: held deliveries in each of their states,
// reports that were told and that are to be told again, when somebody listened, and the rest.
func fillSenderSide(t *testing.T, s *sqlite.Store) {
	t.Helper()
	var ids []string
	for i := range 4 {
		d := newDelivery(fmt.Sprintf("held %d", i))
		d.Held = &job.Held{At: epoch, Scheme: "https", Host: "hooks.example.com", RawPath: "/a%2fb", Sealed: []byte{0, 1, byte(i)}}
		_, err := s.Accept(t.Context(), d, nil)
		must(t, err)
		ids = append(ids, d.ID)
	}
	_, err := s.TakeHeld(t.Context(), job.Taking{Hooks: []string{"deploy"}, Taker: "laptop", Most: 3, Bytes: 1 << 20, At: epoch, Until: epoch.Add(time.Minute)})
	must(t, err)
	for state, id := range map[job.HeldState]string{job.HeldAcknowledged: ids[0], job.HeldRefused: ids[1]} {
		_, err = s.SettleHeld(t.Context(), job.HeldEnd{Hooks: []string{"deploy"}, Deliveries: []string{id}, State: state, Reason: "r\x00", At: epoch})
		must(t, err)
	}
	due, err := s.DueReports(t.Context(), epoch, 2)
	must(t, err)
	due[0].Error, due[0].Tries, due[0].NextAt, due[0].At = "busy\x00", 1, epoch.Add(time.Hour), epoch
	due[1].Reached, due[1].Remote, due[1].At, due[1].Open = job.StageWaiting, "7", epoch, false
	must(t, s.SetReport(t.Context(), due[0]))
	must(t, s.SetReport(t.Context(), due[1]))
	must(t, s.KeepListened(t.Context(), job.Listened{ID: job.NewID(), Since: epoch, Until: epoch.Add(time.Hour)}))
	must(t, s.SetExpectation(t.Context(), job.Expectation{Hook: "deploy", Since: epoch, Silent: epoch.Add(time.Hour)}, true))
	must(t, s.SetExpectation(t.Context(), job.Expectation{Hook: "other", Since: epoch, Last: epoch}, true))
	must(t, s.SetPosition(t.Context(), job.Position{Hook: "deploy", Source: "gosmee:00", Place: "17-0"}, true))
}

// content is everything of a store that can be asked for.
func content(t *testing.T, s store.Store) (all []any) {
	t.Helper()
	add := func(v any, err error) {
		t.Helper()
		must(t, err)
		all = append(all, v)
	}
	for cursor := ""; ; {
		page, err := s.Deliveries(t.Context(), store.Filter{Limit: 500, Cursor: cursor})
		must(t, err)
		for _, d := range page {
			add(s.Delivery(t.Context(), d.ID))
			if held, err := s.Holding(t.Context(), d.ID); !errors.Is(err, store.ErrNotFound) {
				add(held, err)
			}
			for _, id := range d.JobIDs {
				add(s.Job(t.Context(), id))
				add(s.Reports(t.Context(), id))
				add(s.Attempts(t.Context(), id))
				add(s.FollowUps(t.Context(), id))
			}
			cursor = d.ID
		}
		if len(page) < 500 {
			break
		}
	}
	add(s.Pauses(t.Context()))
	add(s.AuditLog(t.Context(), 0, 500))
	add(s.AuditAnchor(t.Context()))
	add(s.Rejects(t.Context(), store.Filter{}))
	add(s.Replays(t.Context()))
	add(s.HeldCounts(t.Context(), epoch))
	add(s.DueReports(t.Context(), epoch.Add(2*time.Hour), 500))
	add(s.Listened(t.Context()))
	add(s.Expectations(t.Context()))
	add(s.Positions(t.Context()))
	return all
}

func TestImport_CopiesEverythingAndGoesOnWhereItWasBrokenOff(t *testing.T) {
	from := filled(t, 1300)
	url := postgrestest.Schema(t)
	ctx, breakOff := context.WithCancel(t.Context())
	_, err := Import(ctx, url, from, "t.db", func(done, _ int) {
		if done > 1000 {
			breakOff()
		}
	})
	if err == nil {
		t.Fatal("it was not broken off")
	}
	if _, err := Import(t.Context(), url, from, "other.db", func(int, int) {}); err == nil || !strings.Contains(err.Error(), "a part of another store") {
		t.Errorf("another source goes on with it: %v", err)
	}
	last := 0
	sum, err := Import(t.Context(), url, from, "t.db", func(done, all int) {
		if done < last || done > all {
			t.Errorf("progress went from %d to %d of %d", last, done, all)
		}
		last = done
	})
	must(t, err)
	if sum.Before < 500 || sum.Rows == 0 || sum.Checked != sum.Before+sum.Rows {
		t.Errorf("it came to %+v", sum)
	}
	to := open(t, url, Options{})
	if diff := gocmp.Diff(content(t, from), content(t, to), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the stores differ (-sqlite +postgres):\n%.3000s", diff)
	}
	if r, err := to.Accept(t.Context(), newDelivery("key 7 \x00"), nil); err != nil || !r.Duplicate {
		t.Errorf("a key is not remembered: %+v, %v", r, err)
	}
	after := job.Taking{Hooks: []string{"deploy"}, Taker: "server", Most: 10, Bytes: 1 << 20, At: epoch.Add(time.Hour), Until: epoch.Add(2 * time.Hour)}
	if taken, err := to.TakeHeld(t.Context(), after); err != nil || len(taken) != 2 {
		t.Errorf("%d held deliveries can be taken, %v", len(taken), err)
	}
	must(t, put(to, newDelivery("new"))) // numbered behind the others
	if _, err := Import(t.Context(), url, from, "t.db", func(int, int) {}); err == nil {
		t.Error("a store in use is imported into")
	}
}

// TestImport_KnowsEveryTable: who adds one to the SQLite store decides here what becomes of it.
func TestImport_KnowsEveryTable(t *testing.T) {
	known := map[string]bool{"body": true, "dedupe_run": true, "dedupe_salt": true} // with the deliveries; how SQLite finds keys
	for _, table := range importedTables {
		known[cmp.Or(table.counted, table.name)] = true
	}
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "t.db"), sqlite.Options{})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	rows, err := s.Rows(t.Context(), "sqlite_schema", []string{"name", "type"}, []string{"name"}, nil, 500)
	must(t, err)
	for _, row := range rows {
		if name := fmt.Sprint(row[0]); row[1] == "table" && !strings.HasPrefix(name, "sqlite_") && !known[name] {
			t.Errorf("table %s is not copied", name)
		}
	}
}

func TestImport_FindsWhatIsNotAsInTheSource(t *testing.T) {
	from := filled(t, 600)
	url := postgrestest.Schema(t)
	ctx, breakOff := context.WithCancel(t.Context())
	_, _ = Import(ctx, url, from, "t.db", func(done, _ int) {
		if done >= 500 {
			breakOff()
		}
	})
	postgrestest.Exec(t, url, "UPDATE delivery SET query = 'changed' WHERE seq = 17")
	_, err := Import(t.Context(), url, from, "t.db", func(int, int) {})
	if err == nil || !strings.Contains(err.Error(), "delivery: the row 17 is not as it is in the source") {
		t.Errorf("a changed row is found as %v", err)
	}
}
