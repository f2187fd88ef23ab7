package sqlite

import (
	"context"
	"fmt"
	"math"
	"sync"

	"github.com/tenterhook/tenterhook/internal/job"
)

const (
	livePage = 1000
	// liveAhead is how many pages of the newer half wait at most while the older half is read.
	liveAhead = 128
)

// Live calls yield for every job that has not ended, in Seq order. It reads page by page, so
// that yield may take its time: a job that begins to wait meanwhile may be left out, and
// Options.Committed tells of it.
//
// A daemon that starts waits for it. Very many jobs are read in two halves at once.
func (r *reads) Live(ctx context.Context, yield func(job.Job) bool) error {
	if err := r.live(ctx, yield); err != nil {
		return fmt.Errorf("read live jobs: %w", err)
	}
	return nil
}

func (r *reads) live(ctx context.Context, yield func(job.Job) bool) error {
	first, err := r.livePage(ctx, 0, math.MaxInt64)
	if err != nil || !all(first, yield) || len(first) < livePage {
		return err
	}
	after := first[len(first)-1].Seq
	middle, err := r.liveMiddle(ctx, after)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var newer sync.WaitGroup
	defer newer.Wait()
	defer cancel()
	pages := make(chan []job.Job, liveAhead)
	var failed error // set before pages is closed
	newer.Go(func() {
		defer close(pages)
		failed = r.livePages(ctx, middle, math.MaxInt64, func(jobs []job.Job) bool {
			select {
			case pages <- jobs:
				return true
			case <-ctx.Done():
				return false
			}
		})
	})
	more := true
	err = r.livePages(ctx, after, middle, func(jobs []job.Job) bool {
		more = all(jobs, yield)
		return more
	})
	if err != nil || !more {
		return err
	}
	for jobs := range pages {
		if !all(jobs, yield) {
			return nil
		}
	}
	return failed
}

// all yields jobs until yield returns false, and reports whether it did not.
func all(jobs []job.Job, yield func(job.Job) bool) bool {
	for i := range jobs {
		if !yield(jobs[i]) {
			return false
		}
	}
	return true
}

// liveMiddle halves the range of those behind a seq.
func (r *reads) liveMiddle(ctx context.Context, after int64) (middle int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	row := r.db.QueryRowContext(ctx, "SELECT coalesce(max(seq), 0) FROM job INDEXED BY job_live WHERE "+isLive)
	if err := row.Scan(&middle); err != nil {
		return 0, err
	}
	return after + max(0, middle-after)/2, nil
}

// livePages reads those in (after, until] page by page, until yield returns false.
func (r *reads) livePages(ctx context.Context, after, until int64, yield func([]job.Job) bool) error {
	for {
		jobs, err := r.livePage(ctx, after, until)
		if err != nil || len(jobs) == 0 || !yield(jobs) || len(jobs) < livePage {
			return err
		}
		after = jobs[len(jobs)-1].Seq
	}
}

func (r *reads) livePage(ctx context.Context, after, until int64) ([]job.Job, error) {
	return r.jobs(ctx, "SELECT "+jobColumns+" FROM job j INDEXED BY job_live JOIN delivery d ON d.seq = j.delivery "+
		"WHERE j.seq > ? AND j.seq <= ? AND "+isLive+" ORDER BY j.seq LIMIT ?", after, until, livePage)
}
