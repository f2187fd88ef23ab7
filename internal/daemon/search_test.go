package daemon

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// reading is a store whose readers wait until they are let go.
type reading struct {
	opened
	began chan struct{}
	end   chan struct{}
}

func (r reading) CountDeliveries(context.Context, store.Filter) (int, error) { return 0, nil }

func (r reading) ReadDeliveries(context.Context, store.Filter, int) ([]job.Delivery, error) {
	r.began <- struct{}{}
	<-r.end
	return nil, nil
}

// Whoever may read can ask for any number of searches at once. Few run: each reads bodies and
// evaluates conditions for a second, on the processors that deliveries are taken in with.
func TestSearch_FewRunAtOnce(t *testing.T) {
	synctest.Test(t, fewSearches)
}

func fewSearches(t *testing.T) {
	s := reading{began: make(chan struct{}, 100), end: make(chan struct{})}
	d := &Daemon{store: s, searches: make(chan struct{}, mostSearches)}
	d.config.Store(&Config{})
	ask := func(ctx context.Context) error {
		_, err := backend{d}.Search(ctx, store.Filter{Limit: 1}, admin.Search{Grep: "x"})
		return err
	}
	done := make(chan error, 100)
	for range mostSearches {
		go func() { done <- ask(context.Background()) }()
		<-s.began
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- ask(ctx) }()
	synctest.Wait()
	select {
	case <-s.began:
		close(s.end)
		t.Fatal("one more runs")
	default:
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("one that gave up: %v", err)
	}
	close(s.end)
	for range mostSearches {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if err := ask(t.Context()); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
}
