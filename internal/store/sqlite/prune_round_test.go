package sqlite

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// TestPrune_SlicesOfARoundKeepAsManyAsRetentionSays has more to delete than one slice may, and
// deliveries in between that may not go.
func TestPrune_SlicesOfARoundKeepAsManyAsRetentionSays(t *testing.T) {
	s := open(t, t.TempDir()+"/t.db", Options{})
	ctx := context.Background()
	for i := range 300 {
		d := newDelivery(fmt.Sprint(i))
		if err := put(s, d); err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 {
			continue // its job waits
		}
		jobs, err := s.Jobs(ctx, store.Filter{Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Settle(ctx, store.Settle{Job: jobs[0].ID, At: epoch, Next: job.Cancelled, Reason: "r"}); err != nil {
			t.Fatal(err)
		}
	}
	slices, more := 0, true
	for more {
		pruned, err := s.Prune(ctx, store.Retention{Deliveries: 100}, epoch.Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		more = pruned.More
		slices++
	}
	left, err := s.Deliveries(ctx, store.Filter{Limit: 500})
	if err != nil || len(left) != 100 || slices < 3 {
		t.Errorf("%d deliveries are left after %d slices (%v), want 100", len(left), slices, err)
	}
	if live := 0; s.Live(ctx, func(job.Job) bool { live++; return true }) != nil || live != 30 {
		t.Errorf("%d live jobs are left, want 30", live)
	}
}
