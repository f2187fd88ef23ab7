package daemon

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/tracing"
)

// silence watches hooks that expect deliveries, and stores a delivery of its own with the jobs of
// their actions when one does not come and when it is back. It is safe for concurrent use.
type silence struct {
	store silenceStore
	hooks func() *hook.Set
	gaps  func() []job.Gap
	now   func() time.Time // by the clock that deliveries are stored by
	log   *slog.Logger
	trace *tracing.Tracer
	wake  chan struct{}
	// Of watch alone:
	told   map[string]time.Time // the silence that was told of in this run
	looked map[string]time.Time // when the store was last looked through while a silence lasts
	begun  bool                 // the store has been looked through once

	mu     sync.Mutex
	states map[string]job.Expectation // by hook
	dirty  map[string]bool            // not on disk as they are
}

// silenceStore is what silence needs of a store.
type silenceStore interface {
	Accept(ctx context.Context, d *job.Delivery, jobs []job.Job) (store.Receipt, error)
	ReadDeliveries(ctx context.Context, f store.Filter, maxBytes int) ([]job.Delivery, error)
	SetExpectation(ctx context.Context, e job.Expectation, on bool) error
	Expectations(ctx context.Context) ([]job.Expectation, error)
}

// The bounds of a look into the store for a delivery that was not noticed: pages, their rows and
// their bytes.
const (
	silencePages = 200
	silenceRows  = 100
	silenceBytes = 4 << 20
)

// silenceEvery is how often is looked whether a delivery is overdue.
const silenceEvery = 15 * time.Second

// openSilence takes up what the store has. The caller sets store, hooks, gaps, now and log.
func openSilence(ctx context.Context, w *silence) (*silence, error) {
	all, err := w.store.Expectations(ctx)
	if err != nil {
		return nil, err
	}
	w.wake, w.told, w.looked = make(chan struct{}, 1), map[string]time.Time{}, map[string]time.Time{}
	w.states, w.dirty = map[string]job.Expectation{}, map[string]bool{}
	for _, e := range all {
		w.states[e.Hook] = e
	}
	return w, nil
}

// seen takes note of a delivery that was stored.
func (w *silence) seen(d *job.Delivery) {
	h := w.hooks().Hook(d.Hook)
	if h == nil || h.Expect == nil {
		return
	}
	counts, err := h.Expect.Counts(d)
	if err != nil {
		w.log.Warn("not known whether a delivery was expected", "hook", d.Hook, "delivery", d.ID, "error", err)
	}
	if counts {
		w.came(d.Hook, d.ReceivedAt)
	}
}

// came notes when an expected delivery came.
func (w *silence) came(hook string, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, known := w.states[hook]
	if !known {
		return
	}
	e, news := e.Came(at.Truncate(time.Microsecond)) // as the store has it
	if !news {
		return
	}
	w.states[hook], w.dirty[hook] = e, true
	if !e.Silent.IsZero() {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// watch looks for what is overdue until ctx ends.
func (w *silence) watch(ctx context.Context) {
	atOnceAndEvery(ctx, silenceEvery, w.wake, func() { w.check(ctx, w.now().Round(0).Truncate(time.Microsecond)) })
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), heartbeatTime)
	defer cancel()
	w.writeDown(last)
}

// check looks at every hook once. What fails is tried again at the next look.
func (w *silence) check(ctx context.Context, now time.Time) {
	if err := w.refresh(ctx); err != nil {
		if ctx.Err() == nil {
			w.log.Warn("not known whether deliveries are missing", "error", err)
		}
		return
	}
	expecting := map[string]bool{}
	for _, h := range w.hooks().Hooks() {
		if h.Expect == nil || !h.Enabled {
			continue
		}
		expecting[h.Name] = true
		if err := w.look(ctx, h, now); err != nil && ctx.Err() == nil {
			w.log.Warn("not known whether deliveries are missing", "hook", h.Name, "error", err)
		}
	}
	w.begun = true
	w.forget(ctx, expecting)
	w.writeDown(ctx)
}

// refresh takes up what other daemons on the store found out.
func (w *silence) refresh(ctx context.Context) error {
	all, err := w.store.Expectations(ctx)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range all {
		if mine := w.states[e.Hook]; mine.Last.After(e.Last) {
			e.Last = mine.Last
		}
		w.states[e.Hook] = e
	}
	return nil
}

