package job

import "time"

// Expectation is what is remembered of a hook that expects deliveries.
type Expectation struct {
	Hook   string
	Since  time.Time // when a daemon that listens first saw it: its clock began then
	Last   time.Time // when the last expected delivery came, zero for never
	Silent time.Time // since when none came, once that was found to be too long; zero otherwise
}

// From is since when the next delivery is waited for.
func (e Expectation) From() time.Time {
	if e.Last.After(e.Since) {
		return e.Last
	}
	return e.Since
}

// Due is when the next delivery should have come that may be silent for so long, as it is known
// now. Time in which nobody listened is not the sender's silence.
func (e Expectation) Due(silence time.Duration, gaps []Gap, now time.Time) time.Time {
	return e.From().Add(silence + GapTime(gaps, e.From(), now))
}

// ClockSlack is how far in the future a time may be that another daemon wrote down. What is further
// away was written before the clock was set back.
const ClockSlack = time.Minute

// Came is e once an expected delivery has come, and whether that is news. When the clock was set back
// since, the delivery is the last one all the same: it ends a silence, and the next is waited for from it on.
func (e Expectation) Came(at time.Time) (after Expectation, news bool) {
	switch {
	case at.After(e.From()):
		e.Last = at
	case e.From().Sub(at) <= ClockSlack:
		return e, false
	case e.Silent.IsZero():
		e.Since, e.Last = oldest(e.Since, at), at
	default:
		e.Last = e.Silent.Add(time.Microsecond) // the silence is known by its begin until its end was told
	}
	return e, true
}

// Settled is e by a clock that says now: where it was set back, what e has of the time after that did
// not happen yet. A silence that lasts is known by its begin, and stays.
func (e Expectation) Settled(now time.Time) Expectation {
	if e.Silent.IsZero() && e.From().Sub(now) > ClockSlack {
		e.Since, e.Last = oldest(e.Since, now), oldest(e.Last, now)
	}
	return e
}

func oldest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// OriginExpect is the Origin of a delivery that no sender sent: the daemon stored it to say that
// an expected one did not come (EventMissing), or came again (EventBack).
const (
	OriginExpect = "expect"
	EventMissing = "missing"
	EventBack    = "back"
)
