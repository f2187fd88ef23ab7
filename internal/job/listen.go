package job

import (
	"slices"
	"time"
)

// Listened is a span in which the daemon took deliveries. It is written down when it begins and
// again every HeartbeatEvery, so that a crash loses little of it.
type Listened struct {
	ID    string // UUIDv7
	Since time.Time
	Until time.Time // not before Since
}

// HeartbeatEvery is how often a span is written down. One whose next heartbeat is over
// HeartbeatLate late has ended: the process was stopped, the machine slept, or the store could
// not write, and then no delivery was taken either.
const (
	HeartbeatEvery = 15 * time.Second
	HeartbeatLate  = 3 * HeartbeatEvery
)

// MostListened is how many spans are remembered: the newest.
const MostListened = 1000

// Gap is a time in which no delivery was taken: a sender that does not retry has lost what it
// sent then.
type Gap struct{ From, To time.Time }

// Length is how long the gap was.
func (g Gap) Length() time.Duration { return g.To.Sub(g.From) }

// leastGap is the shortest gap: a sender waits that long for a connection.
const leastGap = time.Second

// Gaps returns the gaps between spans, oldest first. The spans may be in any order and overlap.
func Gaps(spans []Listened) (gaps []Gap) {
	spans = slices.Clone(spans)
	slices.SortFunc(spans, func(a, b Listened) int { return a.Since.Compare(b.Since) })
	var end time.Time
	for i, s := range spans {
		if i > 0 && s.Since.Sub(end) >= leastGap {
			gaps = append(gaps, Gap{From: end, To: s.Since})
		}
		if s.Until.After(end) {
			end = s.Until
		}
	}
	return gaps
}

// GapTime is how much of the time from since until now lies in gaps.
func GapTime(gaps []Gap, since, now time.Time) (total time.Duration) {
	for _, g := range gaps {
		from, to := g.From, g.To
		if from.Before(since) {
			from = since
		}
		if to.After(now) {
			to = now
		}
		total += max(0, to.Sub(from))
	}
	return total
}
