package daemon

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// replay lets the rules in force decide anew on a stored delivery, and queues a job for each that
// matches and is wanted. A rule whose job of the delivery still waits or runs gets none.
func (d *Daemon) replay(ctx context.Context, id string, which admin.ReplayOf) ([]job.Job, error) {
	delivery, err := d.store.Delivery(ctx, id)
	if err != nil {
		return nil, err
	}
	h := d.hooks().Hook(delivery.Hook)
	if h == nil {
		return nil, fmt.Errorf("hook %q is no longer configured: %w", delivery.Hook, store.ErrNotFound)
	}
	before, err := d.store.Jobs(ctx, store.Filter{Delivery: id, Limit: 500})
	if err != nil {
		return nil, err
	}
	jobs, err := h.PlanReplay(&delivery, time.Now())
	if err != nil {
		return nil, err
	}
	jobs = slices.DeleteFunc(jobs, func(j job.Job) bool { return !wanted(&j, before, which) })
	for i := range jobs {
		if last := newest(before, jobs[i].Rule); last != nil {
			jobs[i].ReplayOf = last.ID
		}
	}
	if len(jobs) == 0 {
		return nil, nil
	}
	return d.store.Replay(ctx, id, jobs)
}

// newest is the last job of a rule, nil when it has none.
func newest(newestFirst []job.Job, rule string) *job.Job {
	for i := range newestFirst {
		if newestFirst[i].Rule == rule {
			return &newestFirst[i]
		}
	}
	return nil
}

// wanted says whether a rule's job is to be replayed.
func wanted(j *job.Job, before []job.Job, which admin.ReplayOf) bool {
	last := newest(before, j.Rule)
	switch which {
	case admin.ReplayFailed:
		return last != nil && last.State.EndedBadly()
	case admin.ReplayMissing:
		return last == nil
	}
	return true
}
