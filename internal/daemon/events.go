package daemon

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/relay"
	"github.com/tenterhook/tenterhook/internal/store"
)

// watched is a store that tells the feed what it has committed. While nobody listens it costs a
// look at a flag.
type watched struct {
	opened
	feed    *admin.Feed
	silence *silence     // hears of what is accepted; nil: nobody does
	relay   *relay.Relay // hears of what is held; nil: nobody does
}

// Accept implements ingress.Accepter.
func (w watched) Accept(ctx context.Context, d *job.Delivery, jobs []job.Job) (store.Receipt, error) {
	w.arrived(d, jobs)
	receipt, err := w.opened.Accept(ctx, d, jobs)
	if err == nil && !receipt.Duplicate && w.silence != nil {
		w.silence.seen(d)
	}
	if err == nil && !receipt.Duplicate && d.Held != nil && w.relay != nil {
		w.relay.Stored(d)
	}
	if err != nil || !w.feed.Heard() {
		return receipt, err
	}
	wire := admin.NewDelivery(d) // not d, whose body would be kept with the event
	wire.ID, wire.Jobs = receipt.Delivery, nil
	if receipt.Duplicate {
		wire.Outcome = string(job.Duplicate)
	}
	for i := range receipt.Jobs {
		wire.Jobs = append(wire.Jobs, receipt.Jobs[i].ID)
	}
	w.feed.Publish(admin.EventDelivery, d.Hook, func(context.Context) (any, error) { return wire, nil })
	return receipt, nil
}

// Start implements worker.Store.
func (w watched) Start(ctx context.Context, m store.StartMark) error {
	err := w.opened.Start(ctx, m)
	var refused *store.RefusedError
	switch {
	case errors.As(err, &refused):
		w.moved(m.Job, func(*job.Job) {})
	case err == nil:
		w.moved(m.Job, func(j *job.Job) {
			j.State, j.Attempt, j.StartedAt, j.Node, j.Ending = job.Running, m.Attempt, m.At, m.Node, ""
			j.FinishedAt, j.ExitCode, j.Error, j.Reason = time.Time{}, nil, "", ""
		})
	}
	return err
}

// Finish implements worker.Store.
func (w watched) Finish(ctx context.Context, e store.Ended) error {
	e.RunAt = w.right(e.RunAt)
	err := w.opened.Finish(ctx, e)
	if err != nil {
		return err
	}
	e.Output, e.Controls = nil, nil // the event is kept for a while, and needs neither
	w.moved(e.Job, func(j *job.Job) {
		arrive(j, e.Next, e.At, e.RunAt)
		j.Attempt, j.ExitCode, j.Error, j.Reason, j.SupersededBy = e.Attempt, e.ExitCode, e.Error, e.Reason, e.SupersededBy
		if e.FollowUps && e.Next.Terminal() {
			j.State, j.Ending, j.FinishedAt = job.Running, e.Next, time.Time{}
		}
	})
	return nil
}

// Settle implements worker.Store.
func (w watched) Settle(ctx context.Context, s store.Settle) error {
	s.RunAt = w.right(s.RunAt)
	err := w.opened.Settle(ctx, s)
	if err == nil {
		w.moved(s.Job, func(j *job.Job) {
			arrive(j, s.Next, s.At, s.RunAt)
			j.Reason, j.SupersededBy = s.Reason, s.SupersededBy
		})
	}
	return err
}

// Conclude implements worker.Store.
func (w watched) Conclude(ctx context.Context, id string, at time.Time) error {
	err := w.opened.Conclude(ctx, id, at)
	if err == nil {
		w.moved(id, func(*job.Job) {})
	}
	return err
}

// arrive puts a job into its next state.
func arrive(j *job.Job, next job.State, at, runAt time.Time) {
	j.State, j.Ending, j.FinishedAt = next, "", time.Time{}
	if next.Terminal() {
		j.FinishedAt = at
	} else if !runAt.IsZero() {
		j.RunAt = runAt
	}
}

// moved tells that a job has moved. The row is read when somebody wants it, and may have moved on
// by then: change makes it what it was.
func (w watched) moved(id string, change func(*job.Job)) {
	if !w.feed.Heard() {
		return
	}
	w.feed.PublishJob(id, func(ctx context.Context) (admin.Job, error) {
		j, err := w.Job(ctx, id)
		if err != nil {
			return admin.Job{}, err
		}
		change(&j)
		return admin.NewJob(&j), nil
	})
}

// told takes jobs that the store's writer has committed.
func (d *Daemon) told(jobs []job.Job) {
	d.pool.Committed(jobs)
	if !d.feed.Heard() {
		return
	}
	for i := range jobs {
		wire := admin.NewJob(&jobs[i])
		d.feed.PublishJob(wire.ID, func(context.Context) (admin.Job, error) { return wire, nil })
	}
}

// tellReload tells of a reload, and keeps one that nobody asked the admin side for.
func (d *Daemon) tellReload(trigger string, ok bool, result admin.ReloadResult) {
	wire := admin.ReloadEvent{
		At: admin.Time{Time: time.Now()}, Trigger: trigger, OK: ok, Changed: result.Changed, Digest: result.Digest,
		Problems: admin.NewDiagnostics(result.Problems),
	}
	d.feed.Publish(admin.EventReload, "", func(context.Context) (any, error) { return wire, nil })
	if trigger == triggerAdmin || ok && !result.Changed {
		return
	}
	e := job.AuditEntry{At: wire.At.Time, Who: trigger, Action: "reload", Subject: result.Digest, Result: "ok"}
	if !ok {
		e.Result = "refused: the configuration has problems"
	}
	d.auditOwn(e)
}

// auditOwn keeps an entry of what nobody asked the admin side for. The log has it too, with the
// hash, as it has theirs.
func (d *Daemon) auditOwn(e job.AuditEntry) {
	ctx, cancel := context.WithTimeout(context.Background(), keepWithin)
	defer cancel()
	kept, err := d.audit(ctx, e)
	if err != nil {
		d.log.Error("audit entry not kept", "error", err)
		kept = e
	}
	d.log.Info("audit", "action", e.Action, "id", e.Subject, "by", e.Who, "result", e.Result, "n", kept.N, "hash", kept.Hash)
}

// audit keeps an entry of the audit log and tells of it.
func (d *Daemon) audit(ctx context.Context, e job.AuditEntry) (job.AuditEntry, error) {
	kept, err := d.store.Audit(ctx, e)
	if err != nil {
		return kept, err
	}
	d.feed.Publish(admin.EventAudit, "", func(context.Context) (any, error) { return admin.NewAuditEntry(&kept), nil })
	return kept, nil
}

// tellReject tells of a request that was refused.
func (d *Daemon) tellReject(r job.Reject) {
	d.feed.Publish(admin.EventReject, r.Hook, func(context.Context) (any, error) { return admin.NewReject(&r), nil })
}

// listRejects picks from the list in memory, which is what the store has and newer.
func (d *Daemon) listRejects(f store.Filter) ([]job.Reject, error) {
	all := d.rejects.List()
	if f.Cursor != "" {
		at := slices.IndexFunc(all, func(r job.Reject) bool { return r.ID == f.Cursor })
		if at < 0 {
			return nil, store.ErrNotFound
		}
		all = all[at+1:]
	}
	var out []job.Reject
	for _, r := range all {
		in := (f.Hook == "" || r.Hook == f.Hook) && !r.At.Before(f.Since) && (f.Until.IsZero() || r.At.Before(f.Until))
		if in && len(out) < f.Limit {
			out = append(out, r)
		}
	}
	return out, nil
}
