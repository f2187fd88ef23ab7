package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkWholeJobs runs /bin/true for b.N deliveries that wait, each as a whole job: start mark
// on disk, command, end on disk. Beside it, in the same run and with the same parallelism, a bare
// os/exec loop runs it as often; ratio is jobs per second over the loop's.
func BenchmarkWholeJobs(b *testing.B) {
	for _, workers := range []int{2, 4, 8} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			socket := filepath.Join(b.TempDir(), "a.sock")
			d := startConfigured(b, fmt.Sprintf(`server: {listen: '127.0.0.1:0', drain: 1s}
admin: {listen: 'unix:%s'}
workers: %d
hooks:
  - {name: site, path: /site, provider: github, secret: %s, exec: ["true"]}
`, socket, workers, secret))
			admin := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", socket)
			}}}
			defer admin.CloseIdleConnections()
			post(b, admin, "hooks/site/pause")
			var left atomic.Int64
			left.Store(int64(b.N))
			if _, err := client(d.addr, "/site", 202, true, &left); err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			post(b, admin, "hooks/site/resume")
			for waiting(b, admin) > 0 {
				time.Sleep(20 * time.Millisecond)
			}
			whole := b.Elapsed()
			b.StopTimer()
			bare := bareLoop(b, workers)
			b.ReportMetric(float64(b.N)/whole.Seconds(), "jobs/s")
			b.ReportMetric(float64(b.N)/bare.Seconds(), "bare/s")
			b.ReportMetric(bare.Seconds()/whole.Seconds(), "ratio")
		})
	}
}

// bareLoop runs /bin/true b.N times, so many at once.
func bareLoop(b *testing.B, parallel int) time.Duration {
	var left atomic.Int64
	left.Store(int64(b.N))
	var all sync.WaitGroup
	began := time.Now()
	for range parallel {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if err := exec.Command("/bin/true").Run(); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
	return time.Since(began)
}

func post(b *testing.B, admin *http.Client, path string) {
	b.Helper()
	r, err := admin.Post("http://tenterhook/api/v1/"+path, "", nil)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	if r.StatusCode != http.StatusNoContent {
		b.Fatal(path, r.Status)
	}
}

// waiting is how many jobs have not ended.
func waiting(b *testing.B, admin *http.Client) (n int) {
	b.Helper()
	r, err := admin.Get("http://tenterhook/api/v1/status")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	var status struct{ Jobs map[string]int }
	if err := json.NewDecoder(r.Body).Decode(&status); err != nil {
		b.Fatal(err)
	}
	for _, count := range status.Jobs {
		n += count
	}
	return n
}
