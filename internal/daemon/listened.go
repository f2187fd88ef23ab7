package daemon

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
)

// listened knows in which spans deliveries were taken, this run's and those before, and so when
// none were. It is safe for concurrent use.
type listened struct {
	store listenedStore
	now   func() time.Time // by the wall clock, which goes on while the machine sleeps
	log   *slog.Logger

	mu    sync.Mutex
	spans []job.Listened // newest first; of this run once it has begun
	gaps  []job.Gap      // between them, oldest first
	last  time.Time      // when the run before was last known to listen, zero for never
}

// listenedStore is what listened needs of a store.
type listenedStore interface {
	KeepListened(ctx context.Context, span job.Listened) error
	Listened(ctx context.Context) ([]job.Listened, error)
}

// heartbeatTime is how long a heartbeat may take. One that does not get through is not a
// heartbeat: what cannot store it cannot store a delivery either.
const heartbeatTime = 10 * time.Second

// openListened takes up what the store has.
func openListened(ctx context.Context, s listenedStore, now func() time.Time, log *slog.Logger) (*listened, error) {
	spans, err := s.Listened(ctx)
	if err != nil {
		return nil, err
	}
	l := &listened{store: s, now: now, log: log, spans: spans, gaps: job.Gaps(spans)}
	for _, span := range spans {
		if span.Until.After(l.last) {
			l.last = span.Until
		}
	}
	return l, nil
}

// begin is the first heartbeat.
func (l *listened) begin(ctx context.Context) job.Listened { return l.once(ctx, job.Listened{}) }

// beat writes down until ctx ends that deliveries are taken, and once more then. The span is what
// begin returned.
func (l *listened) beat(ctx context.Context, span job.Listened) {
	once := func() { span = l.once(ctx, span) }
	every(ctx, job.HeartbeatEvery, nil, once)
	once()
}

// once is one heartbeat: it lengthens the span, or begins another when there is none or it has
// ended. It returns the span as it is on disk.
func (l *listened) once(ctx context.Context, span job.Listened) job.Listened {
	now := l.now()
	next := span
	begins := span.ID == "" || now.Sub(span.Until).Abs() > mostBetween // also when the clock was set back
	if begins {
		next = job.Listened{ID: job.NewID(), Since: now, Until: now}
	} else if now.After(next.Until) {
		next.Until = now
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), heartbeatTime)
	defer cancel()
	if err := l.store.KeepListened(ctx, next); err != nil {
		l.log.Warn("heartbeat not stored: the time counts as one without a listener", "error", err)
		return span
	}
	gap, found := l.took(next, begins)
	if found {
		l.log.Warn("did not listen: what senders do not repeat is lost", "from", gap.From, "to", gap.To, "for", gap.Length().Round(time.Second).String())
	}
	return next
}

// took notes a span that is on disk, and returns the gap before one that begins.
func (l *listened) took(span job.Listened, begins bool) (before job.Gap, found bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !begins {
		l.spans[0] = span
		l.gaps = job.Gaps(l.spans) // it may have reached one that was written before the clock was set back
		return before, false
	}
	l.spans = slices.Insert(l.spans, 0, span)
	l.spans = l.spans[:min(len(l.spans), job.MostListened)]
	l.gaps = job.Gaps(l.spans)
	if n := len(l.gaps); n > 0 && l.gaps[n-1].To.Equal(span.Since) {
		return l.gaps[n-1], true
	}
	return before, false
}

// Gaps returns the times in which no delivery was taken, oldest first: also one that is not over,
// because there was no heartbeat for too long.
func (l *listened) Gaps() []job.Gap {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.last
	if len(l.spans) > 0 && l.spans[0].Until.After(last) {
		last = l.spans[0].Until
	}
	// One that ends in the future has not been: the clock was set back since.
	gaps := slices.DeleteFunc(slices.Clone(l.gaps), func(g job.Gap) bool { return g.To.After(now) })
	if last.IsZero() || now.Sub(last) <= mostBetween {
		return gaps
	}
	return append(gaps, job.Gap{From: last, To: now})
}

// mostBetween is how far two heartbeats of one span can be apart.
const mostBetween = job.HeartbeatEvery + job.HeartbeatLate

// lastRun is when the run before this one was last known to listen.
func (l *listened) lastRun() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// first is when deliveries were first taken, as far as that is remembered; zero for never. With
// forgotten there were too many spans to remember all.
func (l *listened) first() (at time.Time, forgotten bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, span := range l.spans {
		if at.IsZero() || span.Since.Before(at) {
			at = span.Since
		}
	}
	return at, len(l.spans) >= job.MostListened
}

// shownGaps is how many gaps a status has.
const shownGaps = 10

// status is the latest gaps, newest first.
func (l *listened) status() []admin.Gap {
	out := []admin.Gap{}
	for _, g := range slices.Backward(l.Gaps()) {
		if len(out) == shownGaps {
			break
		}
		out = append(out, admin.Gap{From: admin.Time{Time: g.From}, To: admin.Time{Time: g.To}, Seconds: g.Length().Seconds()})
	}
	return out
}

// What Prometheus is told of gaps. Those that are too old to be remembered are not counted.
var (
	gapSecondsDesc = prometheus.NewDesc("tenterhook_listener_gap_seconds", "How long the last gap was in which no delivery was taken.", nil, nil)
	gapEndDesc     = prometheus.NewDesc("tenterhook_listener_gap_end_timestamp_seconds", "When the last gap ended in which no delivery was taken.", nil, nil)
)

// Describe implements prometheus.Collector.
func (*listened) Describe(c chan<- *prometheus.Desc) { c <- gapSecondsDesc; c <- gapEndDesc }

// Collect implements prometheus.Collector.
func (l *listened) Collect(c chan<- prometheus.Metric) {
	gaps := l.Gaps()
	if len(gaps) == 0 {
		return
	}
	last := gaps[len(gaps)-1]
	c <- prometheus.MustNewConstMetric(gapSecondsDesc, prometheus.GaugeValue, last.Length().Seconds())
	c <- prometheus.MustNewConstMetric(gapEndDesc, prometheus.GaugeValue, float64(last.To.UnixMilli())/1000)
}
