package daemon_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store/postgres"
	"github.com/tenterhook/tenterhook/internal/store/postgres/postgrestest"
)

// withStandby starts a server and a standby that confirms every commit of it, and returns the URL that
// leads to whichever can be written to, too.
func withStandby(t *testing.T) (server *postgrestest.Server, standby, both string) {
	t.Helper()
	server = postgrestest.Own(t)
	standby = server.Standby(t)
	postgrestest.Exec(t, server.URL, "ALTER SYSTEM SET synchronous_standby_names = '*'")
	postgrestest.Exec(t, server.URL, "SELECT pg_reload_conf()")
	return server, standby, either(server.URL, standby)
}

// either is the URL of whichever of two servers can be written to.
func either(server, standby string) string {
	host := func(url string) string { return strings.TrimSuffix(url[strings.Index(url, "@")+1:], "/tenterhook") }
	return strings.Replace(server, host(server), host(server)+","+host(standby), 1) + "?target_session_attrs=read-write"
}

// promote makes a standby the server, which no other one has to confirm.
func promote(t *testing.T, standby string) {
	t.Helper()
	postgrestest.Exec(t, standby, "ALTER SYSTEM SET synchronous_standby_names = ''")
	postgrestest.Exec(t, standby, "SELECT pg_promote()")
}

// TestPostgres_K7_AFailoverLosesNothingThatWasAcknowledged has a standby that confirms every commit,
// crashes the server under load and promotes the standby. The daemon finds the new server by itself.
func TestPostgres_K7_AFailoverLosesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	server, standby, both := withStandby(t)
	dir := onPostgres(t, both, "")
	ledger := filepath.Join(dir, "ledger")
	write(t, filepath.Join(dir, "hooks.yaml"), read(t, filepath.Join(dir, "hooks.yaml"))+fmt.Sprintf(crashHooks, ledger))
	p := launch(t, dir)

	var serial, accepted, unknown atomic.Int64
	var acked sync.Map
	ctx, cancel := context.WithCancel(t.Context())
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for ctx.Err() == nil { // hammer ends with each failure
				hammer(ctx, p.url, &serial, &acked, &accepted, &unknown)
			}
		})
	}
	eventually(t, "acknowledgements", func() bool { return accepted.Load() > int64(100+rand.IntN(100)) })
	server.Crash(t)
	before := accepted.Load()
	promote(t, standby)
	within(t, time.Minute, "deliveries to be taken by the new server", func() bool { return accepted.Load() > before+50 })
	cancel()
	senders.Wait()
	s, err := postgres.OpenReader(t.Context(), standby)
	must(t, err)
	defer func() { _ = s.Close() }()
	within(t, 2*time.Minute, "every job to end", func() bool {
		counts, err := s.Counts(t.Context())
		return err == nil && total(counts) == 0
	})
	acked.Range(func(id, path any) bool {
		if j, err := s.Job(t.Context(), id.(string)); err != nil || j.State != job.Succeeded && j.State != job.Interrupted {
			t.Errorf("acknowledged job %s of %s: %+v %v", id, path, j, err)
		}
		return true
	})
	starts := map[string]bool{}
	for line := range strings.Lines(read(t, ledger)) {
		if starts[line] {
			t.Errorf("attempt began twice: %s", line)
		}
		starts[line] = true
	}
	if log := p.log.String(); strings.Count(log, "nothing that was acknowledged is lost") != 1 {
		t.Error("the log does not say once that nothing is lost")
	}
	p.end(t)
	none(t, accepted.Load(), "deliveries was lost in a failover to a standby that confirms commits")
}

// TestPostgres_K6_AFailoverToAStandbyThatLagsIsTold has a standby that confirms nothing and no longer
// hears of the server, acknowledges deliveries, crashes the server and promotes the standby. What was
// acknowledged in between is lost, which the log says; its jobs do not run, because nothing would know
// of them; a sender's redelivery is taken as new and runs once; and everything else goes on.
func TestPostgres_K6_AFailoverToAStandbyThatLagsIsTold(t *testing.T) {
	t.Parallel()
	server := postgrestest.Own(t)
	standby := server.Standby(t)
	dir := onPostgres(t, either(server.URL, standby), "")
	ledger := filepath.Join(dir, "ledger")
	write(t, ledger, "")
	write(t, filepath.Join(dir, "hooks.yaml"), read(t, filepath.Join(dir, "hooks.yaml"))+fmt.Sprintf(`hooks:
  - {name: site, path: /site, verify: none, dedupe: {key: '${{ payload.id }}'}, run: 'echo "$ID" >> %s', env: {ID: '${{ payload.id }}'}}
`, ledger))
	r := startIn(t, dir)
	push := func(id string) (answer, error) {
		return send("POST", r.url("/site"), fmt.Sprintf(`{"id":%q}`, id), map[string]string{"Content-Type": "application/json"})
	}
	taken := func(id string) {
		t.Helper()
		if a, err := push(id); err != nil || a.status != http.StatusAccepted {
			t.Fatalf("%s is answered %d %s %v", id, a.status, a.body, err)
		}
	}
	runs := func(id string) int { return strings.Count(read(t, ledger), id+"\n") }
	taken("before")
	eventually(t, "the job before to run", func() bool { return runs("before") == 1 })
	must(t, r.client.SetPause(t.Context(), "site", "", true))
	cutOff(t, server.URL, standby)
	for i := range 5 {
		taken(fmt.Sprint("lost", i))
	}
	server.Crash(t)
	postgrestest.Exec(t, standby, "SELECT pg_promote()")
	within(t, time.Minute, "the new server to take deliveries", func() bool {
		a, err := push("after")
		return err == nil && (a.status == http.StatusAccepted || a.status == http.StatusOK)
	})
	taken("lost0")                                  // its sender saw no effect, and sends it again
	eventually(t, "the pause to end", func() bool { // a connection that only reads may still be the old server's
		return r.client.SetPause(t.Context(), "site", "", false) == nil
	})
	within(t, time.Minute, "what is stored to run", func() bool { return runs("after") == 1 && runs("lost0") == 1 })
	taken("last")
	within(t, time.Minute, "the last to run", func() bool { return runs("last") == 1 })
	within(t, time.Minute, "nothing to wait any more", func() bool {
		s, err := r.client.Status(t.Context())
		return err == nil && total(s.Jobs) == 0
	})
	if runs("lost0") != 1 || runs("lost1")+runs("lost2")+runs("lost3")+runs("lost4") != 0 {
		t.Errorf("ran what nothing knows of:\n%s", read(t, ledger))
	}
	if log := r.log.String(); strings.Count(log, "may be lost") != 1 {
		t.Errorf("the log does not say once what may be lost:\n%s", log)
	}
}