// look brings one hook from what was known to what is the case.
func (w *silence) look(ctx context.Context, h *hook.Hook, now time.Time) error {
	e, known := w.state(h.Name)
	if !known {
		return w.put(ctx, job.Expectation{Hook: h.Name, Since: now})
	}
	if settled := e.Settled(now); settled != e {
		e = w.setBack(settled)
	}
	overdue := func() bool { return e.Silent.IsZero() && !now.Before(e.Due(h.Expect.Silence(), w.gaps(), now)) }
	if overdue() || !w.begun || !e.Silent.IsZero() {
		// The store is the truth: a crash may have lost what was noted of a delivery, here or on another node.
		if err := w.catchUp(ctx, h, e, now); err != nil {
			return err
		}
		e, _ = w.state(h.Name)
	}
	if overdue() {
		e.Silent = e.From()
		if err := w.put(ctx, e); err != nil {
			return err
		}
	}
	if e.Silent.IsZero() {
		return nil
	}
	return w.tell(ctx, h, e, now)
}

// setBack takes up a state whose times were after now.
func (w *silence) setBack(e job.Expectation) job.Expectation {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.states[e.Hook], w.dirty[e.Hook] = e, true
	w.log.Warn("the clock was set back: an expected delivery is waited for from now on", "hook", e.Hook)
	return e
}

// tell says that deliveries are missing, and when they are back that too.
func (w *silence) tell(ctx context.Context, h *hook.Hook, e job.Expectation, now time.Time) error {
	if !w.told[h.Name].Equal(e.Silent) { // or, after a crash, it may not have been said
		if err := w.say(ctx, h, job.EventMissing, e, now); err != nil {
			return err
		}
		w.told[h.Name] = e.Silent
	}
	if !e.Last.After(e.Silent) {
		return nil
	}
	if err := w.say(ctx, h, job.EventBack, e, now); err != nil {
		return err
	}
	e.Silent = time.Time{}
	return w.put(ctx, e)
}

// say stores what there is to say, once for a silence.
func (w *silence) say(ctx context.Context, h *hook.Hook, event string, e job.Expectation, now time.Time) error {
	until := now
	if event == job.EventBack {
		until = e.Last
	}
	before := job.Expectation{Since: e.Silent}
	s := hook.Silence{
		Since: e.Silent, Due: before.Due(h.Expect.Silence(), w.gaps(), until), Seconds: until.Sub(e.Silent).Seconds(),
		NotListening: job.GapTime(w.gaps(), e.Silent, until).Seconds(),
	}
	if !e.Last.IsZero() {
		s.Last = &e.Last
	}
	d, jobs, err := h.Expect.Tell(event, s, now)
	if err != nil {
		return err
	}
	receipt, err := w.store.Accept(ctx, d, jobs)
	if err != nil || receipt.Duplicate {
		return err
	}
	if event == job.EventMissing {
		w.log.Warn("expected delivery did not come", "hook", h.Name, "since", e.Silent, "due", s.Due, "delivery", d.ID, "jobs", len(jobs))
	} else {
		w.log.Info("expected delivery is back", "hook", h.Name, "after", e.Last.Sub(e.Silent).Round(time.Second).String(), "delivery", d.ID, "jobs", len(jobs))
	}
	w.trace.Delivered(tracing.Taken{Delivery: d, Outcome: d.Outcome, Jobs: len(receipt.Jobs), Began: now})
	return nil
}

// catchUp looks in the store for the newest expected delivery, while a silence lasts in what is newer
// than the last look. One of the future is from before the clock was set back, and no news.
func (w *silence) catchUp(ctx context.Context, h *hook.Hook, e job.Expectation, now time.Time) error {
	f := store.Filter{Hook: h.Name, Since: e.From(), Limit: silenceRows}
	last := w.looked[h.Name].Add(-job.ClockSlack) // what was being stored then
	if !e.Silent.IsZero() && last.After(f.Since) && last.Before(now) {
		f.Since = last
	}
	w.looked[h.Name] = now
	for range silencePages {
		page, err := w.store.ReadDeliveries(ctx, f, silenceBytes)
		if errors.Is(err, store.ErrNotFound) {
			return nil // retention took the last page, and so all that is older
		}
		if err != nil || len(page) == 0 {
			return err
		}
		for i := range page {
			if page[i].ReceivedAt.Sub(now) > job.ClockSlack {
				continue
			}
			if counts, err := h.Expect.Counts(&page[i]); err == nil && counts {
				w.came(h.Name, page[i].ReceivedAt)
				return nil
			}
		}
		f.Cursor = page[len(page)-1].ID
	}
	return nil
}

