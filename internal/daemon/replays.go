package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// replays are the replays of many deliveries that are known, of which one runs at a time. What
// they have done is written down as they go; a daemon that starts goes on with the one that ran.
type replays struct {
	counting sync.Mutex // held by a dry run

	changing sync.Mutex // held while one is begun or ended
	wake     chan struct{}

	mu     sync.Mutex
	all    []job.Replay // newest first
	cancel func()       // ends the one that runs, nil when none does
	ending string       // the one that somebody has cancelled
}

// noteEvery is how often a replay writes down how far it is. What it did since is found out
// again after a crash.
const noteEvery = time.Second

func (r *replays) list() []job.Replay {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

// put takes a replay up in the place of the one with its id.
func (r *replays) put(one job.Replay) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.IndexFunc(r.all, func(x job.Replay) bool { return x.ID == one.ID }); i >= 0 {
		r.all[i] = one
		return
	}
	r.all = slices.Insert(r.all, 0, one)
	r.all = r.all[:min(len(r.all), job.MostReplays)]
}

// unfinished is the last replay of a filter, when it was not through: whoever asks for the same
// again goes on with it.
func (r *replays) unfinished(f job.ReplayFilter) (job.Replay, bool) {
	for _, one := range r.list() {
		if one.Asked == f {
			return one, one.Status != job.ReplayDone
		}
	}
	return job.Replay{}, false
}

// begin says how the replay that runs is ended. One that was cancelled before ends at once.
func (r *replays) begin(id string, cancel func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cancel = cancel; cancel != nil && r.ending == id {
		cancel()
	}
	r.ending = ""
}

// end ends the replay that runs, or is about to.
func (r *replays) end(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cancel != nil {
		r.cancel()
		return
	}
	r.ending = id
}

func (r *replays) running() (job.Replay, bool) {
	for _, one := range r.list() {
		if one.Status == job.ReplayRunning {
			return one, true
		}
	}
	return job.Replay{}, false
}

// readReplays takes up what the store has.
func (d *Daemon) readReplays(ctx context.Context) error {
	all, err := d.store.Replays(ctx)
	if err != nil {
		return err
	}
	d.replays.all, d.replays.wake = all, make(chan struct{}, 1)
	d.replays.wake <- struct{}{} // one of them may have been cut off
	return nil
}

// startReplay begins a replay, or goes on with one of the same filter that was not through.
func (d *Daemon) startReplay(ctx context.Context, who string, q admin.ReplayRequest) (job.Replay, error) {
	d.replays.changing.Lock()
	defer d.replays.changing.Unlock()
	if err := d.refreshReplays(ctx); err != nil {
		return job.Replay{}, err
	}
	now := d.now()
	known, unfinished := d.replays.unfinished(q.ReplayFilter)
	if running, ok := d.replays.running(); ok {
		if running.ID == known.ID && !q.Fresh {
			return running, nil
		}
		return job.Replay{}, fmt.Errorf("%w: replay %s runs already, one runs at a time", admin.ErrBusy, running.ID)
	}
	r := known
	if !unfinished || q.Fresh {
		s, err := d.selects(q.ReplayFilter, now)
		if err != nil {
			return job.Replay{}, err
		}
		r = job.Replay{ID: job.NewID(), Who: who, Asked: q.ReplayFilter, Since: s.Since, Until: s.Until, CreatedAt: now}
	}
	r.Status, r.FinishedAt, r.UpdatedAt = job.ReplayRunning, time.Time{}, now
	r.Rate = cmp.Or(q.Rate, admin.DefaultRate)
	if err := d.noteReplay(ctx, r); err != nil {
		return job.Replay{}, err
	}
	select {
	case d.replays.wake <- struct{}{}:
	default:
	}
	return r, nil
}

// noteReplay writes down how far a replay is, and tells of it.
func (d *Daemon) noteReplay(ctx context.Context, r job.Replay) error {
	if err := d.store.KeepReplay(ctx, r); err != nil {
		return err
	}
	d.showReplay(r)
	return nil
}

// showReplay shows how far a replay is before that is written down.
func (d *Daemon) showReplay(r job.Replay) {
	d.replays.put(r)
	d.feed.Publish(admin.EventReplay, r.Asked.Hook, func(context.Context) (any, error) { return admin.NewReplay(&r), nil })
}