// cutOff lets a standby take what its server has, and then no more.
func cutOff(t *testing.T, server, standby string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server)
	must(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	hears := func(sql string) func() bool {
		return func() bool {
			var yes bool
			must(t, conn.QueryRow(t.Context(), sql).Scan(&yes))
			return yes
		}
	}
	eventually(t, "the standby to have everything", hears("SELECT coalesce(bool_and(replay_lsn >= pg_current_wal_lsn()), false) FROM pg_stat_replication"))
	postgrestest.Exec(t, standby, "ALTER SYSTEM SET primary_conninfo = ''")
	postgrestest.Exec(t, standby, "SELECT pg_reload_conf()")
	eventually(t, "the standby to hear no more", hears("SELECT count(*) = 0 FROM pg_stat_replication"))
}

// TestPostgres_K9_WhatTheServerRefusesIsRefusedAndTakenLater takes the tables away for a while, then the
// connections: deliveries are refused in time, and taken when the fault is over. And cuts what
// notices come by: jobs run all the same (K10).
func TestPostgres_K9_WhatTheServerRefusesIsRefusedAndTakenLater(t *testing.T) {
	t.Parallel()
	server := postgrestest.Own(t)
	p := launch(t, onPostgres(t, server.URL, siteHook))
	n := 0
	push := func() (answer, time.Duration) {
		n++
		began := time.Now()
		a, err := send("POST", p.url+"/github", pushMain, map[string]string{
			"X-Hub-Signature-256": sign(secret, pushMain), "X-GitHub-Delivery": fmt.Sprint(n), "X-GitHub-Event": "push",
		})
		must(t, err)
		return a, time.Since(began)
	}
	taken := func(what string) {
		t.Helper()
		eventually(t, "a delivery to be taken "+what, func() bool { a, _ := push(); return a.status == http.StatusAccepted })
	}
	refused := func(what string) {
		t.Helper()
		within(t, time.Minute, "a delivery to be refused "+what, func() bool {
			a, took := push()
			if took > 10*time.Second {
				t.Errorf("%s a delivery waited for %v", what, took)
			}
			if a.status != http.StatusAccepted && (a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "") {
				t.Errorf("%s a delivery is answered %d %s", what, a.status, a.body)
			}
			return a.status == http.StatusServiceUnavailable
		})
	}
	taken("at first")

	ctx := t.Context()
	conn, err := pgx.Connect(ctx, server.URL)
	must(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	tx, err := conn.Begin(ctx)
	must(t, err)
	_, err = tx.Exec(ctx, "LOCK TABLE delivery IN ACCESS EXCLUSIVE MODE")
	must(t, err)
	refused("while its table is locked")
	must(t, tx.Rollback(ctx))
	taken("once the lock is gone")

	_, err = conn.Exec(ctx, "ALTER DATABASE tenterhook CONNECTION LIMIT 0") // for all but superusers
	must(t, err)
	_, err = conn.Exec(ctx, "ALTER ROLE tenterhook NOSUPERUSER")
	must(t, err)
	cut := "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = 'tenterhook'"
	_, err = conn.Exec(ctx, cut)
	must(t, err)
	refused("while there are no connections")
	_, err = conn.Exec(ctx, "ALTER DATABASE tenterhook CONNECTION LIMIT -1")
	must(t, err)
	taken("once there are connections")

	_, err = conn.Exec(ctx, cut) // with what listens
	must(t, err)
	taken("after every connection was cut")
	within(t, time.Minute, "every job to succeed", func() bool {
		var left int
		must(t, conn.QueryRow(ctx, "SELECT count(*) FROM job WHERE state <> 'succeeded'").Scan(&left))
		return left == 0
	})
	p.end(t)
}
