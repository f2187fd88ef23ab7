package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// anew says which jobs a stored delivery gets when its rules decide on it anew.
type anew struct {
	which admin.ReplayOf
	rule  string // only this one's; "" is every rule's
	// begun: a rule whose last job of the delivery is not older gets none. A replay that was cut
	// off can so go over the same deliveries again and makes nothing twice.
	begun time.Time
}

// replay lets the rules in force decide anew on a stored delivery, and queues a job for each that
// matches and is wanted. A rule whose job of the delivery still waits or runs gets none.
func (d *Daemon) replay(ctx context.Context, id string, how anew) ([]job.Job, error) {
	delivery, err := d.store.Delivery(ctx, id)
	if err != nil {
		return nil, err
	}
	if h := d.hooks().Hook(delivery.Hook); h != nil && h.Hold != nil {
		return nil, d.handOutAgain(ctx, h, &delivery)
	}
	jobs, err := d.planAnew(ctx, &delivery, how)
	if err != nil || len(jobs) == 0 {
		return nil, err
	}
	if nodes := d.fleet(); nodes != nil && !how.begun.IsZero() {
		return nodes.Replay(ctx, id, jobs) // of a replay that the node that leads next goes on with
	}
	return d.store.Replay(ctx, id, jobs)
}

// planAnew returns the jobs that replay would queue.
func (d *Daemon) planAnew(ctx context.Context, delivery *job.Delivery, how anew) ([]job.Job, error) {
	h := d.hooks().Hook(delivery.Hook)
	if h == nil {
		return nil, fmt.Errorf("hook %q is no longer configured: %w", delivery.Hook, store.ErrNotFound)
	}
	before, err := d.store.Jobs(ctx, store.Filter{Delivery: delivery.ID, Limit: 500})
	if err != nil {
		return nil, err
	}
	now := d.now()
	if now.Before(how.begun) { // by another node, whose clock is as right as this one
		now = how.begun
	}
	jobs, err := h.PlanReplay(delivery, now)
	if err != nil {
		return nil, err
	}
	if jobs, err = d.pool.SpreadNow(ctx, jobs); err != nil {
		return nil, err
	}
	jobs = slices.DeleteFunc(jobs, func(j job.Job) bool { return !how.wants(&j, newest(before, &j)) })
	for i := range jobs {
		if last := newest(before, &jobs[i]); last != nil {
			jobs[i].ReplayOf = last.ID
		}
	}
	return jobs, nil
}

// newest is the last job of the rule that j is a job of, and of its node if it is for one; nil when
// there is none.
func newest(newestFirst []job.Job, j *job.Job) *job.Job {
	for i := range newestFirst {
		if last := &newestFirst[i]; last.Rule == j.Rule && (j.Target == "" || last.Target == "" || last.Target == j.Target) {
			return &newestFirst[i]
		}
	}
	return nil
}

// wants says whether a rule's job is to be made anew, when its last one is known.
func (a anew) wants(j, last *job.Job) bool {
	if a.rule != "" && j.Rule != a.rule {
		return false
	}
	if last == nil {
		return a.which != admin.ReplayFailed
	}
	if !a.begun.IsZero() && !last.CreatedAt.Before(a.begun) || !last.State.Terminal() {
		return false
	}
	switch a.which {
	case admin.ReplayFailed:
		return last.State.EndedBadly()
	case admin.ReplayMissing:
		return false
	}
	return true
}

// selection is a filter of deliveries as the store and the hooks understand it.
type selection struct {
	store.Filter
	match *hook.Matcher // nil: all
}

// selects reads what somebody asked for, as it is meant at the time now.
func (d *Daemon) selects(f job.ReplayFilter, now time.Time) (s selection, err error) {
	s.Filter = store.Filter{Hook: f.Hook, Rule: f.Rule, Event: f.Event, State: f.State, Outcome: f.Outcome, Limit: 500}
	if f.Which == string(admin.ReplayMissing) {
		s.Rule = "" // its jobs are what is missing
	}
	if s.Since, err = admin.ParseTime(f.Since, now); err != nil {
		return s, fmt.Errorf("%w: since: %w", admin.ErrRefused, err)
	}
	if s.Until, err = admin.ParseTime(f.Until, now); err != nil {
		return s, fmt.Errorf("%w: until: %w", admin.ErrRefused, err)
	}
	if s.Until.IsZero() || s.Until.After(now) {
		s.Until = now
	}
	if f.Hook != "" && d.hooks().Hook(f.Hook) == nil {
		return s, fmt.Errorf("%w: hook %q is not configured", admin.ErrRefused, f.Hook)
	}
	if f.Match == "" {
		return s, nil
	}
	if s.match, err = d.hooks().Hook(f.Hook).Matcher(f.Match); err != nil {
		return s, fmt.Errorf("%w: match: %w", admin.ErrRefused, err)
	}
	return s, nil
}

// each calls do with the deliveries that s selects, newest first, without their bodies.
func (d *Daemon) each(ctx context.Context, s selection, do func(*job.Delivery) error) error {
	for {
		page, err := d.store.Deliveries(ctx, s.Filter)
		if err != nil {
			return err
		}
		for i := range page {
			if page[i].Origin == job.OriginExpect {
				continue // no sender's: it is replayed by its id alone
			}
			if err := do(&page[i]); err != nil {
				return err
			}
		}
		if len(page) < s.Limit {
			return nil
		}
		s.Cursor = page[len(page)-1].ID
	}
}

// countReplay says what a replay would do.
func (d *Daemon) countReplay(ctx context.Context, f job.ReplayFilter) (c admin.ReplayCount, err error) {
	if !d.replays.counting.TryLock() {
		return c, fmt.Errorf("%w: another replay is being counted", admin.ErrBusy)
	}
	defer d.replays.counting.Unlock()
	ctx, cancel := context.WithTimeout(ctx, countWithin)
	defer cancel()
	s, err := d.selects(f, d.now())
	if err != nil {
		return c, err
	}
	err = d.each(ctx, s, func(row *job.Delivery) error {
		jobs, in, err := d.tryAnew(ctx, row.ID, s, f)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			c.Errors++
		}
		if in {
			c.Deliveries++
			c.Jobs += jobs
		}
		return nil
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return c, fmt.Errorf("%w: these are more deliveries than can be counted in %s: narrow the filter, or begin without counting", admin.ErrRefused, countWithin)
	}
	if r, ok := d.replays.unfinished(f); ok {
		c.Unfinished = r.ID
	}
	return c, err
}

// countWithin bounds a dry run: its answer must come within the server's time.
const countWithin = 50 * time.Second

// tryAnew says how many jobs a delivery would get, and whether it is selected at all.
func (d *Daemon) tryAnew(ctx context.Context, id string, s selection, f job.ReplayFilter) (jobs int, in bool, err error) {
	delivery, err := d.store.Delivery(ctx, id)
	if err != nil {
		return 0, true, err
	}
	if s.match != nil {
		if in, err = s.match.Matches(&delivery); !in {
			return 0, err != nil, err
		}
	}
	planned, err := d.planAnew(ctx, &delivery, anew{which: admin.ReplayOf(f.Which), rule: f.Rule})
	return len(planned), true, err
}
