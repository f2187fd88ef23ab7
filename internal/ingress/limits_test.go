package ingress

import (
	"fmt"
	"net/netip"
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
