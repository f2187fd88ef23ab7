package sender

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// History is an API that tells what was sent to a hook.
type History interface {
	API
	// Sent lists the deliveries of a registered hook, since a time by our clock, newest first: those
	// that wanted wants, which is asked once for each. A delivery that was tried several times is
	// one. Header and Body are set where the list has them. With more, there are newer ones than these
	// oldest, for which there was no room.
	Sent(ctx context.Context, hook Registered, since time.Time, wanted func(*Sent) bool) (all []*Sent, more bool, err error)
	// Fetch sets Header and Body.
	Fetch(ctx context.Context, hook Registered, s *Sent) error
}

// ErrUnusable says that the API answered, but not with what it describes. Asking again will not help.
var ErrUnusable = errors.New("of no use")

// Sent is a delivery as the provider keeps it.
type Sent struct {
	ID     string    // of the last try, at the provider
	Key    string    // what the delivery is called; "" when only Header or Body say
	At     time.Time // of the last try, by the provider's clock; zero when it does not say
	OK     bool      // the last try was answered with 2xx
	Header http.Header
	Body   []byte
}

// The bounds of what is caught up at once.
const (
	mostSent   = 10_000
	mostBodies = 64 << 20 // bytes
	mostListed = 2000     // pages
	// slack is what a clock may be off, and a try may take, beyond what the answers' Date says.
	slack = 5 * time.Second
)

// collect gathers what is wanted, newest first, and keeps the oldest of it within the bounds.
type collect struct {
	wanted func(*Sent) bool
	all    []*Sent
	seen   map[string]bool
	bytes  int
	more   bool // newer ones were dropped
}

func newCollect(wanted func(*Sent) bool) *collect {
	return &collect{wanted: wanted, seen: map[string]bool{}}
}

// add takes a delivery, the last try of which comes first.
func (c *collect) add(s *Sent) {
	if s.Key != "" && c.seen[s.Key] {
		return
	}
	c.seen[s.Key] = true
	if !c.wanted(s) {
		return
	}
	c.all, c.bytes = append(c.all, s), c.bytes+len(s.Body)
	for len(c.all) > mostSent || c.bytes > mostBodies && len(c.all) > 1 {
		c.bytes -= len(c.all[0].Body)
		c.all[0], c.all, c.more = nil, c.all[1:], true
	}
}

// began is a time of ours by the API's clock, a little earlier.
func (c *client) began(since time.Time) time.Time { return since.Add(c.ahead - slack) }
