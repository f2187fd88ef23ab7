package daemon

import (
	"context"
	"time"
)

// every calls f once in each interval, and whenever wake delivers, until ctx ends. wake may be nil.
// A call that takes longer than the interval lets ticks pass; two never run at once.
func every(ctx context.Context, interval time.Duration, wake <-chan struct{}, f func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-wake:
		}
		f()
	}
}

// atOnceAndEvery is every that begins with a call.
func atOnceAndEvery(ctx context.Context, interval time.Duration, wake <-chan struct{}, f func()) {
	f()
	every(ctx, interval, wake, f)
}
