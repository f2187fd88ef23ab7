package verify

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"sync"
	"time"
)

// The bounds of what is fetched from a sender, and of how often.
const (
	fetchWithin  = 5 * time.Second
	maxFetched   = 1 << 20
	keysLast     = time.Hour        // after which they are fetched again
	keysEnd      = 24 * time.Hour   // after which they count no more, when they cannot be fetched
	fetchAtMost  = 30 * time.Second // between two tries, also for a key that is not there
	maxKeys      = 64
	smallestRSA  = 2048
	largestRSA   = 8192
	fetchReferer = "tenterhook"
)

// SetFetch replaces how documents of senders are fetched, and returns how to undo it. It is for
// tests: nothing else may be in flight.
func SetFetch(f func(ctx context.Context, url string) ([]byte, error)) (undo func()) {
	was := fetch
	fetch = f
	return func() { fetch = was }
}

// Fetch gets a document of a sender over https, within 5 seconds and 1 MiB. The caller decides
// which addresses are the sender's own.
func Fetch(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchWithin)
	defer cancel()
	return fetch(ctx, url)
}

// fetch gets a document of a sender over https, without following it elsewhere.
var fetch = func(ctx context.Context, url string) ([]byte, error) {
	client := &http.Client{
		Timeout:       fetchWithin,
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("redirected elsewhere") },
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", fetchReferer)
	response, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answered %s", response.Status)
	}
	return io.ReadAll(io.LimitReader(response.Body, maxFetched))
}

// keySet is a sender's public keys (RFC 7517), fetched when they are needed and kept. A key that
// is not among them is looked for once more, at most every half a minute: senders rotate.
type keySet struct {
	mu      sync.Mutex
	keys    map[string][]crypto.PublicKey
	fetched time.Time
	tried   time.Time
}

// find returns the keys with an id; all of them for "".
func (k *keySet) find(url, id string, now time.Time) ([]crypto.PublicKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	found := k.with(id)
	stale := now.Sub(k.fetched) > keysLast
	if (len(found) == 0 || stale) && now.Sub(k.tried).Abs() > fetchAtMost {
		k.tried = now
		if err := k.load(url, now); err != nil && (len(found) == 0 || now.Sub(k.fetched) > keysEnd) {
			return nil, fmt.Errorf("the sender's keys cannot be fetched: %w", err)
		}
		found = k.with(id)
	}
	if len(found) == 0 || now.Sub(k.fetched) > keysEnd {
		return nil, errors.New("the token's key is not one of the sender's")
	}
	return found, nil
}

func (k *keySet) with(id string) []crypto.PublicKey {
	if id != "" {
		return k.keys[id]
	}
	var all []crypto.PublicKey
	for _, keys := range k.keys {
		all = append(all, keys...)
	}
	return all
}

func (k *keySet) load(url string, now time.Time) error {
	ctx, cancel := context.WithTimeout(context.Background(), fetchWithin)
	defer cancel()
	data, err := fetch(ctx, url)
	if err != nil {
		return err
	}
	keys, err := parseKeys(data)
	if err != nil {
		return err
	}
	k.keys, k.fetched = keys, now
	return nil
}

func parseKeys(data []byte) (map[string][]crypto.PublicKey, error) {
	var document struct {
		Keys []struct{ Kty, Kid, Use, Crv, N, E, X, Y string }
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return nil, errors.New("the answer is not a set of keys")
	}
	out := map[string][]crypto.PublicKey{}
	for i, one := range document.Keys {
		if i >= maxKeys {
			break
		}
		var key crypto.PublicKey
		switch {
		case one.Use != "" && one.Use != "sig":
		case one.Kty == "RSA":
			key = rsaKey(one.N, one.E)
		case one.Kty == "EC" && one.Crv == "P-256":
			key = ecKey(one.X, one.Y)
		}
		if key != nil {
			out[one.Kid] = append(out[one.Kid], key)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("the answer has no key that can be used")
	}
	return out, nil
}

// rsaKey is nil for a key that is too weak, or absurd.
func rsaKey(n, e string) crypto.PublicKey {
	modulus, err := base64.RawURLEncoding.DecodeString(n)
	exponent, err2 := base64.RawURLEncoding.DecodeString(e)
	if err != nil || err2 != nil || len(exponent) > 4 {
		return nil
	}
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(new(big.Int).SetBytes(exponent).Int64())}
	if bits := key.N.BitLen(); bits < smallestRSA || bits > largestRSA || key.E < 3 {
		return nil
	}
	return key
}

func ecKey(x, y string) crypto.PublicKey {
	rawX, err := base64.RawURLEncoding.DecodeString(x)
	rawY, err2 := base64.RawURLEncoding.DecodeString(y)
	if err != nil || err2 != nil || len(rawX) != 32 || len(rawY) != 32 {
		return nil
	}
	point := append(append([]byte{4}, rawX...), rawY...)
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil
	}
	return key
}
