package postgres

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/postgres/postgrestest"
)

// refused opens a store that must be refused, with an error that says why.
func refused(t *testing.T, url, why string) {
	t.Helper()
	s, err := Open(t.Context(), url, Options{})
	if err == nil {
		_ = s.Close()
	}
	if err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("Open: %v, want an error about %q", err, why)
	}
}

func TestOpen_RefusesAServerThatCannotBeTrusted(t *testing.T) {
	server := postgrestest.Own(t)
	open(t, server.URL, Options{})
	standby := server.Standby(t)
	refused(t, standby, "standby")
	r, err := OpenReader(t.Context(), standby)
	if err != nil {
		t.Fatalf("read a standby: %v", err)
	}
	if _, err := r.Deliveries(t.Context(), store.Filter{}); err != nil {
		t.Errorf("read a standby: %v", err)
	}
	_ = r.Close()
	postgrestest.Exec(t, server.URL, "ALTER SYSTEM SET fsync = off")
	postgrestest.Exec(t, server.URL, "SELECT pg_reload_conf(), pg_sleep(0.3)")
	refused(t, server.URL+"?search_path=another", "fsync off")
}

func TestOpen_RefusesADatabaseThatIsOpenElsewhere(t *testing.T) {
	url := postgrestest.Schema(t)
	first := open(t, url, Options{})
	refused(t, url, "another process has the store open")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, url, Options{})
	if durable, err := Examine(t.Context(), url); err != nil || !strings.Contains(durable, "flushed") {
		t.Errorf("Examine: %q, %v", durable, err)
	}
}

func TestOpen_RefusesTablesThatAreNotItsOwn(t *testing.T) {
	url := postgrestest.Schema(t)
	_, schema, _ := strings.Cut(url, "search_path=")
	postgrestest.Exec(t, url, "CREATE SCHEMA "+schema)
	postgrestest.Exec(t, url, "CREATE TABLE other (i int)")
	refused(t, url, "tables of another program")
	postgrestest.Exec(t, url, "DROP TABLE other")
	if err := open(t, url, Options{}).Close(); err != nil {
		t.Fatal(err)
	}
	postgrestest.Exec(t, url, "UPDATE schema_version SET version = 1000")
	refused(t, url, "a newer version of this program wrote it")
}

func TestOpen_NeverShowsThePassword(t *testing.T) {
	const password = "correct-horse-battery"
	for _, url := range []string{
		"postgres://u:" + password + "@127.0.0.1:1/db", "postgres://u:" + password + "@127.0.0.1:port/db",
		"postgres://u:" + password + "@%zz/db", "postgres://127.0.0.1:1/db?user=u&password=" + password,
		"postgres://u:" + password + "@127.0.0.1:1/db?sslmode=nonsense", "postgres://u:" + password + "@127.0.0.1:1/db?pool_max_conns=x",
	} {
		_, err := Open(t.Context(), url, Options{})
		if err == nil || strings.Contains(err.Error(), password) {
			t.Errorf("Open: %v", err)
		}
		if shown := Shown(url); strings.Contains(shown, password) {
			t.Errorf("Shown: %s", shown)
		}
	}
}

func TestOpen_DoesNotTrustALazyCommit(t *testing.T) {
	target, err := parse(postgrestest.Schema(t) + "&synchronous_commit=off")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := target.connect(t.Context(), patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	durable, err := checkServer(t.Context(), conn)
	if err != nil || !strings.Contains(durable, "flushed to the server's disk; no standby confirms them") {
		t.Errorf("%q, %v", durable, err)
	}
	var sync string
	if err := conn.QueryRow(t.Context(), "SHOW synchronous_commit").Scan(&sync); err != nil || sync != "on" {
		t.Errorf("synchronous_commit is %s, %v", sync, err)
	}
}

func TestMigrate_TakesEveryStepOrNone(t *testing.T) {
	target, err := parse(postgrestest.Schema(t))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := target.connect(t.Context(), patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	texts, err := steps()
	if err != nil {
		t.Fatal(err)
	}
	if err := migrate(t.Context(), conn, target.schema, append(texts, "CREATE TABLE late (i int); SELECT 1/0")); err == nil {
		t.Fatal("a step that fails is no error")
	}
	var tables int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_tables WHERE schemaname = $1", target.schema).Scan(&tables); err != nil || tables != 0 {
		t.Errorf("%d tables are left, %v", tables, err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			other, err := target.connect(context.Background(), patience)
			if err != nil {
				t.Error(err)
				return
			}
			defer other.Close(context.Background())
			if err := migrate(context.Background(), other, target.schema, texts); err != nil {
				t.Errorf("beside others: %v", err)
			}
		})
	}
	all.Wait()
}

