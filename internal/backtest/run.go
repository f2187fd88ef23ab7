package backtest

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"

	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// Store is what of a store is read.
type Store interface {
	ReadDeliveries(ctx context.Context, f store.Filter, maxBytes int) ([]job.Delivery, error)
}

// The bounds of what is held at once: deliveries and bytes of their bodies.
const (
	pageDeliveries = 256
	pageBytes      = 4 << 20
)

// Run compares the deliveries that a filter selects, newest first, at most as many as most (0: all).
// progress is called now and then with how many are done, from this goroutine. When ctx ends, the
// report is of what was done until then, and not Complete.
func Run(ctx context.Context, from Store, f store.Filter, most int, before, after *hook.Set, progress func(done int)) (*Report, error) {
	report := newReport()
	reading, stop := context.WithCancel(ctx)
	pages := read(reading, from, f)
	defer func() {
		stop()
		for range pages { // the reader ends before we do
		}
	}()
	for page := range pages {
		if page.err != nil {
			if ctx.Err() != nil && errors.Is(page.err, ctx.Err()) {
				return report, nil
			}
			return report, page.err
		}
		// What the daemon itself told of a silence came from no sender, and no rule decides on it.
		list := slices.DeleteFunc(page.deliveries, func(d job.Delivery) bool { return d.Origin == job.OriginExpect })
		if most > 0 {
			list = list[:min(len(list), most-report.Deliveries)]
		}
		verdicts := compareAll(list, before, after)
		for i := range verdicts {
			report.add(&verdicts[i])
		}
		progress(report.Deliveries)
		if most > 0 && report.Deliveries == most {
			break
		}
		if ctx.Err() != nil {
			return report, nil
		}
	}
	report.Complete = true
	return report, nil
}

type page struct {
	deliveries []job.Delivery
	err        error
}

// read reads pages, one ahead of who takes them. The channel is closed after the last, after an
// error, and once ctx has ended.
func read(ctx context.Context, from Store, f store.Filter) <-chan page {
	pages := make(chan page)
	f.Limit = pageDeliveries
	go func() {
		defer close(pages)
		for {
			found, err := from.ReadDeliveries(ctx, f, pageBytes)
			if errors.Is(err, store.ErrNotFound) && f.Cursor != "" {
				return // retention took the last page, and so all that is older
			}
			if err == nil && len(found) == 0 {
				return
			}
			select {
			case pages <- page{found, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
			f.Cursor = found[len(found)-1].ID
		}
	}()
	return pages
}

// compareAll compares deliveries on all processors, and returns the verdicts in their order.
func compareAll(list []job.Delivery, before, after *hook.Set) []verdict {
	out := make([]verdict, len(list))
	var all sync.WaitGroup
	workers := min(runtime.GOMAXPROCS(0), len(list))
	for w := range workers {
		all.Go(func() {
			for i := w; i < len(list); i += workers {
				out[i] = compare(&list[i], before, after)
			}
		})
	}
	all.Wait()
	return out
}