// cancelReplay ends the replay that runs. What it did stays.
func (d *Daemon) cancelReplay(ctx context.Context, id string) (job.Replay, error) {
	if d.pool.Leads() {
		return d.cancelReplayHere(ctx, id)
	}
	said, err := d.fleet().AskLeader(ctx, askCancelReplay, id)
	if err != nil || said != "" {
		if said == "" {
			return job.Replay{}, fmt.Errorf("%w: the node that runs the replay does not answer: %w", admin.ErrBusy, err)
		}
		return job.Replay{}, fmt.Errorf("%w: %s", admin.ErrBusy, said)
	}
	if err := d.refreshReplays(ctx); err != nil {
		return job.Replay{}, err
	}
	for _, r := range d.replays.list() {
		if r.ID == id {
			return r, nil
		}
	}
	return job.Replay{}, fmt.Errorf("replay %s: %w", id, store.ErrNotFound)
}

// askCancelReplay asks the node that leads to cancel a replay. It answers why it does not.
const askCancelReplay = "cancel replay"

// asked answers other nodes.
func (d *Daemon) asked(ctx context.Context, kind, subject string) (string, bool) {
	if kind != askCancelReplay || !d.pool.Leads() {
		return "", false
	}
	_, err := d.cancelReplayHere(ctx, subject)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "", false
	case err != nil:
		return err.Error(), true
	}
	return "", true
}