func TestStore_KeepsTextOfAnyBytes(t *testing.T) {
	s := open(t, postgrestest.Schema(t), Options{})
	for _, odd := range []string{"a\x00b", "\xff\xfe", "\x01", "\x01abc", "é", strings.Repeat("k\x00", 3000)} {
		d := newDelivery(odd)
		d.Event, d.Path, d.Query, d.IP, d.Method = odd, odd, odd, odd, odd
		jobs := newJob(d)
		jobs[0].ConcurrencyKey, jobs[0].Reason = odd, odd
		if _, err := s.Accept(t.Context(), d, jobs); err != nil {
			t.Fatal(err)
		}
		id := jobs[0].ID
		must(t, s.Start(t.Context(), store.StartMark{Job: id, Attempt: 1, At: epoch}))
		must(t, s.Finish(t.Context(), store.Ended{Job: id, Attempt: 1, At: epoch, Next: job.Failed, Error: odd, Reason: odd}))
		got, err := s.Delivery(t.Context(), d.ID)
		must(t, err)
		d.JobIDs = []string{id}
		if diff := cmp.Diff(*d, got); diff != "" {
			t.Errorf("delivery (-want +got):\n%s", diff)
		}
		j, err := s.Job(t.Context(), id)
		must(t, err)
		as, err := s.Attempts(t.Context(), id)
		must(t, err)
		if j.ConcurrencyKey != odd || j.Reason != odd || j.Error != odd || as[0].Error != odd {
			t.Errorf("%q came back as %q %q %q %q", odd, j.ConcurrencyKey, j.Reason, j.Error, as[0].Error)
		}
		found, err := s.Deliveries(t.Context(), store.Filter{Event: odd})
		if must(t, err); len(found) != 1 {
			t.Errorf("%d deliveries of event %q", len(found), odd)
		}
		c := &job.Controls{Throttle: &job.Pace{Limit: 1, Per: 1e9, Burst: 1}}
		e := newDelivery("")
		jobs = newJob(e)
		jobs[0].Controls, jobs[0].Keys = c, job.Keys{Throttle: "t"}
		_, err = s.Accept(t.Context(), e, jobs)
		must(t, err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestRestart_LosesNothingThatWasAcknowledged restarts the server under load, as a crash does.
func TestRestart_LosesNothingThatWasAcknowledged(t *testing.T) {
	server := postgrestest.Own(t)
	s := open(t, server.URL, Options{})
	ctx, stop := context.WithCancel(t.Context())
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		acked []string
		odd   []error
	)
	for range 8 {
		all.Go(func() {
			for ctx.Err() == nil {
				d := newDelivery(job.NewID())
				err := put(s, d)
				mu.Lock()
				if err == nil {
					acked = append(acked, d.ID)
				} else if !errors.Is(err, store.ErrUnavailable) {
					odd = append(odd, err)
				}
				mu.Unlock()
			}
		})
	}
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(acked) }
	for range 3 {
		before := count()
		server.Restart(t)
		eventually(t, "accepts after a restart", func() bool { return count() > before+100 })
	}
	stop()
	all.Wait()
	for _, err := range odd {
		t.Errorf("a restart is answered with %v", err)
	}
	conn, err := pgx.Connect(t.Context(), server.URL)
	must(t, err)
	defer conn.Close(context.Background())
	var kept int
	must(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM tenterhook.delivery WHERE id = ANY($1::uuid[])", acked).Scan(&kept))
	if kept != len(acked) {
		t.Errorf("of %d acknowledged deliveries %d are there", len(acked), kept)
	}
	t.Logf("%d acknowledged over 3 crashes of the server, none lost", kept)
}
