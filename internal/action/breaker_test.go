package action

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestBreaker_KeepsItsPromises holds the state machine to what it promises, whatever happens when.
func TestBreaker_KeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, now := &breaker{}, time.Unix(1_800_000_000, 0)
		inARow := 0
		var admitted []time.Time // and not ended
		t.Repeat(map[string]func(*rapid.T){
			"time passes": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(2*longestPause)).Draw(t, "time")))
			},
			"a request": func(t *rapid.T) {
				until, probe := b.until, b.probe
				ok, before := b.admit(now)
				switch {
				case inARow < failuresToOpen && !ok:
					t.Fatalf("refused after %d failures", inARow)
				case ok && now.Before(until):
					t.Fatal("admitted in the pause")
				case ok && now.Before(probe):
					t.Fatal("admitted beside the one that tries the target")
				case !ok && (!before.After(now) || before.Sub(now) > longestPause):
					t.Fatalf("refused at %v until %v", now, before)
				case !ok:
					if again, _ := (&breaker{pause: b.pause, until: b.until, probe: b.probe}).admit(before); !again {
						t.Fatal("refused after the time it named")
					}
				default:
					admitted = append(admitted, now)
				}
			},
			"one fails": func(t *rapid.T) {
				if len(admitted) == 0 {
					t.Skip()
				}
				admitted = admitted[1:]
				pause, until := b.pause, b.until
				b.failed(now)
				inARow++
				switch {
				case inARow < failuresToOpen && b.pause != 0:
					t.Fatalf("open after %d failures", inARow)
				case inARow >= failuresToOpen && (b.pause < firstPause || b.pause > longestPause || !now.Before(b.until)):
					t.Fatalf("after %d failures the pause is %v, until %v at %v", inARow, b.pause, b.until, now)
				case now.Before(until) && (b.pause != pause || !b.until.Equal(until)):
					t.Fatal("a request from before the pause made it longer")
				case pause != 0 && !now.Before(until) && b.pause != min(2*pause, longestPause):
					t.Fatalf("the pause went from %v to %v", pause, b.pause)
				}
			},
			"one gives up": func(t *rapid.T) {
				if len(admitted) == 0 {
					t.Skip()
				}
				admitted = admitted[1:]
				b.gaveUp()
				if ok, _ := (&breaker{pause: b.pause, until: b.until, probe: b.probe}).admit(now); !ok && !now.Before(b.until) {
					t.Fatal("nobody can try the target")
				}
			},
			"one works": func(t *rapid.T) {
				if len(admitted) == 0 {
					t.Skip()
				}
				admitted, inARow = admitted[1:], 0
				b = &breaker{} // as breakers do
			},
		})
	})
}

func TestBreaker_PausesDoubleUpToTheLongest(t *testing.T) {
	b, now := &breaker{}, time.Unix(1_800_000_000, 0)
	for range failuresToOpen - 1 {
		b.failed(now)
	}
	var pauses []time.Duration
	for range 8 {
		b.failed(now)
		pauses = append(pauses, b.pause)
		if ok, before := b.admit(now.Add(b.pause - 1)); ok || !before.Equal(now.Add(b.pause)) {
			t.Fatalf("admitted %v, before %v", ok, before)
		}
		now = now.Add(b.pause)
		if ok, _ := b.admit(now); !ok {
			t.Fatal("the pause does not end")
		}
		if ok, before := b.admit(now); ok || !before.Equal(now.Add(probeTime)) {
			t.Fatalf("a second request is let through, or waits until %v", before)
		}
	}
	if got := fmt.Sprint(pauses); got != "[10s 20s 40s 1m20s 2m40s 5m0s 5m0s 5m0s]" {
		t.Errorf("pauses %s", got)
	}
}

func TestBreaker_ARequestThatNeverComesBackHoldsTheTargetUpForATimeOnly(t *testing.T) {
	b, now := &breaker{}, time.Unix(1_800_000_000, 0)
	for range failuresToOpen {
		b.failed(now)
	}
	for range 3 {
		_, now = b.admit(now)
		if ok, _ := b.admit(now); !ok {
			t.Fatal("nobody tries the target any more")
		}
	}
}

func TestBreaker_WhatBeganBeforeThePauseDoesNotMakeItLonger(t *testing.T) {
	b, now := &breaker{}, time.Unix(1_800_000_000, 0)
	for range failuresToOpen {
		b.failed(now)
	}
	b.failed(now.Add(firstPause - 1)) // it was sent before
	if ok, _ := b.admit(now.Add(firstPause)); !ok || b.pause != firstPause {
		t.Errorf("admitted %v, the pause is %v", ok, b.pause)
	}
}

