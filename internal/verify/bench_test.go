package verify

import (
	"bytes"
	"math"
	"os"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/request"
)

// A body of 10 kB, the size of a GitHub push.
func BenchmarkVerify(b *testing.B) {
	for _, bm := range []struct {
		name   string
		v      Verifier
		secret string
	}{
		{"hmac-sha256", inHeader(func(h *HMAC) { h.List = false }), "key"},
		{"hmac-sha1", inHeader(func(h *HMAC) { h.Hash = "sha1" }), "key"},
		{"hmac-sha512-base64", inHeader(func(h *HMAC) { h.Hash, h.Encoding = "sha512", base64Std }), "key"},
		{"hmac-pairs", inHeader(inPairs), "key"},
		{"standard-v1", NewStandard(), sharedKey},
		{"standard-v1a", NewStandard(), privateKey},
		{"token", token("X-Token"), "key"},
		{"bearer", &Bearer{}, "key"},
		{"basic", &Basic{Username: "hooks"}, "key"},
	} {
		b.Run(bm.name, func(b *testing.B) {
			r := signed(b, bm.v, post(string(bytes.Repeat([]byte("x"), 10_000))), bm.secret)
			list := secrets(bm.secret)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bm.v.Verify(r, list, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestTiming is a Welch t-test between guesses that are wrong in the first byte and guesses that
// are wrong in the last one, interleaved. It takes seconds and wants a quiet machine, so it runs
// when TENTERHOOK_TIMING is set.
func TestTiming_DoesNotTellHowMuchIsRight(t *testing.T) {
	if os.Getenv("TENTERHOOK_TIMING") == "" {
		t.Skip("TENTERHOOK_TIMING is not set")
	}
	const key = "0123456789abcdef0123456789abcdef"
	mac := signed(t, inHeader(), post("hello"), key).Header.Get("X-Signature")
	for name, tt := range map[string]struct {
		v     Verifier
		name  string
		right string
	}{
		"hmac":  {inHeader(), "X-Signature", mac},
		"token": {token("X-Token"), "X-Token", key},
	} {
		t.Run(name, func(t *testing.T) {
			early, late := []byte(tt.right), []byte(tt.right)
			early[0], late[len(late)-1] = other(early[0]), other(late[len(late)-1])
			requests := [2]*request.Request{post("hello", tt.name+": "+string(early)), post("hello", tt.name+": "+string(late))}
			if score := welch(tt.v, requests, secrets(key)); math.Abs(score) > 4.5 {
				t.Errorf("|t| is %.1f", math.Abs(score))
			} else {
				t.Logf("|t| is %.1f", math.Abs(score))
			}
		})
	}
}

func other(digit byte) byte {
	if digit == '0' {
		return '1'
	}
	return '0'
}

func welch(v Verifier, requests [2]*request.Request, list [][]byte) float64 {
	var n, sum, squares [2]float64
	for i := range 1_000_000 {
		class := i & 1
		began := time.Now()
		_, _ = v.Verify(requests[class], list, now)
		took := float64(time.Since(began))
		if took > 20_000 {
			continue // another process had the processor
		}
		n[class]++
		sum[class] += took
		squares[class] += took * took
	}
	mean := [2]float64{sum[0] / n[0], sum[1] / n[1]}
	spread := (squares[0]/n[0]-mean[0]*mean[0])/n[0] + (squares[1]/n[1]-mean[1]*mean[1])/n[1]
	return (mean[0] - mean[1]) / math.Sqrt(spread)
}
