package ingress

import (
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/tenterhook/tenterhook/internal/job"
)

// The bounds of a list of rejects.
const (
	MostRejects = 1000
	// likeWithin is for how long refusals of the same kind from the same address are one reject.
	likeWithin = time.Minute
	// Beyond this pace requests that are like none before are counted and not listed.
	rejectsPerSecond = 20
	rejectsBurst     = 200
	mostReason       = 300 // bytes
)

// Rejects are the latest refused requests. A flood of them costs a bounded list, a look into a
// map and nothing on disk: whoever keeps them asks for what is new in its own time.
type Rejects struct {
	told func(job.Reject)

	mu      sync.Mutex
	ring    []*job.Reject
	next    int
	like    map[likeness]*job.Reject // those in the ring that may stand for more
	changed map[*job.Reject]bool     // since the last Changes
	pace    *rate.Limiter
	missed  int // not listed
}

// likeness is what makes two refusals one reject.
type likeness struct {
	ip, hook, word, reason string
}

// NewRejects makes an empty list. told is called with each new or changed reject, in the goroutine
// of the request, and must return at once; it may be nil.
func NewRejects(told func(job.Reject)) *Rejects {
	return &Rejects{
		told: told, like: map[likeness]*job.Reject{}, changed: map[*job.Reject]bool{},
		pace: rate.NewLimiter(rejectsPerSecond, rejectsBurst),
	}
}

// Restore fills an empty list with what an earlier run kept, newest first.
func (r *Rejects) Restore(kept []job.Reject) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range slices.Backward(kept) {
		r.insert(&x)
	}
}

// Add lists a refused request, of which ID, Count and LastAt are set here.
func (r *Rejects) Add(x job.Reject) {
	if now, ok := r.add(x); ok && r.told != nil {
		r.told(now)
	}
}

func (r *Rejects) add(x job.Reject) (now job.Reject, listed bool) {
	if len(x.Reason) > mostReason {
		x.Reason = strings.ToValidUTF8(x.Reason[:mostReason], "") + "…"
	}
	kind := likeness{x.IP, x.Hook, x.Error, x.Reason}
	r.mu.Lock()
	defer r.mu.Unlock()
	if first := r.like[kind]; first != nil && x.At.Sub(first.At) < likeWithin {
		first.Count++
		first.LastAt, first.Size = x.At, x.Size
		r.changed[first] = true
		return *first, first.Count < 10 || r.pace.Allow()
	}
	if !r.pace.Allow() {
		r.missed++
		return x, false
	}
	x.ID, x.Count, x.LastAt = job.NewID(), 1, x.At
	r.insert(&x)
	r.like[kind] = &x
	r.changed[&x] = true
	return x, true
}

// insert puts x in the place of the oldest. r.mu is held.
func (r *Rejects) insert(x *job.Reject) {
	if len(r.ring) < MostRejects {
		r.ring = append(r.ring, x)
		return
	}
	old := r.ring[r.next]
	delete(r.changed, old)
	if kind := (likeness{old.IP, old.Hook, old.Error, old.Reason}); r.like[kind] == old {
		delete(r.like, kind)
	}
	r.ring[r.next] = x
	r.next = (r.next + 1) % len(r.ring)
}

// List returns all of them, newest first.
func (r *Rejects) List() []job.Reject {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]job.Reject, 0, len(r.ring))
	for i := range len(r.ring) {
		out = append(out, *r.ring[(r.next+len(r.ring)-1-i)%len(r.ring)])
	}
	return out
}

// Changes returns what is new or changed since the last call, oldest first, and how many requests
// were refused meanwhile that are not listed.
func (r *Rejects) Changes() (changed []job.Reject, unlisted int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for x := range r.changed {
		changed = append(changed, *x)
	}
	clear(r.changed)
	slices.SortFunc(changed, func(a, b job.Reject) int { return strings.Compare(a.ID, b.ID) })
	unlisted, r.missed = r.missed, 0
	return changed, unlisted
}
