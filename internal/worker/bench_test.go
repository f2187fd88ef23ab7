package worker_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"testing"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/worker"
)

// instant is a store that takes everything at once.
type instant struct {
	store.Store // nil: of what is not called

	delivery job.Delivery
}

func (instant) Start(context.Context, store.StartMark) error { return nil }
func (instant) Finish(context.Context, store.Ended) error    { return nil }
func (instant) Settle(context.Context, store.Settle) error   { return nil }
func (s instant) Inputs(context.Context, []string, int) ([]job.Delivery, error) {
	return []job.Delivery{s.delivery}, nil
}

func (instant) Job(context.Context, string) (job.Job, error)       { return job.Job{}, store.ErrNotFound }
func (instant) Live(_ context.Context, _ func(job.Job) bool) error { return nil }

// BenchmarkPool is what a job costs beside its store and its action: both do nothing here.
func BenchmarkPool(b *testing.B) {
	for _, keys := range []int{0, 1, 100} {
		b.Run(fmt.Sprintf("%d keys", keys), func(b *testing.B) {
			r := &rule{limit: min(keys, 1), pending: 1 << 30, output: 1024}
			p := worker.New(worker.Options{
				Workers: 8, Store: instant{}, Rules: func() worker.Rules { return rules{r} }, Log: slog.New(slog.DiscardHandler),
			})
			jobs := make([]job.Job, b.N)
			ids := make([]string, b.N)
			for i := range jobs {
				ids[i] = fmt.Sprint(i)
				jobs[i] = job.Job{ID: ids[i], Seq: int64(i), State: job.Queued}
				if keys > 0 {
					jobs[i].ConcurrencyKey = fmt.Sprint(i % keys)
				}
			}
			last := p.Expect(ids)
			defer last.Release()
			fetch, end := context.WithCancel(b.Context())
			ran := make(chan error, 1)
			go func() { ran <- p.Run(fetch, b.Context()) }()
			b.ReportAllocs()
			b.ResetTimer()
			for i := range jobs {
				p.Add(jobs[i : i+1])
			}
			if _, ok := last.Wait(b.Context()); !ok {
				b.Fatal("not every job ended")
			}
			b.StopTimer()
			end()
			<-ran
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}

// BenchmarkAdd_Waiting is the memory a job takes that waits.
func BenchmarkAdd_Waiting(b *testing.B) {
	r := &rule{limit: 1, pending: 1 << 30}
	p := worker.New(worker.Options{Store: instant{}, Rules: func() worker.Rules { return rules{r} }, Log: slog.New(slog.DiscardHandler)})
	jobs := make([]job.Job, b.N)
	for i := range jobs {
		jobs[i] = job.Job{ID: job.NewID(), Delivery: job.NewID(), Seq: int64(i), State: job.Queued, ConcurrencyKey: fmt.Sprint(i % 100)}
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	b.ResetTimer()
	p.Add(jobs)
	b.StopTimer()
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/float64(b.N), "bytes/job")
	runtime.KeepAlive(p)
	runtime.KeepAlive(jobs)
}
