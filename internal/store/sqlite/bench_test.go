package sqlite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// BenchmarkAccept stores deliveries of 2 kB with one job from 1, 16 and 64 callers, in groups
// and with one transaction each. The raw speed of the disk is measured in the same run, so that
// the ratio means something on another machine.
func BenchmarkAccept(b *testing.B) {
	for _, callers := range []int{1, 16, 64} {
		for _, mode := range []string{"group", "singly"} {
			b.Run(fmt.Sprintf("callers=%d/%s", callers, mode), func(b *testing.B) {
				disk := syncsPerSecond(b, 200*time.Millisecond)
				commits := 0
				s := open(b, filepath.Join(b.TempDir(), "t.db"), Options{Singly: mode == "singly", Committed: func([]job.Job) { commits++ }})
				body := noise(2048)
				each(b, callers, func() error {
					d := benchDelivery(body)
					_, err := s.Accept(context.Background(), d, newJob(d))
					return err
				})
				b.ReportMetric(disk, "syncs/s")
				b.ReportMetric(float64(b.N)/float64(commits), "accepts/commit")
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/disk, "accepts/sync")
			})
		}
	}
}

// BenchmarkWholeJob stores, starts and finishes jobs.
func BenchmarkWholeJob(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s := open(b, filepath.Join(b.TempDir(), "t.db"), Options{})
			body, ctx := noise(2048), context.Background()
			each(b, callers, func() error {
				d := benchDelivery(body)
				jobs := newJob(d)
				if _, err := s.Accept(ctx, d, jobs); err != nil {
					return err
				}
				if err := s.Start(ctx, store.StartMark{Job: jobs[0].ID, Attempt: 1, At: epoch}); err != nil {
					return err
				}
				return s.Finish(ctx, store.Ended{Job: jobs[0].ID, Attempt: 1, At: epoch, Next: job.Succeeded, Output: body[:200]})
			})
		})
	}
}

// BenchmarkLive reads back what a restart does.
func BenchmarkLive(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "t.db"), Options{})
	for range 200 {
		d := newDelivery("")
		var jobs []job.Job
		for range 500 {
			jobs = append(jobs, newJob(d)...)
		}
		if _, err := s.Accept(context.Background(), d, jobs); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		n := 0
		if err := s.Live(context.Background(), func(job.Job) bool { n++; return true }); err != nil || n != 100_000 {
			b.Fatal(n, err)
		}
	}
}

func benchDelivery(body []byte) *job.Delivery {
	d := newDelivery(job.NewID())
	d.Event, d.Config, d.IP, d.Body, d.Size = "push", "0123456789ab", "192.0.2.1", body, len(body)
	d.Header = map[string][]string{
		"Content-Type": {"application/json"}, "User-Agent": {"GitHub-Hookshot/0123456"},
		"X-Github-Delivery": {d.Key}, "X-Github-Event": {"push"}, "X-Github-Hook-Id": {"123456789"},
	}
	d.Withheld = []string{"X-Hub-Signature-256"}
	d.Verdicts = []job.RuleVerdict{{Rule: "build", Verdict: job.Match}}
	return d
}

// each calls do b.N times from several goroutines and reports how long one took.
func each(b *testing.B, callers int, do func() error) {
	b.Helper()
	took := make([]time.Duration, b.N)
	var next atomic.Int64
	var group sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range callers {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
				began := time.Now()
				if err := do(); err != nil {
					b.Error(err)
					return
				}
				took[i] = time.Since(began)
			}
		})
	}
	group.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// syncsPerSecond appends 4 kB and syncs, for some time.
func syncsPerSecond(b *testing.B, long time.Duration) float64 {
	b.Helper()
	file, err := os.Create(filepath.Join(b.TempDir(), "raw"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	block, n, began := noise(4096), 0, time.Now()
	for time.Since(began) < long {
		if _, err := file.Write(block); err != nil {
			b.Fatal(err)
		}
		if err := unix.Fdatasync(int(file.Fd())); err != nil {
			b.Fatal(err)
		}
		n++
	}
	return float64(n) / time.Since(began).Seconds()
}
