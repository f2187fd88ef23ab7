package daemon

import (
	"context"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/search"
	"github.com/tenterhook/tenterhook/internal/store"
)

// Searched is what of a store a search reads.
type Searched interface {
	search.Store
	CountDeliveries(ctx context.Context, f store.Filter) (int, error)
}

// Search looks into stored deliveries with the names of a set of hooks, nil for none.
func Search(ctx context.Context, from Searched, set *hook.Set, f store.Filter, s admin.Search, patience time.Duration) (admin.Found, error) {
	var found admin.Found
	compiled, err := search.Compile(search.Query(s), f.Hook, set)
	if err != nil {
		return found, admin.NewMatchError(s.Match, err)
	}
	if f.Cursor == "" {
		if found.Total, err = from.CountDeliveries(ctx, f); err != nil {
			return found, err
		}
	}
	r, err := compiled.Run(ctx, from, f, patience)
	found.Deliveries, found.Scanned, found.Next, found.Failed, found.Failure = r.Found, r.Scanned, r.Next, r.Failed, r.Failure
	return found, err
}

// mostSearches is how many searches run at once; others wait. Each reads bodies and evaluates conditions
// for up to admin.SearchPatience, on the processors that deliveries are taken in with.
const mostSearches = 2

func (b backend) Search(ctx context.Context, f store.Filter, s admin.Search) (admin.Found, error) {
	select {
	case b.d.searches <- struct{}{}:
	case <-ctx.Done():
		return admin.Found{}, context.Cause(ctx)
	}
	defer func() { <-b.d.searches }()
	return Search(ctx, b.d.store, b.d.hooks(), f, s, admin.SearchPatience)
}
