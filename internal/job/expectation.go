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

// OriginExpect is the Origin of a delivery that no sender sent: the daemon stored it to say that
// an expected one did not come (EventMissing), or came again (EventBack).
const (
	OriginExpect = "expect"
	EventMissing = "missing"
	EventBack    = "back"
)
