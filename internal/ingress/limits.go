package ingress

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/tenterhook/tenterhook/internal/hook"
)

// rates holds a token bucket for each hook and address that has a rate. It lives beside the
// configuration, not in it, so that a reload does not refill the buckets.
type rates struct {
	mu      sync.Mutex
	buckets map[bucketKey]*bucket
}

type bucketKey struct {
	hook string
	ip   netip.Prefix
}

type bucket struct {
	limiter *rate.Limiter
	rate    hook.Rate
	used    time.Time
}

// maxBuckets bounds the memory a flood of addresses can take; the idle half goes first.
const maxBuckets = 16384

func newRates() *rates { return &rates{buckets: map[bucketKey]*bucket{}} }

// take takes one token and returns 0, or how long to wait for one.
func (t *rates) take(hook string, ip netip.Addr, r hook.Rate) time.Duration {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	key := bucketKey{hook, network(ip)}
	b := t.buckets[key]
	if b == nil || b.rate != r {
		if len(t.buckets) >= maxBuckets {
			t.forget(now)
		}
		every := r.Per / time.Duration(r.Limit)
		b = &bucket{limiter: rate.NewLimiter(rate.Every(every), r.Limit), rate: r}
		t.buckets[key] = b
	}
	b.used = now
	reservation := b.limiter.ReserveN(now, 1)
	wait := reservation.DelayFrom(now)
	if wait > 0 {
		reservation.CancelAt(now)
	}
	return wait
}

// forget drops buckets that are full again, and all of them if that frees nothing.
func (t *rates) forget(now time.Time) {
	for key, b := range t.buckets {
		if now.Sub(b.used) > b.rate.Per {
			delete(t.buckets, key)
		}
	}
	if len(t.buckets) >= maxBuckets {
		clear(t.buckets)
	}
}

// network is what one sender can be assumed to own: an IPv4 address or an IPv6 /64.
func network(ip netip.Addr) netip.Prefix {
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// sampler lets a number of log lines through in each period and counts the others, so that a
// flood of refused requests cannot fill the disk with its log.
type sampler struct {
	mu         sync.Mutex
	limit      int
	per        time.Duration
	since      time.Time
	n          int
	suppressed int
}

func newSampler(limit int, per time.Duration) *sampler { return &sampler{limit: limit, per: per} }

// allow reports whether a line may be written and how many were not since the last one.
func (s *sampler) allow(now time.Time) (ok bool, suppressed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.since) >= s.per {
		s.since, s.n = now, 0
	}
	if s.n >= s.limit {
		s.suppressed++
		return false, 0
	}
	s.n++
	suppressed, s.suppressed = s.suppressed, 0
	return true, suppressed
}