func TestHTTP_ARulesOwnRetriesAreMadeHoweverOftenTheTargetFailsAtFirst(t *testing.T) {
	s := newBroken(t, serverError)
	s.bs.patience = leastOutage
	for i := range 4 * failuresToOpen {
		if r := s.attempt(t, i+1, ""); r.Status != 502 {
			t.Fatalf("attempt %d: %+v", i+1, r)
		}
	}
	s.at = s.at.Add(leastOutage)
	s.attempt(t, 1, "")
	if r := s.attempt(t, 1, ""); r.Status != 0 || s.hits.Load() != 4*failuresToOpen+1 {
		t.Errorf("after a minute: %+v, %d requests", r, s.hits.Load())
	}
}

func TestBreakers_AreBounded(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	bs := newBreakers(func() time.Time { return now }, 0)
	for i := range 3 * maxTargets {
		now = now.Add(time.Second)
		bs.leave(fmt.Sprintf("https://%d.example", i), fails)
	}
	if len(bs.by) != maxTargets || bs.by[fmt.Sprintf("https://%d.example", 3*maxTargets-1)] == nil || bs.by["https://0.example"] != nil {
		t.Errorf("%d targets are kept", len(bs.by))
	}
	for i := range 3 * maxTargets {
		bs.leave(fmt.Sprintf("https://%d.example", i), works)
	}
	if len(bs.by) != 0 {
		t.Errorf("%d targets that work are kept", len(bs.by))
	}
}

func TestTargetOf_IsOneForOneServer(t *testing.T) {
	for address, want := range map[string]string{
		"https://A.example/x?y":     "https://a.example",
		"https://a.example:443/":    "https://a.example",
		"https://a.example:80/":     "https://a.example:80",
		"http://a.example:80":       "http://a.example",
		"HTTP://a.example:8080/#z":  "http://a.example:8080",
		"http://[::1]:80/":          "http://[::1]",
		"https://a.example:8443/..": "https://a.example:8443",
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := targetOf(u); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}

// broken is a server that fails while it is told to, with rules of its own breakers and clock.
type broken struct {
	*sink
	fails atomic.Bool
	at    time.Time
	bs    *breakers
}

func newBroken(t *testing.T, answer http.HandlerFunc) *broken {
	s := &broken{at: time.Date(2026, 1, 2, 12, 0, 0, 0, time.Local)}
	s.fails.Store(true)
	s.sink = newSink(t, func(w http.ResponseWriter, r *http.Request) {
		if s.fails.Load() {
			answer(w, r)
		}
	})
	s.bs = newBreakers(func() time.Time { return s.at }, 0)
	return s
}

func (s *broken) attempt(t *testing.T, n int, more string) Result {
	t.Helper()
	a := compiled(t, "http: {url: '"+s.URL+"/x', allow_private: true"+more+"}")
	a.(*httpAction).targets = s.bs
	f := facts(t)
	f.Attempt = n
	return prepared(t, a, f).Run(t.Context(), NewOutput(1024))
}

func serverError(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }

func TestHTTP_ATargetThatFailsIsLeftAloneAndThenTriedOnce(t *testing.T) {
	s := newBroken(t, serverError)
	for i := range failuresToOpen {
		if r := s.attempt(t, 1, ""); r.Status != 502 || r.Err.Error() != "answered 502 Bad Gateway" {
			t.Fatalf("request %d: %+v", i, r)
		}
	}
	// Also for another rule, as after a reload.
	r := s.attempt(t, 1, ", method: PUT")
	want := fmt.Sprintf("target %s is failing, 5 times in a row: not tried again before 12:00:10", s.URL)
	if r.Err == nil || r.Err.Error() != want || r.Final || r.Status != 0 || r.TimedOut || s.hits.Load() != failuresToOpen {
		t.Fatalf("%+v, want %s; %d requests", r, want, s.hits.Load())
	}
	if r.RetryAfter < 10*time.Second || r.RetryAfter > 13*time.Second {
		t.Errorf("is tried again after %v", r.RetryAfter)
	}
	s.at = s.at.Add(firstPause)
	if r := s.attempt(t, 1, ""); r.Status != 502 || s.hits.Load() != failuresToOpen+1 {
		t.Errorf("after the pause: %+v, %d requests", r, s.hits.Load())
	}
	if r := s.attempt(t, 1, ""); r.Status != 0 || !strings.HasSuffix(r.Err.Error(), "before 12:00:30") {
		t.Errorf("after it failed again: %+v", r)
	}
	s.at = s.at.Add(2 * firstPause)
	s.fails.Store(false)
	for range 3 {
		if r := s.attempt(t, 1, ""); r.Err != nil {
			t.Errorf("it works again, but %+v", r)
		}
	}
}

func TestHTTP_OneRequestAtATimeTriesATargetAgain(t *testing.T) {
	arrived, release := make(chan struct{}, 2), make(chan struct{})
	var slow atomic.Bool
	s := newBroken(t, func(w http.ResponseWriter, r *http.Request) {
		if slow.Load() {
			arrived <- struct{}{}
			<-release
			return
		}
		serverError(w, r)
	})
	for range failuresToOpen {
		s.attempt(t, 1, "")
	}
	slow.Store(true)
	s.at = s.at.Add(firstPause)
	done := make(chan Result)
	go func() { done <- s.attempt(t, 1, "") }()
	<-arrived
	if r := s.attempt(t, 1, ""); r.Status != 0 || r.Err == nil {
		t.Errorf("a second one: %+v", r)
	}
	close(release)
	if r := <-done; r.Err != nil {
		t.Errorf("the first one: %+v", r)
	}
	slow.Store(false)
	s.fails.Store(false)
	if r := s.attempt(t, 1, ""); r.Err != nil {
		t.Errorf("afterwards: %+v", r)
	}
}

func TestHTTP_WhatOpensABreakerIsTheTargetsFault(t *testing.T) {
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		more   string
		opens  bool
	}{
		"server errors":            {serverError, "", true},
		"a connection that is cut": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "", true},
		"no answer in time":        {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, ", timeout: 20ms", true},
		"refusals":                 {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, "", false},
		"too many requests":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }, "", false},
		"errors that are expected": {serverError, ", expect: [502]", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newBroken(t, tt.answer)
			for range failuresToOpen + 1 {
				s.attempt(t, 1, tt.more)
			}
			if opened := s.bs.by[targetOf(mustURL(t, s.URL))] != nil; opened != tt.opens {
				t.Errorf("counted: %v", opened)
			}
			if sent := s.hits.Load() == failuresToOpen+1; sent == tt.opens {
				t.Errorf("%d requests", s.hits.Load())
			}
		})
	}
}

