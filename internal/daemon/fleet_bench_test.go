package daemon_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store/postgres"
	"github.com/tenterhook/tenterhook/internal/store/postgres/postgrestest"
	"github.com/tenterhook/tenterhook/internal/store/sqlite"
)

// BenchmarkFleet measures deliveries that are stored, and whole jobs (stored, run, recorded), on
// SQLite and on one, two and three daemons on PostgreSQL, all on this machine with whoever sends.
// Read the ratios. On PostgreSQL it reports what one delivery costs the server.
//
//	go test ./internal/daemon -run '^$' -bench Fleet -benchtime 5000x
func BenchmarkFleet(b *testing.B) {
	for _, what := range []string{"stored", "jobs"} {
		b.Run(what+"/sqlite", func(b *testing.B) { benchmarkFleet(b, what, 0) })
		for nodes := 1; nodes <= 3; nodes++ {
			b.Run(fmt.Sprintf("%s/postgres-%d", what, nodes), func(b *testing.B) { benchmarkFleet(b, what, nodes) })
		}
	}
}

const benchHooks = `workers: 8
hooks:
  - name: stored
    path: /stored
    provider: github
    secret: ` + secret + `
    match: event == "other"
    exec: ["true"]
  - name: jobs
    path: /jobs
    provider: github
    secret: ` + secret + `
    exec: ["true"]
`

func benchmarkFleet(b *testing.B, what string, nodes int) {
	var urls []string
	var pids []int
	up := func(dir string) {
		p := launch(b, dir)
		urls, pids = append(urls, p.url), append(pids, p.cmd.Process.Pid)
	}
	var counts func() map[job.State]int
	var server *pgx.Conn
	if nodes == 0 {
		dir := shortDir(b)
		must(b, os.WriteFile(filepath.Join(dir, "hooks.yaml"), []byte(header(dir)+benchHooks), 0o600))
		up(dir)
		s, err := sqlite.OpenReader(b.Context(), filepath.Join(dir, "t.db"))
		must(b, err)
		defer func() { _ = s.Close() }()
		counts = countsOf(b, s)
	} else {
		url := postgrestest.Schema(b)
		for i := range nodes {
			dir := shortDir(b)
			must(b, os.WriteFile(filepath.Join(dir, "hooks.yaml"), []byte(fmt.Sprintf("server: {listen: '127.0.0.1:0'}\nadmin: {listen: 'unix:%s/admin.sock'}\nstore: {url: '%s'}\nnode: {name: n%d}\n", dir, url, i)+benchHooks), 0o600))
			up(dir)
		}
		s, err := postgres.OpenReader(b.Context(), url)
		must(b, err)
		defer func() { _ = s.Close() }()
		counts = countsOf(b, s)
		server, err = pgx.Connect(b.Context(), url)
		must(b, err)
		defer func() { _ = server.Close(context.Background()) }()
	}
	before, busy := costs(b, server), cpu(b, pids)
	b.ResetTimer()
	var next atomic.Int64
	var senders sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	for i := range 48 {
		senders.Go(func() {
			for {
				n := next.Add(1)
				if n > int64(b.N) {
					return
				}
				body := fmt.Sprintf(`{"n":%d,"ref":"refs/heads/main","pad":%q}`, n, strings.Repeat("x", 1500))
				req, err := http.NewRequest("POST", urls[i%len(urls)]+"/"+what, strings.NewReader(body))
				if err != nil {
					b.Error(err)
					return
				}
				req.Header = http.Header{"X-Hub-Signature-256": {sign(secret, body)}, "X-Github-Delivery": {fmt.Sprint(n)}, "X-Github-Event": {"push"}}
				resp, err := client.Do(req)
				if err != nil {
					b.Error(err)
					return
				}
				_ = resp.Body.Close()
				if resp.StatusCode != http.StatusAccepted && resp.StatusCode != http.StatusOK {
					b.Errorf("answer %d", resp.StatusCode)
				}
			}
		})
	}
	senders.Wait()
	for what == "jobs" && total(counts()) > 0 {
		<-time.After(5 * time.Millisecond) // how often it is looked
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "per-s")
	for i, spent := range cpu(b, pids) {
		if i < 2 { // the first leads
			b.ReportMetric((spent-busy[i]).Seconds()*1e6/float64(b.N), []string{"first-cpu-us/op", "second-cpu-us/op"}[i])
		}
	}
	if server != nil {
		after := costs(b, server)
		for i, unit := range []string{"WAL-B/op", "commits/op", "inserted/op", "updated/op", "deleted/op"} {
			b.ReportMetric((after[i]-before[i])/float64(b.N), unit)
		}
	}
}

// costs are the server's counters: WAL bytes, commits, rows inserted, updated and deleted.
func costs(b *testing.B, server *pgx.Conn) (c [5]float64) {
	if server == nil {
		return c
	}
	// The server's processes tell their counters after a second.
	<-time.After(1100 * time.Millisecond)
	must(b, server.QueryRow(b.Context(), `SELECT pg_current_wal_lsn() - '0/0', xact_commit, tup_inserted, tup_updated, tup_deleted
		FROM pg_stat_database WHERE datname = current_database()`).Scan(&c[0], &c[1], &c[2], &c[3], &c[4]))
	return c
}

// cpu is how long processes, and the children they have waited for, have been on a processor.
func cpu(b *testing.B, pids []int) (spent []time.Duration) {
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		must(b, err)
		_, after, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(after)
		var ticks int64
		for _, f := range fields[11:15] { // utime, stime, cutime, cstime in hundredths of a second
			n, err := strconv.ParseInt(f, 10, 64)
			must(b, err)
			ticks += n
		}
		spent = append(spent, time.Duration(ticks)*10*time.Millisecond)
	}
	return spent
}

func countsOf(b *testing.B, s interface {
	Counts(ctx context.Context) (map[job.State]int, error)
},
) func() map[job.State]int {
	return func() map[job.State]int {
		c, err := s.Counts(b.Context())
		must(b, err)
		return c
	}
}
