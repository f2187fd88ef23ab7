package daemon

import (
	"context"
	"time"

	"github.com/tenterhook/tenterhook/internal/ingress"
	"github.com/tenterhook/tenterhook/internal/store"
)

// rejectsEvery is how often refused requests are written down: a flood of them costs the store
// one small write in that time, behind every other.
const rejectsEvery = 5 * time.Second

// restoreRejects makes the list of refused requests, with those of the run before.
func (d *Daemon) restoreRejects(ctx context.Context) error {
	d.rejects = ingress.NewRejects(d.tellReject)
	filter := store.Filter{Limit: 500}
	kept, err := d.store.Rejects(ctx, filter)
	if err != nil {
		return err
	}
	if len(kept) == filter.Limit {
		filter.Cursor = kept[len(kept)-1].ID
		older, err := d.store.Rejects(ctx, filter)
		if err != nil {
			return err
		}
		kept = append(kept, older...)
	}
	d.rejects.Restore(kept)
	d.onStop("rejects", func() error { return d.keepRejects(context.Background()) })
	return nil
}

// writeRejects writes refused requests down until ctx ends.
func (d *Daemon) writeRejects(ctx context.Context) {
	every(ctx, rejectsEvery, nil, func() {
		if err := d.keepRejects(ctx); err != nil && ctx.Err() == nil {
			d.log.Warn("refused requests are listed and not written down", "error", err)
		}
	})
}

func (d *Daemon) keepRejects(ctx context.Context) error {
	changed, unlisted := d.rejects.Changes()
	if unlisted > 0 {
		d.log.Warn("more requests are refused than are listed", "unlisted", unlisted)
	}
	if len(changed) == 0 {
		return nil
	}
	return d.store.KeepRejects(ctx, changed, ingress.MostRejects)
}
