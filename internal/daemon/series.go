package daemon

import (
	"context"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/series"
	"github.com/tenterhook/tenterhook/internal/store"
)

// The charts of the UI begin with what the store knows: at most so many of the newest rows of
// each kind are read after a start, with pauses, so that accepts are not behind them.
const (
	seedPages  = 40
	seedBreath = 10 * time.Millisecond
)

// Series is what a hook, or series.All of them, did over a span that ends now.
func (d *Daemon) Series(hook string, span series.Span) series.Series {
	return d.metrics.book.Read(hook, span, time.Now())
}

// seedSeries tells the book what happened before this run, as far back as it goes.
func (d *Daemon) seedSeries(ctx context.Context) {
	since := d.started.Add(-series.Spans[len(series.Spans)-1].Length())
	deliveries, err := d.seedDeliveries(ctx, since)
	if err != nil {
		d.seedStopped(ctx, err)
		return
	}
	jobs, err := d.seedJobs(ctx, since)
	if err != nil {
		d.seedStopped(ctx, err)
		return
	}
	if jobs.After(deliveries) {
		deliveries = jobs
	}
	d.metrics.book.Seeded(deliveries)
}

func (d *Daemon) seedStopped(ctx context.Context, err error) {
	if ctx.Err() == nil {
		d.log.Warn("charts begin now: what was before could not be read", "error", err)
	}
}

// seedDeliveries returns since when the book has every delivery.
func (d *Daemon) seedDeliveries(ctx context.Context, since time.Time) (reached time.Time, err error) {
	return seed(ctx, store.Filter{Since: since, Until: d.started}, d.store.Deliveries, func(one *job.Delivery) (string, time.Time) {
		if one.Origin != job.OriginExpect {
			d.metrics.book.Delivered(one.Hook, one.Outcome, -1, one.ReceivedAt)
		}
		return one.ID, one.ReceivedAt
	})
}

// seedJobs returns since when the book has the end of every job.
func (d *Daemon) seedJobs(ctx context.Context, since time.Time) (reached time.Time, err error) {
	return seed(ctx, store.Filter{Since: since, Until: d.started}, d.store.Jobs, func(one *job.Job) (string, time.Time) {
		if ended := one.FinishedAt; one.State.Terminal() && ended.Before(d.started) {
			d.metrics.book.Ended(one.Hook, one.State, ended)
		}
		return one.ID, one.CreatedAt
	})
}

// seed reads pages, newest first, until seedPages were read, and says since when all was. count takes
// one of a page, and returns its id and time.
func seed[T any](ctx context.Context, f store.Filter, read func(context.Context, store.Filter) ([]T, error), count func(*T) (id string, at time.Time)) (reached time.Time, err error) {
	f.Limit = 500
	for range seedPages {
		page, err := read(ctx, f)
		if err != nil {
			return time.Time{}, err
		}
		var last time.Time
		for i := range page {
			f.Cursor, last = count(&page[i])
		}
		if len(page) < f.Limit {
			return f.Since, nil
		}
		if !pause(ctx, seedBreath) {
			return time.Time{}, ctx.Err()
		}
		reached = last
	}
	return reached, nil
}

// pause waits, and is false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// keepSeries forgets the series of hooks that are no longer configured.
func (d *Daemon) keepSeries() {
	names := map[string]bool{}
	for _, h := range d.hooks().Hooks() {
		names[h.Name] = true
	}
	d.metrics.book.Keep(names)
}
