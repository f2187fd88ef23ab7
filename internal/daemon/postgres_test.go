package daemon_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/daemon"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/postgres/postgrestest"
)

// onPostgres writes hooks.yaml for a daemon whose store is a database, and returns its folder.
func onPostgres(t *testing.T, url, hooks string) string {
	t.Helper()
	dir := shortDir(t)
	header := fmt.Sprintf("server: {listen: '127.0.0.1:0', drain: 10s}\nadmin: {listen: 'unix:%s/admin.sock'}\nstore: {url: '%s'}\n", dir, url)
	write(t, filepath.Join(dir, "hooks.yaml"), header+hooks)
	return dir
}

func TestPostgres_ADeliveryRunsAndIsKnownAfterARestart(t *testing.T) {
	t.Parallel()
	const password = "correct-horse-battery" // the server trusts everybody, and nobody may see it
	url := strings.Replace(postgrestest.Schema(t), "tenterhook@", "tenterhook:"+password+"@", 1)
	dir := onPostgres(t, url, siteHook)
	r := startIn(t, dir)
	a := r.push("/github", "d1", "push", pushMain)
	if a.status != http.StatusAccepted || len(a.json.Jobs) != 1 {
		t.Fatalf("answer %d %s", a.status, a.body)
	}
	if j := r.job(a.json.Jobs[0]); j.State != job.Succeeded || len(j.Attempts) != 1 || j.Attempts[0].Output != "done\n" {
		t.Fatalf("job %+v", j)
	}
	if s := r.status(); !strings.HasPrefix(s.Store, "postgres://tenterhook@127.0.0.1:") {
		t.Errorf("status says the store is %q", s.Store)
	}
	if log := r.log.String(); strings.Contains(log, password) || !strings.Contains(log, "flushed to the server's disk") {
		t.Errorf("the log shows the password, or does not say what a commit survives:\n%s", log)
	}
	must(t, r.stop())
	r = startIn(t, dir)
	if again := r.push("/github", "d1", "push", pushMain); again.json.Status != "duplicate" || again.json.Delivery != a.json.Delivery {
		t.Errorf("after a restart the same delivery is answered %d %s", again.status, again.body)
	}
}

func TestPostgres_ADaemonWithTheNameOfAnotherIsRefused(t *testing.T) {
	t.Parallel()
	url := postgrestest.Schema(t)
	startIn(t, onPostgres(t, url, siteHook))
	second := onPostgres(t, url, siteHook)
	_, err := daemon.New(t.Context(), daemon.Options{Config: config.Options{Path: filepath.Join(second, "hooks.yaml")}, Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "another daemon has the same node name") {
		t.Fatal(err)
	}
}

// node starts a daemon of a name of its own on a store.
func node(t *testing.T, url, name, hooks string) *running {
	t.Helper()
	return startIn(t, onPostgres(t, url, "node: {name: "+name+", lease: 2s}\n"+hooks))
}

const slowHook = `hooks:
  - name: slow
    path: /slow
    provider: github
    secret: ` + secret + `
    rules:
      - name: work
        run: echo "$HOOK_JOB" begin >> "$OUT"; sleep 0.2; echo "$HOOK_JOB" end >> "$OUT"
        env: {OUT: "OUTFILE"}
        concurrency: {key: "${{ payload.key }}", limit: 1, max_pending: 1000}
`

func TestPostgres_ALaneHoldsOverThreeNodes(t *testing.T) {
	t.Parallel()
	url := postgrestest.Schema(t)
	out := filepath.Join(shortDir(t), "out")
	hooks := strings.Replace(slowHook, "OUTFILE", out, 1)
	nodes := []*running{node(t, url, "a", hooks), node(t, url, "b", hooks), node(t, url, "c", hooks)}
	var jobs []string
	for i := range 12 {
		a := nodes[i%3].push("/slow", fmt.Sprint("d", i), "push", fmt.Sprintf(`{"key":"k%d"}`, i%2))
		if a.status != http.StatusAccepted {
			t.Fatalf("answer %d %s", a.status, a.body)
		}
		jobs = append(jobs, a.json.Jobs[0])
	}
	where := map[string]int{}
	for i, id := range jobs {
		j := nodes[(i+1)%3].job(id) // asked of another node
		if j.State != job.Succeeded {
			t.Fatalf("job %+v", j)
		}
		where[j.Node]++
	}
	running, most := 0, 0
	for _, line := range strings.Fields(read(t, out)) {
		switch line {
		case "begin":
			running++
			most = max(most, running)
		case "end":
			running--
		}
	}
	if most > 2 || len(where) < 2 {
		t.Errorf("at most %d of 2 lanes ran at once, on %v", most, where)
	}
	t.Logf("ran on %v", where)
}

// TestPostgres_K3_CopiesToEveryNodeAtOnceAreOneDelivery sends each delivery to three nodes, twice to
// each, all at the same time.
func TestPostgres_K3_CopiesToEveryNodeAtOnceAreOneDelivery(t *testing.T) {
	t.Parallel()
	url := postgrestest.Schema(t)
	nodes := []*running{node(t, url, "a", siteHook), node(t, url, "b", siteHook), node(t, url, "c", siteHook)}
	for i := range 20 {
		var all sync.WaitGroup
		answers := make([]answer, 2*len(nodes))
		for k := range answers {
			all.Go(func() { answers[k] = nodes[k%len(nodes)].push("/github", fmt.Sprint("d", i), "push", pushMain) })
		}
		all.Wait()
		taken := 0
		for _, a := range answers {
			if a.status == http.StatusAccepted {
				taken++
			}
			if a.status >= 300 || a.json.Delivery != answers[0].json.Delivery {
				t.Errorf("a copy was answered %d %s", a.status, a.body)
			}
		}
		if taken != 1 {
			t.Errorf("%d of %d copies were taken", taken, len(answers))
		}
	}
	jobs, _, err := nodes[0].client.Jobs(t.Context(), store.Filter{Limit: 500})
	must(t, err)
	if len(jobs) != 20 {
		t.Errorf("%d jobs of 20 deliveries", len(jobs))
	}
}

// TestMigrate_TakesAStoreToADatabase moves a daemon from a file to a database: what it knew it knows.
func TestMigrate_TakesAStoreToADatabase(t *testing.T) {
	r := start(t, siteHook)
	a := r.push("/github", "d1", "push", pushMain)
	r.job(a.json.Jobs[0])
	must(t, r.stop())
	url := postgrestest.Schema(t)
	migrate := exec.Command(build(t), "migrate", "--from", "sqlite:"+filepath.Join(r.dir, "t.db"), "--to", "$TO", "--json")
	migrate.Env = append(os.Environ(), "TO="+url)
	out, err := migrate.CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"checked": 5`) {
		t.Fatalf("%v: %s", err, out)
	}
	moved := startIn(t, onPostgres(t, url, siteHook))
	if again := moved.push("/github", "d1", "push", pushMain); again.json.Status != "duplicate" || again.json.Delivery != a.json.Delivery {
		t.Errorf("after the move the same delivery is answered %d %s", again.status, again.body)
	}
	if j := moved.job(a.json.Jobs[0]); j.State != job.Succeeded || j.Attempts[0].Output != "done\n" {
		t.Errorf("after the move the job is %+v", j)
	}
}
