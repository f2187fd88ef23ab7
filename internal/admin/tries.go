package admin

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// The pace at which one address may offer wrong tokens. While it is exceeded no token of that
// address is looked at, so guessing gains nothing from speed; other addresses and the unix
// socket are not concerned.
const (
	triesPerSecond = 1
	triesBurst     = 10
	maxTriers      = 1024
)

// tries counts wrong tokens by address.
type tries struct {
	mu     sync.Mutex
	by     map[netip.Addr]*rate.Limiter
	others *rate.Limiter // shared by all addresses beyond maxTriers
}

func newTries() *tries {
	return &tries{by: map[netip.Addr]*rate.Limiter{}, others: rate.NewLimiter(triesPerSecond, triesBurst)}
}

// allowed reports whether ip may offer a token now.
func (t *tries) allowed(ip netip.Addr, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.by[network(ip)]
	if l == nil {
		return len(t.by) < maxTriers || t.others.TokensAt(now) >= 1
	}
	return l.TokensAt(now) >= 1
}

// failed counts a wrong token.
func (t *tries) failed(ip netip.Addr, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.by[network(ip)]
	if l == nil {
		t.forget(now)
		if l = t.others; len(t.by) < maxTriers {
			l = rate.NewLimiter(triesPerSecond, triesBurst)
			t.by[network(ip)] = l
		}
	}
	l.AllowN(now, 1)
}

// forget drops those who have waited long enough, when there is no room.
func (t *tries) forget(now time.Time) {
	if len(t.by) < maxTriers {
		return
	}
	for ip, l := range t.by {
		if l.TokensAt(now) >= triesBurst {
			delete(t.by, ip)
		}
	}
}

// network is what counts as one sender: an IPv4 address, or the /64 that one IPv6 host owns.
func network(ip netip.Addr) netip.Addr {
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return ip
}
