package verify

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"time"

	"github.com/tenterhook/tenterhook/internal/request"
)

// FreshSecret makes a random secret that v can check. signs reports whether v can sign with it,
// too: where only the sender can, it keeps the place of what the sender gives, and nothing
// verifies. "" is for a verifier that takes none. sample makes a request such as the sender's.
func FreshSecret(v Verifier, sample func() *request.Request) (secret string, signs bool) {
	taker, takes := v.(SecretTaker)
	if !v.NeedsSecret() && !(takes && taker.TakesSecret()) {
		return "", false
	}
	bytes := make([]byte, 32)
	_, _ = rand.Read(bytes) // never fails
	shared := base64.StdEncoding.EncodeToString(bytes)
	candidates := []string{hex.EncodeToString(bytes), sharedPrefix + shared, shared}
	for _, candidate := range candidates {
		if fits(v, candidate) && v.Sign(sample(), []byte(candidate), time.Now()) == nil {
			return candidate, true
		}
	}
	for _, candidate := range append(publicKeys(), candidates...) {
		if fits(v, candidate) {
			return candidate, false
		}
	}
	return "", false
}

func fits(v Verifier, secret string) bool {
	checker, ok := v.(SecretChecker)
	return !ok || checker.CheckSecret([]byte(secret)) == nil
}

// publicKeys are the public halves of keys that nobody has: whatever is checked with one is
// refused.
func publicKeys() (keys []string) {
	if public, _, err := ed25519.GenerateKey(rand.Reader); err == nil {
		keys = append(keys, hex.EncodeToString(public))
	}
	if private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err == nil {
		if der, err := x509.MarshalPKIXPublicKey(&private.PublicKey); err == nil {
			keys = append(keys, base64.StdEncoding.EncodeToString(der))
		}
	}
	return keys
}
