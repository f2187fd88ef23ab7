package action

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"time"
)

// The bounds of a target's breaker.
const (
	failuresToOpen = 5                // in a row: no answer, or one that says the server is at fault
	leastOutage    = time.Minute      // and for so long: what a rule's own retry: is for is left to it
	firstPause     = 10 * time.Second // doubled by each request that fails after a pause
	longestPause   = 5 * time.Minute
	probeTime      = defaultHTTPTimeout // how long one request is waited for that tries the target again
	maxTargets     = 1024               // failing at once; then those are forgotten that failed longest ago
)

// breaker keeps requests from a target that fails, so that jobs do not wait for one timeout after
// the other, and a server that comes back is not met by all of them at once. It is closed until
// failuresToOpen requests have failed in a row, over patience at least, then open for a pause, and
// then half open: one request is let through, and decides. The zero breaker is closed. It knows no
// clock, and is not safe for concurrent use.
type breaker struct {
	patience time.Duration
	failures int           // in a row
	first    time.Time     // of them
	pause    time.Duration // 0 while it is closed
	until    time.Time     // the end of the pause
	probe    time.Time     // until then the request is waited for that tries the target; zero when there is none
	last     time.Time     // failure
}

// admit reports whether a request may be sent. It may not before the returned time.
func (b *breaker) admit(now time.Time) (ok bool, before time.Time) {
	switch {
	case b.pause == 0:
		return true, time.Time{}
	case now.Before(b.until):
		return false, b.until
	case now.Before(b.probe):
		return false, b.probe
	}
	b.probe = now.Add(probeTime)
	return true, time.Time{}
}

// failed counts a request that was admitted.
func (b *breaker) failed(now time.Time) {
	if b.failures == 0 {
		b.first = now
	}
	b.failures++
	b.last = now
	if b.failures < failuresToOpen || now.Sub(b.first) < b.patience || now.Before(b.until) { // then it began before the pause
		return
	}
	b.pause = min(max(2*b.pause, firstPause), longestPause)
	b.until, b.probe = now.Add(b.pause), time.Time{}
}

// gaveUp is the end of an admitted request that says nothing about the target. The next one tries.
func (b *breaker) gaveUp() { b.probe = time.Time{} }

// health is what the end of a request says about its target.
type health int

const (
	unknown health = iota
	works
	fails
)

// breakers are those of the targets that fail, by scheme, host and port.
type breakers struct {
	now      func() time.Time
	patience time.Duration

	mu sync.Mutex
	by map[string]*breaker
}

func newBreakers(now func() time.Time, patience time.Duration) *breakers {
	return &breakers{now: now, patience: patience, by: map[string]*breaker{}}
}

// failing are the breakers of the process. They belong to targets and not to rules: a reload makes
// new rules, and the target still fails.
var failing = newBreakers(time.Now, leastOutage)

// targetError is why a request was not sent.
type targetError struct {
	target   string
	failures int
	before   time.Time
}

func (e *targetError) Error() string {
	return fmt.Sprintf("target %s is failing, %d times in a row: not tried again before %s", e.target, e.failures, e.before.Format(time.TimeOnly))
}

// enter asks for a request to a target. The error is a *targetError. A request that is let through
// ends with leave.
func (bs *breakers) enter(target string) error {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	b := bs.by[target]
	if b == nil {
		return nil
	}
	ok, before := b.admit(bs.now())
	if ok {
		return nil
	}
	return &targetError{target: target, failures: b.failures, before: before}
}

// leave says how a request to a target ended.
func (bs *breakers) leave(target string, h health) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	b := bs.by[target]
	switch h {
	case works:
		delete(bs.by, target)
	case fails:
		if b == nil {
			bs.makeRoom()
			b = &breaker{patience: bs.patience}
			bs.by[target] = b
		}
		b.failed(bs.now())
	case unknown:
		if b != nil {
			b.gaveUp()
		}
	}
}

// makeRoom forgets the target that failed longest ago when there are too many.
func (bs *breakers) makeRoom() {
	if len(bs.by) < maxTargets {
		return
	}
	oldest := ""
	for target, b := range bs.by {
		if oldest == "" || b.last.Before(bs.by[oldest].last) {
			oldest = target
		}
	}
	delete(bs.by, oldest)
}

// targetOf is the scheme, host and port of an address, in one way of writing.
func targetOf(u *url.URL) string {
	host := strings.ToLower(u.Host)
	if scheme := strings.ToLower(u.Scheme); scheme == "https" {
		return "https://" + strings.TrimSuffix(host, ":443")
	}
	return "http://" + strings.TrimSuffix(host, ":80")
}

// waitFor is when an attempt is made again that a breaker kept from being sent: not before the
// target is tried, and not sooner than after an attempt that failed, since it counts as one. The
// jobs of one target do not all come back in the same moment.
func waitFor(e *targetError, attempt int, now time.Time) time.Duration {
	own := firstPause
	for n := 1; n < attempt && own < longestPause; n++ {
		own *= 2
	}
	wait := max(e.before.Sub(now), min(own, longestPause))
	return wait + rand.N(wait/4+1)
}