func (d *Daemon) cancelReplayHere(ctx context.Context, id string) (job.Replay, error) {
	d.replays.changing.Lock()
	defer d.replays.changing.Unlock()
	all := d.replays.list()
	i := slices.IndexFunc(all, func(r job.Replay) bool { return r.ID == id })
	switch {
	case i < 0:
		return job.Replay{}, fmt.Errorf("replay %s: %w", id, store.ErrNotFound)
	case all[i].Status != job.ReplayRunning:
		return job.Replay{}, fmt.Errorf("%w: replay %s is %s", admin.ErrBusy, id, all[i].Status)
	}
	d.replays.end(id)
	ctx, cancel := context.WithTimeout(ctx, keepWithin)
	defer cancel()
	for { // the runner lets go at once, or after the delivery it is at
		if r, _ := d.replays.running(); r.ID != id {
			break
		}
		select {
		case <-ctx.Done():
			return job.Replay{}, fmt.Errorf("cancel replay: %w", ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
	all = d.replays.list()
	return all[slices.IndexFunc(all, func(r job.Replay) bool { return r.ID == id })], nil
}

// runReplays runs one replay after the other until ctx ends. One that is cut off by that stays
// running, and the next daemon goes on with it.
func (d *Daemon) runReplays(ctx context.Context) {
	look := time.NewTicker(replaysLook)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.replays.wake:
		case <-look.C:
			if err := d.refreshReplays(ctx); err != nil && ctx.Err() == nil {
				d.log.Debug("read replays", "error", err)
			}
		}
		for d.pool.Leads() { // one node runs them for all
			r, ok := d.replays.running()
			if !ok || ctx.Err() != nil {
				break
			}
			d.runReplay(ctx, r)
		}
	}
}

// replaysLook is how often it is looked for what other nodes have begun.
const replaysLook = 2 * time.Second

// refreshReplays takes up what other nodes have written down, but for the replay that runs here.
func (d *Daemon) refreshReplays(ctx context.Context) error {
	if d.fleet() == nil {
		return nil
	}
	all, err := d.store.Replays(ctx)
	if err != nil {
		return err
	}
	d.replays.mu.Lock()
	defer d.replays.mu.Unlock()
	if d.replays.cancel != nil {
		return nil // what runs here is newer than what is written down
	}
	d.replays.all = all
	return nil
}

var errNotLeading = errors.New("another node goes on with it")

func (d *Daemon) runReplay(ctx context.Context, r job.Replay) {
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	d.replays.begin(r.ID, cancel)
	defer d.replays.begin("", nil)
	err := d.replayAll(work, &r)
	if errors.Is(err, errNotLeading) {
		return // what is written down of it is that node's
	}
	if ctx.Err() != nil {
		d.keepReplay(r) // it is gone on with after the restart
		return
	}
	r.FinishedAt, r.Status = time.Now(), job.ReplayDone
	switch {
	case work.Err() != nil:
		r.Status = job.ReplayCancelled
	case err != nil:
		r.Status, r.Reason = job.ReplayFailed, err.Error()
	}
	d.keepReplay(r)
	d.log.Info("replay "+string(r.Status), "replay", r.ID, "deliveries", r.Done, "of", r.Total, "jobs", r.Made, "without", r.Skipped, "failed", r.Failed)
	result := fmt.Sprintf("%s: %d of %d deliveries, %d new jobs", r.Status, r.Done, r.Total, r.Made)
	d.auditOwn(job.AuditEntry{At: r.FinishedAt, Who: "daemon", Action: "replay ended", Subject: r.ID, Result: result})
}

// keepWithin bounds a write that must not be broken off.
const keepWithin = 5 * time.Second

// keepReplay writes down how far r is, as well as can be.
func (d *Daemon) keepReplay(r job.Replay) {
	ctx, cancel := context.WithTimeout(context.Background(), keepWithin)
	defer cancel()
	r.UpdatedAt = time.Now()
	if err := d.noteReplay(ctx, r); err != nil {
		d.showReplay(r) // it ends nevertheless: what runs is what is shown
		d.log.Warn("how far a replay is was not written down", "replay", r.ID, "error", err)
	}
}

// replayAll decides anew on one delivery after the other, the oldest first, at the pace of r.
func (d *Daemon) replayAll(ctx context.Context, r *job.Replay) error {
	s, err := d.selects(r.Asked, r.CreatedAt)
	if err != nil {
		return err
	}
	s.Since, s.Until = r.Since, r.Until
	ids, err := d.chosen(ctx, s)
	if err != nil {
		return err
	}
	r.Total, r.Done = len(ids), 0
	if at := slices.Index(ids, r.Last); at >= 0 {
		r.Done = at + 1
	}
	d.showReplay(*r)
	pace := rate.NewLimiter(rate.Limit(r.Rate), 1)
	for noted := (time.Time{}); r.Done < len(ids); {
		if err := d.breath(ctx, pace); err != nil {
			return err
		}
		if !d.pool.Leads() {
			return errNotLeading
		}
		id := ids[r.Done]
		if err := d.replayOne(ctx, r, s, id); err != nil {
			return err
		}
		r.Done, r.Last = r.Done+1, id
		d.replays.put(*r)
		if now := time.Now(); now.Sub(noted) >= noteEvery {
			noted, r.UpdatedAt = now, now
			if err := d.noteReplay(ctx, *r); err != nil && ctx.Err() == nil {
				d.log.Warn("how far a replay is was not written down", "replay", r.ID, "error", err)
			}
		}
	}
	return nil
}

// breath waits for the next delivery's turn, and for room in the queue.
func (d *Daemon) breath(ctx context.Context, pace *rate.Limiter) error {
	for {
		if err := pace.Wait(ctx); err != nil {
			return err
		}
		if !d.pool.Full() {
			return nil
		}
	}
}

// chosen are the ids of the deliveries that s selects, the oldest first: what came first runs
// first again.
func (d *Daemon) chosen(ctx context.Context, s selection) (ids []string, err error) {
	err = d.each(ctx, s, func(row *job.Delivery) error {
		ids = append(ids, row.ID)
		return nil
	})
	slices.Reverse(ids)
	return ids, err
}

// replayOne decides anew on one delivery. An error means that the replay cannot go on.
func (d *Daemon) replayOne(ctx context.Context, r *job.Replay, s selection, id string) error {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		// Not broken off with ctx: nobody would know whether jobs were made.
		whole, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*keepWithin)
		made, err := d.matched(whole, r, s, id)
		cancel()
		switch {
		case err != nil && !d.pool.Leads():
			return errNotLeading
		case errors.Is(err, store.ErrUnavailable):
			d.log.Warn("store is not available, the replay waits", "replay", r.ID, "error", err)
			select { // what was written nevertheless is found in the next try
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(pause):
			}
			continue
		case errors.Is(err, store.ErrNotFound):
			r.Skipped++ // retention took it away, or its hook is gone
		case err != nil:
			r.Failed++
			d.log.Warn("delivery not replayed", "replay", r.ID, "delivery", id, "error", err)
		case made == 0:
			r.Skipped++
		}
		r.Made += made
		return nil
	}
}

func (d *Daemon) matched(ctx context.Context, r *job.Replay, s selection, id string) (made int, err error) {
	if s.match != nil {
		delivery, err := d.store.Delivery(ctx, id)
		if err != nil {
			return 0, err
		}
		if ok, err := s.match.Matches(&delivery); !ok {
			return 0, err
		}
	}
	jobs, err := d.replay(ctx, id, anew{which: admin.ReplayOf(r.Asked.Which), rule: r.Asked.Rule, begun: r.CreatedAt})
	return len(jobs), err
}
