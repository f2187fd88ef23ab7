package ingress

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenterhook/tenterhook/internal/hook"
)

func TestRates_ABucketFillsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, rate, ip := newRates(), hook.Rate{Limit: 2, Per: time.Minute}, netip.MustParseAddr("192.0.2.1")
		for i, want := range []time.Duration{0, 0, 30 * time.Second} {
			if got := r.take("site", ip, rate); got != want {
				t.Errorf("request %d waits %v, want %v", i, got, want)
			}
		}
		if got := r.take("site", netip.MustParseAddr("192.0.2.2"), rate); got != 0 {
			t.Errorf("another address waits %v", got)
		}
		if got := r.take("other", ip, rate); got != 0 {
			t.Errorf("another hook waits %v", got)
		}
		time.Sleep(30 * time.Second)
		if got := r.take("site", ip, rate); got != 0 {
			t.Errorf("half a minute later it waits %v", got)
		}
	})
}

func TestRates_ANetworkOfIPv6AddressesIsOneSender(t *testing.T) {
	r, rate := newRates(), hook.Rate{Limit: 1, Per: time.Hour}
	r.take("site", netip.MustParseAddr("2001:db8::1"), rate)
	if got := r.take("site", netip.MustParseAddr("2001:db8::ffff"), rate); got == 0 {
		t.Error("an address of the same /64 has a bucket of its own")
	}
	if got := r.take("site", netip.MustParseAddr("2001:db8:0:1::1"), rate); got != 0 {
		t.Error("another /64 has the same bucket")
	}
}

func TestRates_AFloodOfAddressesTakesBoundedMemory(t *testing.T) {
	r, rate := newRates(), hook.Rate{Limit: 1, Per: time.Hour}
	for i := range 3 * maxBuckets {
		r.take("site", netip.MustParseAddr(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)), rate)
	}
	if len(r.buckets) > maxBuckets {
		t.Errorf("%d buckets", len(r.buckets))
	}
}

// TestRate_D16_WhoSendsTooMuchIsToldWhenToComeBack has a hook with a rate, and one without.
func TestRate_D16_WhoSendsTooMuchIsToldWhenToComeBack(t *testing.T) {
	g := newGate(t, `
  - {name: rated, path: /rated, provider: github, secret: 0123456789abcdef, rate: {limit: 3, per: 1h}, run: ":"}
  - {name: site, path: /site, verify: none, run: ":"}
`, nil)
	told := map[int]int{}
	for range 20 { // without a signature: the rate comes before it
		r, answer := g.post(t, "/rated", strings.NewReader("{}"))
		told[r.StatusCode]++
		if r.StatusCode == http.StatusTooManyRequests && (answer != `{"error":"rate_limited"}`+"\n" || r.Header.Get("Retry-After") == "") {
			t.Errorf("answered %s %v", answer, r.Header)
		}
	}
	if told[http.StatusUnauthorized] != 3 || told[http.StatusTooManyRequests] != 17 {
		t.Errorf("answers: %v", told)
	}
	if r, _ := g.post(t, "/site", strings.NewReader("a")); r.StatusCode != http.StatusAccepted {
		t.Errorf("another hook was answered %s", r.Status)
	}
}
