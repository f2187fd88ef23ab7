package verify

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"math"
	"math/rand/v2"
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
		{"digest", adjustedDigest(), "key"},
		{"jwt-hs256", NewJWT(), "key"},
		{"any", Any{inHeader(), &Bearer{}}, "key"},
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

func adjustedDigest() *HMAC {
	d := NewDigest()
	d.Header = []string{"X-Signature"}
	return d
}

func BenchmarkVerify_PublicKeys(b *testing.B) {
	body := string(bytes.Repeat([]byte("x"), 10_000))
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	e := NewEd25519()
	e.Header = []string{"X-Sig"}
	r := post(body)
	if err := e.Sign(r, []byte(hex.EncodeToString(private)), now); err != nil {
		b.Fatal(err)
	}
	b.Run("ed25519", func(b *testing.B) { verifies(b, e, r, hex.EncodeToString(public)) })

	k, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err != nil {
		b.Fatal(err)
	}
	sum := sha256.Sum256([]byte(body))
	signature, err := ecdsa.SignASN1(crand.Reader, k, sum[:])
	if err != nil {
		b.Fatal(err)
	}
	c := NewECDSA()
	c.Header = []string{"X-Sig"}
	b.Run("ecdsa", func(b *testing.B) {
		verifies(b, c, post(body, "X-Sig: "+base64.StdEncoding.EncodeToString(signature)), base64.StdEncoding.EncodeToString(der))
	})
}

func verifies(b *testing.B, v Verifier, r *request.Request, secret string) {
	b.Helper()
	list := secrets(secret)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(r, list, now); err != nil {
			b.Fatal(err)
		}
	}
}

// The test below is a Welch t-test between guesses that are wrong in the first byte and guesses
// that are wrong in the last one, in random order, each in fresh memory of the same request: two
// requests of their own differ by where they lie in memory, and equal guesses in them showed |t|
// up to 8.5. It takes seconds and wants a quiet machine, so it runs when
// TENTERHOOK_TIMING is set.
func TestTiming_DoesNotTellHowMuchIsRight(t *testing.T) {
	if os.Getenv("TENTERHOOK_TIMING") == "" {
		t.Skip("TENTERHOOK_TIMING is not set")
	}
	const key = "0123456789abcdef0123456789abcdef"
	mac := signed(t, inHeader(), post("hello"), key).Header.Get("X-Signature")
	for name, tt := range map[string]struct {
		v           Verifier
		name, right string
	}{
		"hmac":  {inHeader(), "X-Signature", mac},
		"token": {token("X-Token"), "X-Token", key},
		"leaky": {leaky{}, "X-Token", key},
	} {
		t.Run(name, func(t *testing.T) {
			early, late := []byte(tt.right), []byte(tt.right)
			early[0], late[len(late)-1] = other(early[0]), other(late[len(late)-1])
			control := welch(tt.v, tt.name, early, early, secrets(key))
			score := welch(tt.v, tt.name, early, late, secrets(key))
			t.Logf("|t| is %.1f, of the control %.1f", math.Abs(score), math.Abs(control))
			if leaks := math.Abs(score) > 4.5; leaks != (name == "leaky") {
				t.Errorf("leaks: %t", leaks)
			}
		})
	}
}

// leaky compares byte by byte and stops at the first difference: what the test must find.
type leaky struct{ *None }

func (leaky) Verify(r *request.Request, secrets [][]byte, _ time.Time) (int, error) {
	value := r.Header.Get("X-Token")
	for i := range value {
		if value[i] != secrets[0][i] {
			return -1, errWrongToken
		}
	}
	return 0, nil
}

func other(digit byte) byte {
	if digit == '0' {
		return '1'
	}
	return '0'
}

func welch(v Verifier, header string, a, b []byte, list [][]byte) float64 {
	const rounds, outlier = 1_000_000, 20_000 // ns: another process had the processor
	r, guesses := post("hello", header+": x"), [2][]byte{a, b}
	value := r.Header[header]
	var n, mean, squares [2]float64
	for range rounds {
		class := rand.IntN(2)
		value[0] = string(guesses[class])
		began := time.Now()
		_, _ = v.Verify(r, list, now)
		took := float64(time.Since(began))
		if took > outlier {
			continue
		}
		n[class]++
		delta := took - mean[class]
		mean[class] += delta / n[class]
		squares[class] += delta * (took - mean[class])
	}
	spread := squares[0]/(n[0]*(n[0]-1)) + squares[1]/(n[1]*(n[1]-1))
	return (mean[0] - mean[1]) / math.Sqrt(spread)
}
