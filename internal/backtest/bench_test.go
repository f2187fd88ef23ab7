package backtest_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store/sqlite"
)

const benchConfig = `store: {url: "sqlite:kept.db"}
hooks:
  - name: site
    path: /github
    provider: github
    secret: 0123456789abcdef0123456789abcdef
    let: {docs_only: 'all(changed_files, glob("docs/**", #))'}
    rules:
      - name: deploy
        match: event == "push" && branch == "main" && !docs_only
        run: ./deploy.sh
        env: {SHA: "${{ sha }}", WHO: "${{ actor }}"}
        concurrency: {key: "deploy-${{ payload.repository.full_name }}"}
      - name: readme
        match: 'any(payload.commits, any(.modified, # == "README.md"))'
        http: {url: "https://chat.example.com/", json: {text: "${{ repo }}: ${{ payload.head_commit.message }}"}}
`

// BenchmarkPlan is the program itself: "plan" over as many stored pushes as
// TENTERHOOK_PLAN_DELIVERIES says (2,000 without it), each about as large as the one that GitHub
// publishes as its example, with its time and the most memory it had.
func BenchmarkPlan(b *testing.B) {
	n := 2000
	if s := os.Getenv("TENTERHOOK_PLAN_DELIVERIES"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			b.Fatal(err)
		}
	}
	dir := b.TempDir()
	bin := filepath.Join(dir, "tenterhook")
	if out, err := exec.Command("go", "build", "-o", bin, "github.com/tenterhook/tenterhook/cmd/tenterhook").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	fill(b, filepath.Join(dir, "kept.db"), n)
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
		return path
	}
	old := write("hooks.yaml", benchConfig)
	changed := write("new.yaml", string(bytes.ReplaceAll([]byte(benchConfig), []byte("./deploy.sh"), []byte("./deploy.sh --fast"))))
	for b.Loop() {
		cmd := exec.Command(bin, "plan", "-c", old, changed, "--since", "365d", "--json")
		out, err := cmd.Output()
		if err != nil || !bytes.Contains(out, []byte("./deploy.sh --fast")) || !bytes.Contains(out, fmt.Appendf(nil, `"deliveries": %d`, n)) {
			b.Fatalf("%v: %s", err, out)
		}
		b.ReportMetric(float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)/1024, "MiB")
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
}

// fill makes a store of pushes, each different from the others.
func fill(b *testing.B, path string, n int) {
	b.Helper()
	push, err := os.ReadFile("../request/testdata/push.json")
	if err != nil {
		b.Fatal(err)
	}
	push = bytes.ReplaceAll(push, []byte("refs/tags/simple-tag"), []byte("refs/heads/main"))
	push = bytes.ReplaceAll(push, []byte(`"commits": []`), []byte(`"commits": [{"id": "ec26c3e57ca3", "modified": ["README.md"], "added": ["src/main.go"], "removed": []}]`))
	s, err := sqlite.Open(context.Background(), path, sqlite.Options{})
	if err != nil {
		b.Fatal(err)
	}
	var left atomic.Int64
	left.Store(int64(n))
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				body := bytes.ReplaceAll(push, []byte("6113728f27ae82c7b1a177c8d03f9e96e0adf246"), []byte(rand.Text()+rand.Text()[:14]))
				d := &job.Delivery{
					ID: job.NewID(), Hook: "site", Event: "push", ReceivedAt: time.Now(), Outcome: job.Accepted, Origin: "request", Method: "POST", Path: "/github",
					IP: "192.0.2.1", Header: http.Header{"Content-Type": {"application/json"}, "X-Github-Event": {"push"}}, Body: body, Size: len(body),
				}
				j := job.Job{ID: job.NewID(), Delivery: d.ID, Hook: d.Hook, Rule: "deploy", State: job.Queued, RunAt: d.ReceivedAt, CreatedAt: d.ReceivedAt}
				if _, err := s.Accept(context.Background(), d, []job.Job{j}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
