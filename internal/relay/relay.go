// Package relay hands out deliveries that are held: to takers that nobody can reach from outside, over
// a listener made for it and nothing else, each with a token for some hooks. A delivery is stored
// before its sender is answered, handed out to one taker at a time for the length of a lease, and
// kept until a taker says that it is on its own disk. Nothing is run for it here.
//
// What a token can do: take deliveries of its hooks, and say that they were taken. It cannot list
// what was, see another hook, or change anything else.
package relay

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/panics"
	"github.com/tenterhook/tenterhook/internal/pull"
)

// Store is what a relay needs of one.
type Store interface {
	TakeHeld(ctx context.Context, t job.Taking) ([]job.Delivery, error)
	SettleHeld(ctx context.Context, e job.HeldEnd) (int, error)
	HeldCounts(ctx context.Context, now time.Time) ([]job.HeldCount, error)
}

// Taker is who may take.
type Taker struct {
	Name   string
	Secret []byte
	Hooks  []string // by name
}

// Options are what a Relay is made of.
type Options struct {
	Store  Store
	Hooks  func() *hook.Set
	Takers func() []Taker
	Lease  func() time.Duration
	Log    *slog.Logger
	// Panicked is told of each panic that a request ended with. It may be nil.
	Panicked func()
	// Shared: other processes store held deliveries too, of which this one is not told.
	Shared bool
}

// Relay hands out what is held. It is an http.Handler, and safe for concurrent use.
type Relay struct {
	Options
	ended chan struct{}
	once  sync.Once

	mu      sync.Mutex
	news    chan struct{} // closed when there may be something to hand out
	counts  map[string]job.HeldCount
	waiting map[string]int // how many requests of a taker wait
	tallies map[tallied]Tally
	// Requests without a token since it was last told of them.
	strangers int
	told      time.Time
}

// The bounds of what a taker can ask for.
const (
	maxRequest  = 64 << 10
	longestWait = 30 * time.Second
	mostBytes   = 4 << 20 // of bodies in one answer, but for a first that is larger
	mostWaiting = 32      // requests of one taker at once
	maxReason   = 500
	// writeTime is how long a taker may need to read an answer.
	writeTime = 5 * time.Minute
	// look is how often is looked for leases that are over, and for what other processes stored.
	look       = 5 * time.Second
	lookShared = 500 * time.Millisecond
)

// New makes a Relay and counts what is held.
func New(ctx context.Context, o Options) (*Relay, error) {
	r := &Relay{Options: o, ended: make(chan struct{}), news: make(chan struct{}), waiting: map[string]int{}, tallies: map[tallied]Tally{}}
	return r, r.Count(ctx)
}

// Close ends every request that waits.
func (r *Relay) Close() { r.once.Do(func() { close(r.ended) }) }

// Count counts anew what is held.
func (r *Relay) Count(ctx context.Context) error {
	all, err := r.Store.HeldCounts(ctx, time.Now())
	if err != nil {
		return err
	}
	counts := map[string]job.HeldCount{}
	for _, one := range all {
		counts[one.Hook] = one
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts = counts
	return nil
}

// Counts returns what is held of a hook, as it was last counted, with what was stored since.
func (r *Relay) Counts(hook string) job.HeldCount {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts[hook]
}

// Full reports whether no more of a hook's deliveries can be held.
func (r *Relay) Full(h *hook.Hook) bool {
	return h.Hold != nil && r.Counts(h.Name).Waiting >= h.Hold.Most
}

// Stored takes note of a delivery that is held from now on.
func (r *Relay) Stored(d *job.Delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.counts[d.Hook]
	c.Hook, c.Waiting = d.Hook, c.Waiting+1
	if c.Oldest.IsZero() {
		c.Oldest = d.ReceivedAt
	}
	r.counts[d.Hook] = c
	r.tell()
}

// tell wakes who waits. r.mu is held.
func (r *Relay) tell() {
	close(r.news)
	r.news = make(chan struct{})
}

// tallied is what a Tally is of.
type tallied struct{ taker, hook string }

// Tally is what a taker did in this run with a hook's deliveries.
type Tally struct {
	Seen    time.Time // when it last asked; zero for never
	Taken   int64     // that it acknowledged
	Refused int64
}

// Tally returns what a taker did in this run with a hook's deliveries.
func (r *Relay) Tally(taker, hook string) Tally {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tallies[tallied{taker, hook}]
}

func (t *Tally) settled(as job.HeldState, n int64) {
	switch as {
	case job.HeldAcknowledged:
		t.Taken += n
	case job.HeldRefused:
		t.Refused += n
	}
}

func (r *Relay) tally(taker string, hooks []string, count func(t *Tally)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, hook := range hooks { // the taker's, which are bounded
		of := tallied{taker, hook}
		t := r.tallies[of]
		count(&t)
		r.tallies[of] = t
	}
}

func (r *Relay) asked(taker string, hooks []string) {
	r.tally(taker, hooks, func(t *Tally) { t.Seen = time.Now() })
}

// ServeHTTP answers takers, and tells nobody else anything.
func (r *Relay) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	panics.Serve(w, req, r.serve, func(p panics.Panic) {
		r.Log.Error("relay request failed, by a fault of this program", "panic", p.Text, "stack", p.Stack)
		if r.Panicked != nil {
			r.Panicked()
		}
	}, func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusInternalServerError, "internal_error")
	})
}