func (w *silence) state(hook string) (job.Expectation, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, ok := w.states[hook]
	return e, ok
}

// put stores a state and takes it up, but for a delivery that came meanwhile.
func (w *silence) put(ctx context.Context, e job.Expectation) error {
	if err := w.store.SetExpectation(ctx, e, true); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if old := w.states[e.Hook]; old.Last.After(e.Last) {
		e.Last = old.Last
		w.dirty[e.Hook] = true
	}
	w.states[e.Hook] = e
	return nil
}

// writeDown stores when deliveries came, for all hooks where that is not on disk.
func (w *silence) writeDown(ctx context.Context) {
	w.mu.Lock()
	names := slices.Collect(maps.Keys(w.dirty))
	clear(w.dirty)
	w.mu.Unlock()
	for _, name := range names {
		e, known := w.state(name)
		if !known {
			continue
		}
		if err := w.store.SetExpectation(ctx, e, true); err != nil {
			w.mu.Lock()
			w.dirty[name] = true
			w.mu.Unlock()
		}
	}
}

// forget drops what is known of hooks that expect nothing any more: when they do again, their
// clock begins anew.
func (w *silence) forget(ctx context.Context, expecting map[string]bool) {
	w.mu.Lock()
	gone := slices.DeleteFunc(slices.Collect(maps.Keys(w.states)), func(name string) bool { return expecting[name] })
	w.mu.Unlock()
	for _, name := range gone {
		if err := w.store.SetExpectation(ctx, job.Expectation{Hook: name}, false); err != nil {
			continue
		}
		delete(w.told, name)
		delete(w.looked, name)
		w.mu.Lock()
		delete(w.states, name)
		w.mu.Unlock()
	}
}

// status is what is expected, in the order of the file.
func (w *silence) status(now time.Time) []admin.Expected {
	out := []admin.Expected{}
	for _, h := range w.hooks().Hooks() {
		e, known := w.state(h.Name)
		if !known || h.Expect == nil {
			continue
		}
		due := e
		if !e.Silent.IsZero() {
			due = job.Expectation{Since: e.Silent}
		}
		out = append(out, admin.Expected{
			Hook: h.Name, Every: h.Expect.Every.Seconds(), Grace: h.Expect.Grace.Seconds(), LastAt: admin.Time{Time: e.Last},
			DueAt: admin.Time{Time: due.Due(h.Expect.Silence(), w.gaps(), now)}, MissingSince: admin.Time{Time: e.Silent},
		})
	}
	return out
}

// What Prometheus is told of what is expected.
var (
	missingDesc = prometheus.NewDesc("tenterhook_expect_missing", "1 while an expected delivery is missing.", []string{"hook"}, nil)
	lastDesc    = prometheus.NewDesc("tenterhook_expect_last_timestamp_seconds", "When the last expected delivery came.", []string{"hook"}, nil)
	dueDesc     = prometheus.NewDesc("tenterhook_expect_due_timestamp_seconds", "When the next expected delivery is overdue.", []string{"hook"}, nil)
)

// Describe implements prometheus.Collector.
func (*silence) Describe(c chan<- *prometheus.Desc) { c <- missingDesc; c <- lastDesc; c <- dueDesc }

// Collect implements prometheus.Collector.
func (w *silence) Collect(c chan<- prometheus.Metric) {
	for _, e := range w.status(w.now()) {
		missing := 0.0
		if !e.MissingSince.IsZero() {
			missing = 1
		}
		c <- prometheus.MustNewConstMetric(missingDesc, prometheus.GaugeValue, missing, e.Hook)
		c <- prometheus.MustNewConstMetric(dueDesc, prometheus.GaugeValue, float64(e.DueAt.UnixMilli())/1000, e.Hook)
		if !e.LastAt.IsZero() {
			c <- prometheus.MustNewConstMetric(lastDesc, prometheus.GaugeValue, float64(e.LastAt.UnixMilli())/1000, e.Hook)
		}
	}
}