func TestHTTP_AHostThatAnotherOneRedirectsToIsNotTheTarget(t *testing.T) {
	gone := newSink(t, nil)
	gone.Close()
	s := newBroken(t, redirectTo(gone.URL, http.StatusTemporaryRedirect))
	for range failuresToOpen + 1 {
		s.attempt(t, 1, ", follow_redirects: 1")
	}
	if len(s.bs.by) != 0 || s.hits.Load() != failuresToOpen+1 {
		t.Errorf("%d targets fail, %d requests", len(s.bs.by), s.hits.Load())
	}
}

func TestHTTP_ACancelledOrRefusedRequestSaysNothingOfItsTarget(t *testing.T) {
	s := newBroken(t, serverError)
	for range failuresToOpen - 1 {
		s.attempt(t, 1, "")
	}
	a := compiled(t, "http: {url: '"+s.URL+"', allow_private: true}")
	a.(*httpAction).targets = s.bs
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(ErrStopping)
	if r := prepared(t, a, facts(t)).Run(ctx, NewOutput(1024)); !errors.Is(r.Err, ErrStopping) {
		t.Fatalf("got %+v", r)
	}
	guarded := compiled(t, "http: {url: '"+s.URL+"'}")
	guarded.(*httpAction).targets = s.bs
	if r := prepared(t, guarded, facts(t)).Run(t.Context(), NewOutput(1024)); !r.Final {
		t.Fatalf("got %+v", r)
	}
	if got := s.bs.by[s.URL].failures; got != failuresToOpen-1 {
		t.Errorf("%d failures", got)
	}
}

func TestHTTP_AnAttemptThatIsNotSentComesNoSoonerThanOneThatFailed(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	e := &targetError{target: "https://a.example", before: now.Add(3 * time.Second)}
	for attempt, least := range map[int]time.Duration{1: 10 * time.Second, 2: 20 * time.Second, 4: 80 * time.Second, 400: longestPause} {
		for range 50 {
			if got := waitFor(e, attempt, now); got < least || got > least+least/4 {
				t.Fatalf("attempt %d: %v", attempt, got)
			}
		}
	}
	e.before = now.Add(longestPause)
	if got := waitFor(e, 1, now); got < longestPause {
		t.Errorf("before the target is tried: %v", got)
	}
}

func mustURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
