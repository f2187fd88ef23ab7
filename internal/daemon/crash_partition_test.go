package daemon_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store/postgres/postgrestest"
)

// wire stands between a node and its database, and can be cut and mended.
type wire struct {
	to string
	mu sync.Mutex
	// open are the connections under way; nil while the wire is cut.
	open map[net.Conn]bool
}

// through returns the URL of a database that is reached through a wire, until the test ends.
func through(t *testing.T, raw string) (*wire, string) {
	t.Helper()
	u, err := url.Parse(raw)
	must(t, err)
	return throughAt(t, "127.0.0.1:0", u)
}

// throughAt is through at an address.
func throughAt(t *testing.T, address string, u *url.URL) (*wire, string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	must(t, err)
	w := &wire{to: u.Host, open: map[net.Conn]bool{}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { w.carry(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		w.cut()
		all.Wait()
	})
	u.Host = l.Addr().String()
	return w, u.String()
}

func (w *wire) carry(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	w.mu.Lock()
	whole := w.open != nil
	if whole {
		w.open[client], w.open[server] = true, true
	}
	w.mu.Unlock()
	if !whole {
		return
	}
	var back sync.WaitGroup
	back.Go(func() { _, _ = io.Copy(client, server); _ = client.Close() })
	_, _ = io.Copy(server, client)
	_ = server.Close()
	back.Wait()
	w.mu.Lock()
	delete(w.open, client)
	delete(w.open, server)
	w.mu.Unlock()
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.open {
		_ = c.Close()
	}
	w.open = nil
}

func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = map[net.Conn]bool{}
}

// TestFleet_K5_ANodeWithoutItsDatabaseEndsWhatItRunsBeforeAnotherRunsIt cuts a node that runs a job
// off from the database that the others reach.
func TestFleet_K5_ANodeWithoutItsDatabaseEndsWhatItRunsBeforeAnotherRunsIt(t *testing.T) {
	t.Parallel()
	raw := postgrestest.Schema(t)
	out := filepath.Join(shortDir(t), "out")
	hooks := `hooks:
  - name: slow
    path: /slow
    provider: github
    secret: ` + secret + `
    rules:
      - name: work
        run: |
          echo begins >> "$OUT"
          [ "$(grep -c begins "$OUT")" = 1 ] || exit 0
          trap 'echo ended >> "$OUT"; exit 1' TERM
          while :; do sleep 0.05 || true; done
        env: {OUT: "` + out + `"}
        on_interrupt: retry
`
	w, cuttable := through(t, raw)
	a := startIn(t, onPostgres(t, cuttable, fmt.Sprintf("node: {name: a, lease: %s}\n", calmLease)+hooks))
	id := a.push("/slow", "d1", "push", "{}").json.Jobs[0]
	a.eventually("the job to run", func() bool { return strings.Contains(readOr(out), "begins") })
	b := node(t, raw, "b", hooks)
	w.cut()
	if refused := a.push("/slow", "d2", "push", "{}"); refused.status != http.StatusServiceUnavailable {
		t.Errorf("without its database a node answers %d %s", refused.status, refused.body)
	}
	if j := b.job(id); j.State != job.Succeeded || j.Node != "b" {
		t.Errorf("job %+v", j)
	}
	if got := read(t, out); got != "begins\nended\nbegins\n" {
		t.Errorf("it went %q", got)
	}
	w.mend()
	a.eventually("the node to take deliveries again", func() bool { return a.push("/slow", "d3", "push", "{}").status < 300 })
}

// TestFleet_ANodeThatIsSilentBeginsNothing keeps a node from saying that it lives, while everything else
// it asks of the database is answered.
func TestFleet_ANodeThatIsSilentBeginsNothing(t *testing.T) {
	t.Parallel()
	raw := postgrestest.Schema(t)
	a := node(t, raw, "a", "hooks:\n"+ruleHook("quick", "run: \"true\""))
	db, err := pgx.Connect(t.Context(), raw)
	must(t, err)
	defer func() { _ = db.Close(context.Background()) }()
	tx, err := db.Begin(t.Context())
	must(t, err)
	_, err = tx.Exec(t.Context(), "SELECT FROM node FOR NO KEY UPDATE")
	must(t, err)
	a.eventually("the node to be silent", func() bool { return strings.Contains(a.log.String(), "almost the lease") })
	id := a.push("/quick", "d1", "push", "{}").json.Jobs[0]
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for tickets, began := 0, time.Now(); tickets == 0; <-tick.C {
		must(t, db.QueryRow(t.Context(), "SELECT count(*) FROM ticket").Scan(&tickets))
		if time.Since(began) > 2*time.Second {
			t.Skip("the machine is so busy that the node was given up before it was given the job: nothing is shown")
		}
	}
	<-time.After(time.Second) // how long it is silent yet: more than twice as long as it takes to look for tickets
	must(t, tx.Rollback(t.Context()))
	if j := a.job(id); j.State != job.Succeeded || len(j.Attempts) != 1 {
		t.Errorf("job %+v", j)
	}
}
