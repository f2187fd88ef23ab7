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
	host := func(url string) string { return strings.TrimSuffix(url[strings.Index(url, "@")+1:], "/tenterhook") }
	both = strings.Replace(server.URL, host(server.URL), host(server.URL)+","+host(standby), 1)
	return server, standby, both + "?target_session_attrs=read-write"
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
	p.end(t)
	none(t, accepted.Load(), "deliveries was lost in a failover to a standby that confirms commits")
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
