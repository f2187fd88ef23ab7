// Package pull takes deliveries from where they wait, for a daemon that nobody can reach from
// outside: a channel of smee.io or gosmee (channel.go), or another Tenterhook that holds them
// (relay.go). It opens connections and never listens.
//
// What comes over a source is not believed for that: whoever takes it verifies it as a request that
// arrived. A source is at least once. It goes on only when what it gave is on disk, or is refused
// for good; the key of a delivery makes the second time nothing.
package pull

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// Delivered is one request as a source has it.
type Delivered struct {
	// ID is what the source calls it, "" where it has no name for it.
	ID                   string
	Method, Scheme, Host string // "" where the source does not know
	Path, RawPath, Query string // Path is "" where the source does not know: the hook's own
	IP                   string // of the sender, as the source says
	Header               http.Header
	Body                 []byte
	// Rewritten: Body is JSON of what was sent, and not its bytes.
	Rewritten bool
	// At is when the source received it, by a clock that the sender cannot set; zero is now.
	At time.Time
}

// RefusedError says that a delivery will never be taken: it does not verify, or cannot be read.
type RefusedError struct{ Reason string }

// Error implements error.
func (e *RefusedError) Error() string { return e.Reason }

// Take takes a delivery in: nil once it is on disk, or was before. A *RefusedError is final; after
// any other error the same delivery is given again, later.
type Take func(ctx context.Context, d *Delivered) error

// Source is somewhere that deliveries wait.
type Source interface {
	// Run takes deliveries until ctx ends, and connects again whenever it has to.
	Run(ctx context.Context, take Take)
	// State is safe for concurrent use.
	State() State
}

// State is how it is with a source.
type State struct {
	Connected time.Time // since when; zero while it is not
	Last      time.Time // when the last delivery came; zero for never in this run
	Taken     int64     // in this run
	Refused   int64     // in this run
	Held      int       // what waits at the source; -1 where it does not say
	Problem   string    // why it is not connected, or what was lost; "" for nothing
	LostAt    time.Time // when the connection was last lost, or could not be made; zero for never in this run
	Lost      string    // why
	Losses    int64     // how often there was a connection and it was lost
}

// watch is a State that is told of, in the log too: once for each change.
type watch struct {
	log *slog.Logger

	mu    sync.Mutex
	state State
	told  string // what the log says of it now
	at    time.Time
}

// State returns it.
func (w *watch) State() State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

func (w *watch) change(f func(s *State)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(&w.state)
}

func (w *watch) connected() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state.Connected.IsZero() {
		w.state.Connected = time.Now()
		w.log.Info("source connected")
	}
	w.state.Problem, w.told = "", ""
}

// tellAgain is after how long the log says anew what has not changed.
const tellAgain = 10 * time.Minute

// lost notes that there is no connection; a nil error is an end that was asked for.
func (w *watch) lost(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := !w.state.Connected.IsZero()
	w.state.Connected = time.Time{}
	if err == nil {
		return
	}
	if was {
		w.state.Losses++
	}
	w.state.Problem, w.state.Lost, w.state.LostAt = err.Error(), err.Error(), time.Now()
	if now := time.Now(); w.told != w.state.Problem || now.Sub(w.at) > tellAgain {
		w.told, w.at = w.state.Problem, now
		w.log.Warn("source not connected, tried again until it is", "error", err)
	}
}

// The pauses before a source is connected to again: the first, and the longest. One that lasted for
// steady begins anew with the first.
const (
	firstPause   = time.Second
	longestPause = time.Minute
	steady       = 30 * time.Second
)

// backoff is how long to wait before the next try.
type backoff struct{ next time.Duration }

// pause waits a random part of the time that is due, at least the first pause's half, and lengthens
// the next. It reports false when ctx ended.
func (b *backoff) pause(ctx context.Context) bool {
	most := max(b.next, firstPause)
	b.next = min(2*most, longestPause)
	return sleep(ctx, firstPause/2+rand.N(most))
}

func (b *backoff) reset() { b.next = 0 }

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// insist gives a delivery until it is taken or refused for good, or ctx ends. The error is ctx's.
func (w *watch) insist(ctx context.Context, take Take, d *Delivered) error {
	var again backoff
	for {
		err := take(ctx, d)
		var refused *RefusedError
		switch {
		case err == nil:
			w.change(func(s *State) { s.Taken, s.Last = s.Taken+1, time.Now() })
			return nil
		case errors.As(err, &refused):
			w.change(func(s *State) { s.Refused, s.Last = s.Refused+1, time.Now() })
			return nil
		}
		if ctx.Err() != nil || !again.pause(ctx) {
			return context.Cause(ctx)
		}
	}
}