func (r *Relay) serve(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	taker, ok := r.taker(req)
	switch {
	case !ok:
		r.stranger(req)
		w.Header().Set("WWW-Authenticate", "Bearer")
		refuse(w, http.StatusUnauthorized, "unauthorized")
	case req.Method != http.MethodPost:
		refuse(w, http.StatusMethodNotAllowed, "method_not_allowed")
	case req.URL.Path == pull.TakePath:
		r.take(w, req, taker)
	case req.URL.Path == pull.SettlePath:
		r.settle(w, req, taker)
	default:
		refuse(w, http.StatusNotFound, "not_found")
	}
}

// stranger logs that somebody without a token was here, now and then.
func (r *Relay) stranger(req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.strangers++
	if now := time.Now(); now.Sub(r.told) > time.Minute {
		r.Log.Warn("relay request without a known token", "from", req.RemoteAddr, "since_the_last_line", r.strangers)
		r.strangers, r.told = 0, now
	}
}

// taker finds whose token a request has. All are compared, in constant time, so that how long it takes
// says nothing.
func (r *Relay) taker(req *http.Request) (found Taker, ok bool) {
	token, bearer := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	sum := sha256.Sum256([]byte(token))
	for _, one := range r.Takers() {
		own := sha256.Sum256(one.Secret)
		if subtle.ConstantTimeCompare(sum[:], own[:]) == 1 && bearer && len(one.Secret) > 0 {
			found, ok = one, true
		}
	}
	return found, ok
}

// scope are the hooks that are asked for, if the token is for each of them and each is held.
func (r *Relay) scope(taker Taker, hooks []string) bool {
	set := r.Hooks()
	return len(hooks) > 0 && !slices.ContainsFunc(hooks, func(name string) bool {
		h := set.Hook(name)
		return !slices.Contains(taker.Hooks, name) || h == nil || h.Hold == nil || !h.Enabled
	})
}

func (r *Relay) take(w http.ResponseWriter, req *http.Request, taker Taker) {
	var q pull.TakeRequest
	if !r.read(w, req, &q) || !r.allowed(w, taker, q.Hooks) {
		return
	}
	if !r.enter(taker.Name) {
		w.Header().Set("Retry-After", "5")
		refuse(w, http.StatusTooManyRequests, "too_many_requests")
		return
	}
	defer r.leave(taker.Name)
	r.asked(taker.Name, q.Hooks)
	defer r.asked(taker.Name, q.Hooks)
	wait := min(max(0, time.Duration(q.Wait*float64(time.Second))), longestWait)
	ctx, cancel := context.WithTimeout(req.Context(), wait)
	defer cancel()
	given, err := r.await(ctx, req.Context(), taker, q)
	if err != nil {
		r.unavailable(w, req, err)
		return
	}
	answer := pull.TakeAnswer{Deliveries: []pull.Held{}, Lease: r.Lease().Seconds(), Waiting: map[string]int{}}
	for i := range given {
		answer.Deliveries = append(answer.Deliveries, r.held(&given[i]))
	}
	for _, name := range q.Hooks {
		answer.Waiting[name] = r.Counts(name).Waiting
	}
	if len(given) > 0 {
		r.Log.Info("held deliveries handed out", "taker", taker.Name, "deliveries", len(given), "hooks", strings.Join(q.Hooks, ","))
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime)) // else the server's stands
	write(w, answer)
}

// await takes what is held, and waits for it while there is nothing.
func (r *Relay) await(wait, ctx context.Context, taker Taker, q pull.TakeRequest) ([]job.Delivery, error) {
	every := look
	if r.Shared {
		every = lookShared
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		r.mu.Lock()
		news := r.news
		r.mu.Unlock()
		now := time.Now()
		given, err := r.Store.TakeHeld(ctx, job.Taking{
			Hooks: q.Hooks, Taker: taker.Name, Most: min(max(1, q.Most), pull.MostTaken), Bytes: mostBytes, At: now, Until: now.Add(r.Lease()),
		})
		if err != nil || len(given) > 0 {
			return given, err
		}
		select {
		case <-news:
		case <-tick.C:
		case <-wait.Done():
			return nil, nil
		case <-r.ended:
			return nil, nil
		}
	}
}

