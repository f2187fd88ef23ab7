package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/tenterhook/tenterhook/internal/action"
	"github.com/tenterhook/tenterhook/internal/store"
)

// pruneEvery is the pause between rounds of retention; within a round slices follow each other
// with pruneBreath between them, so that accepts are never behind more than one slice.
const (
	pruneEvery  = time.Minute
	pruneBreath = 20 * time.Millisecond
)

// mostLogs is how many bytes the whole outputs of all jobs take together.
const mostLogs = 1 << 30

// pruneLogs removes logs of jobs that are not kept any more, and the oldest beyond mostLogs.
func (d *Daemon) pruneLogs(ctx context.Context) {
	_, err := action.PruneLogs(d.logDir(), func(id string) (bool, error) {
		_, err := d.store.Job(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			return false, nil
		}
		return true, err
	}, mostLogs)
	if err != nil && ctx.Err() == nil {
		d.log.Warn("retention of logs", "error", err)
	}
}

// prune applies retention in small slices until ctx ends.
func (d *Daemon) prune(ctx context.Context) {
	pause := pruneBreath
	round := map[ofHeld]int{} // what was held and not taken, of which the log tells once
	defer d.tellUntaken(round)
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		if !d.pool.Leads() {
			pause = pruneEvery // one node does it for all
			d.pruneLogs(ctx)
			continue
		}
		pause = pruneBreath
		if !d.pruneSlice(ctx, round) {
			d.tellUntaken(round)
			d.pruneLogs(ctx)
			pause = pruneEvery
		}
	}
}

// pruneSlice deletes a slice, and reports whether there is more. It adds what nobody had taken to round.
func (d *Daemon) pruneSlice(ctx context.Context, round map[ofHeld]int) (more bool) {
	pruned, err := d.store.Prune(ctx, d.booted.Retention, time.Now())
	if err != nil && ctx.Err() == nil {
		d.log.Warn("retention", "error", err)
	}
	if d.untaken.add(pruned.Untaken); pruned.Untaken != nil {
		d.countHeldNow(ctx)
	}
	for _, u := range pruned.Untaken {
		round[ofHeld{u.Hook, u.State}] += u.Number
	}
	return pruned.More
}

// tellUntaken says what retention deleted in a round that no taker has: a person lost something.
func (d *Daemon) tellUntaken(round map[ofHeld]int) {
	for of, n := range round {
		d.log.Error("held deliveries deleted that nobody has taken: they were older than store.retention.for", "hook", of.hook, "deliveries", n, "state", string(of.state))
	}
	clear(round)
}
