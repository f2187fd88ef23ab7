package daemon

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// pauses are the rules that start nothing, as the store has them.
type pauses struct {
	changing sync.Mutex // held while one is changed, so that the pool hears of them in order

	mu  sync.Mutex
	all []job.Pause
}

func (p *pauses) set(all []job.Pause) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = all
}

func (p *pauses) has(hook, rule string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.all {
		if one.Hook == hook && one.Rule == rule {
			return true
		}
	}
	return false
}

func (p *pauses) list() []admin.Pause {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]admin.Pause, len(p.all))
	for i, one := range p.all {
		out[i] = admin.NewPause(one)
	}
	return out
}

// setPause keeps that a rule is paused, or no longer, and then tells the pool.
func (d *Daemon) setPause(ctx context.Context, hook, rule string, on bool) error {
	d.paused.changing.Lock()
	defer d.paused.changing.Unlock()
	h := d.hooks().Hook(hook)
	known := h != nil && (rule == "" || d.hooks().Rule(hook, rule) != nil)
	if !known && !(!on && d.paused.has(hook, rule)) {
		if rule == "" {
			return fmt.Errorf("hook %s: %w", hook, store.ErrNotFound)
		}
		return fmt.Errorf("rule %s/%s: %w", hook, rule, store.ErrNotFound)
	}
	if on && d.paused.has(hook, rule) {
		return nil // since when stays as it was
	}
	p := job.Pause{Hook: hook, Rule: rule, Since: time.Now(), Reason: "paused by a person"}
	if err := d.store.SetPause(ctx, p, on); err != nil {
		return err
	}
	wire := admin.PauseEvent{At: admin.Time{Time: p.Since}, Hook: hook, Rule: rule, Paused: on}
	d.feed.Publish(admin.EventPause, hook, func(context.Context) (any, error) { return wire, nil })
	if err := d.readPauses(ctx); err != nil {
		return err
	}
	d.pool.TellPaused()
	return nil
}

// pausesChanged takes up what another node has paused or resumed.
func (d *Daemon) pausesChanged(ctx context.Context) {
	if err := d.readPauses(ctx); err != nil {
		d.log.Warn("read what is paused", "error", err)
	}
}

// readPauses takes up what the store has.
func (d *Daemon) readPauses(ctx context.Context) error {
	all, err := d.store.Pauses(ctx)
	if err != nil {
		return err
	}
	d.paused.set(all)
	d.pool.SetPaused(all)
	return nil
}