// held is a delivery as a taker gets it.
func (r *Relay) held(d *job.Delivery) pull.Held {
	header := d.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	if h := r.Hooks().Hook(d.Hook); h != nil {
		sealed, err := h.Unseal(d.Held.Sealed)
		if err != nil {
			r.Log.Error("a held delivery is handed out without what its sender proved itself with: the secret that it was sealed with is not one of the hook's any more", "hook", d.Hook, "delivery", d.ID)
		}
		for name, values := range sealed {
			header[name] = values
		}
	}
	return pull.Held{
		ID: d.ID, Hook: d.Hook, Method: d.Method, Scheme: d.Held.Scheme, Host: d.Held.Host, Path: d.Path, RawPath: d.Held.RawPath,
		Query: d.Query, IP: d.IP, Headers: header, Body: d.Body, ReceivedAt: d.ReceivedAt.UnixMilli(), Tries: d.Held.Tries,
	}
}

func (r *Relay) settle(w http.ResponseWriter, req *http.Request, taker Taker) {
	var q pull.SettleRequest
	if !r.read(w, req, &q) || !r.allowed(w, taker, q.Hooks) {
		return
	}
	if len(q.Taken)+len(q.Refused)+len(q.Released) > pull.MostTaken {
		refuse(w, http.StatusBadRequest, "too_many")
		return
	}
	now := time.Now()
	ends := []job.HeldEnd{
		{Deliveries: q.Taken, State: job.HeldAcknowledged, At: now},
		{Deliveries: q.Released, State: job.HeldWaiting, Taker: taker.Name, At: now},
	}
	for _, one := range q.Refused {
		r.Log.Warn("a taker refused a held delivery: it is kept, and handed out again when it is replayed", "taker", taker.Name, "delivery", one.ID, "reason", reason(one.Reason))
		ends = append(ends, job.HeldEnd{Deliveries: []string{one.ID}, State: job.HeldRefused, Reason: reason(one.Reason), At: now})
	}
	var answer pull.SettleAnswer
	for _, end := range ends {
		n, err := r.end(context.WithoutCancel(req.Context()), taker, q.Hooks, end)
		if err != nil {
			r.unavailable(w, req, err)
			return
		}
		answer.Settled += n
	}
	if err := r.Count(req.Context()); err != nil && req.Context().Err() == nil {
		r.Log.Warn("held deliveries not counted", "error", err)
	}
	if len(q.Released) > 0 {
		r.mu.Lock()
		r.tell()
		r.mu.Unlock()
	}
	write(w, answer)
}

// end says what became of deliveries of a taker's hooks, one hook after the other so that it is known
// whose they were.
func (r *Relay) end(ctx context.Context, taker Taker, hooks []string, end job.HeldEnd) (settled int, err error) {
	if len(end.Deliveries) == 0 {
		return 0, nil
	}
	for _, hook := range slices.Compact(slices.Sorted(slices.Values(hooks))) {
		end.Hooks = []string{hook}
		n, err := r.Store.SettleHeld(ctx, end)
		if err != nil {
			return settled, err
		}
		r.tally(taker.Name, end.Hooks, func(t *Tally) { t.settled(end.State, int64(n)) })
		settled += n
	}
	return settled, nil
}

func reason(s string) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "\ufffd"))
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "") + "…"
	}
	return s
}

// Again hands out a delivery once more, because a person wants it.
func (r *Relay) Again(ctx context.Context, hook, delivery string) error {
	_, err := r.Store.SettleHeld(ctx, job.HeldEnd{Hooks: []string{hook}, Deliveries: []string{delivery}, State: job.HeldWaiting, Again: true, Reason: "replayed by a person", At: time.Now()})
	if err == nil {
		err = r.Count(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tell()
	return err
}

func (r *Relay) allowed(w http.ResponseWriter, taker Taker, hooks []string) bool {
	if !r.scope(taker, hooks) {
		refuse(w, http.StatusForbidden, "not_your_hook")
		return false
	}
	return true
}

// enter counts a taker's request in, and reports false when it has too many.
func (r *Relay) enter(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting[name] >= mostWaiting {
		return false
	}
	r.waiting[name]++
	return true
}

func (r *Relay) leave(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting[name]--; r.waiting[name] == 0 {
		delete(r.waiting, name)
	}
}

func (r *Relay) read(w http.ResponseWriter, req *http.Request, into any) bool {
	body, err := io.ReadAll(http.MaxBytesReader(panics.Plain(w), req.Body, maxRequest))
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		refuse(w, http.StatusRequestEntityTooLarge, "body_too_large")
	case err != nil:
		refuse(w, http.StatusBadRequest, "body_undecodable")
	}
	return err == nil
}

func (r *Relay) unavailable(w http.ResponseWriter, req *http.Request, err error) {
	if req.Context().Err() == nil {
		r.Log.Warn("held deliveries cannot be handed out or settled", "error", err)
	}
	w.Header().Set("Retry-After", "5")
	refuse(w, http.StatusServiceUnavailable, "unavailable")
}

func refuse(w http.ResponseWriter, status int, word string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": word}) // who hung up asks again
}

func write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // what does not arrive is handed out again after its lease
}
