package verify

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/request"
)

func init() {
	register(Kind{
		Name: "ed25519",
		Doc: `An Ed25519 signature; the secret is the sender's public key, in hex or base64, as PEM, or whpk_….
Keys: one of header, query and field; encoding (hex; base64, base64url); signed ("{timestamp}{body}");
timestamp; tolerance; id.`,
		New: func() Verifier { return NewEd25519() },
	})
	register(Kind{
		Name: "ecdsa",
		Doc: `An ECDSA signature on P-256 over SHA-256; the secret is the sender's public key, as PEM or in base64.
Keys: those of ed25519; format (der; raw: both numbers of 32 bytes, one after the other).`,
		New: func() Verifier { return NewECDSA() },
	})
}

// asymmetric is what signatures by a private key have in common: where the signature is, and
// what is signed.
type asymmetric struct {
	Source

	Encoding  string         `yaml:"encoding" doc:"How the signature is written." oneof:"hex hex-lower base64 base64url"`
	Signed    string         `yaml:"signed" doc:"What is signed: {timestamp}{body}."`
	Timestamp Timestamp      `yaml:"timestamp" doc:"Where the time of signing is."`
	Tolerance *time.Duration `yaml:"tolerance" doc:"Short for the timestamp's."`
	ID        ID             `yaml:"id" doc:"Where the id is that is signed as {id}."`
}

func newAsymmetric(encoding string) asymmetric {
	return asymmetric{
		Encoding: encoding, Signed: "{body}",
		Timestamp: Timestamp{Tolerance: DefaultTolerance, Unit: seconds, Required: true},
	}
}

// hmac lends the reading of timestamps and templates.
func (a *asymmetric) hmac() *HMAC {
	return &HMAC{Source: a.Source, Hash: "sha256", Encoding: a.Encoding, Signed: a.Signed, Timestamp: a.Timestamp, Tolerance: a.Tolerance, ID: a.ID, SecretEncoding: "utf8"}
}

// verify finds the signature and what was signed, asks check of every key, and then compares
// the timestamp.
func (a *asymmetric) verify(r *request.Request, keys [][]byte, now time.Time, check func(key, message, signature []byte) bool) (int, error) {
	if !usable(keys) {
		return -1, errNoSecret
	}
	text, place, err := a.value(r)
	if err != nil {
		return -1, err
	}
	signature, err := decodeSignature(text, a.Encoding)
	if err != nil {
		return -1, fmt.Errorf("%s %w", place, err)
	}
	h := a.hmac()
	c, at, err := h.content(r, "", place)
	if err != nil {
		return -1, err
	}
	var message bytes.Buffer
	if err := c.write(&message, r); err != nil {
		return -1, err
	}
	match := -1
	for i, key := range keys {
		if len(key) > 0 && check(key, message.Bytes(), signature) && match < 0 {
			match = i
		}
	}
	if match < 0 {
		return -1, errMismatch
	}
	if c.timestamp != "" {
		if err := h.Timestamp.fresh(at, now, h.tolerance()); err != nil {
			return -1, err
		}
	}
	return match, nil
}

// decodeSignature is strict: one signature has one text.
func decodeSignature(text, encoding string) ([]byte, error) {
	var out []byte
	var err error
	switch encoding {
	case hexAny, hexLower:
		out, err = hex.DecodeString(text)
	case base64URL:
		out, err = base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(text, "="))
	default:
		out, err = base64.StdEncoding.Strict().DecodeString(text)
	}
	if err != nil || len(out) == 0 || strings.ContainsAny(text, "\r\n") {
		return nil, fmt.Errorf("has no readable signature: expected %s", strings.TrimSuffix(encoding, "-lower"))
	}
	return out, nil
}

// message prepares a request that is about to be signed, and returns what is signed.
func (a *asymmetric) message(r *request.Request, now time.Time) ([]byte, error) {
	c := &content{template: a.Signed, timestamp: a.Timestamp.format(now)}
	if err := a.Timestamp.set(r, c.timestamp); err != nil {
		return nil, err
	}
	if a.ID.Header != "" {
		if c.id = r.Header.Get(a.ID.Header); c.id == "" {
			c.id = "msg_" + rand.Text()
			setHeader(r, a.ID.Header, c.id)
		}
	}
	var message bytes.Buffer
	err := c.write(&message, r)
	return message.Bytes(), err
}

// Withhold names the headers of the signature.
func (a *asymmetric) Withhold() []string { return a.Header }

// NeedsSecret is true: the public key.
func (*asymmetric) NeedsSecret() bool { return true }

// SignedHeaders implements HeaderSigner.
func (a *asymmetric) SignedHeaders() []string { return a.hmac().SignedHeaders() }

// Check finds what is wrong with the settings.
func (a *asymmetric) Check() []Problem { return a.hmac().Check() }

// Ed25519 checks a signature by a private key whose public half is the secret.
type Ed25519 struct {
	asymmetric
}

// NewEd25519 is a signature of the body in hex, with nowhere to look yet.
func NewEd25519() *Ed25519 { return &Ed25519{newAsymmetric(hexAny)} }

// Verify implements Verifier.
func (e *Ed25519) Verify(r *request.Request, keys [][]byte, now time.Time) (int, error) {
	return e.verify(r, keys, now, func(key, message, signature []byte) bool {
		public, err := ed25519Key(key)
		return err == nil && len(signature) == ed25519.SignatureSize && ed25519.Verify(public, message, signature)
	})
}

// ed25519Key reads a public key: its bytes in hex or base64, the latter also after whpk_, or PEM,
// or the base64 of its DER.
func ed25519Key(key []byte) (ed25519.PublicKey, error) {
	text := strings.TrimPrefix(strings.TrimSpace(string(key)), publicPrefix)
	raw, err := hex.DecodeString(text)
	if err != nil {
		raw, err = anyBase64(text)
	}
	if block, _ := pem.Decode(key); block != nil {
		raw, err = block.Bytes, nil
	}
	if err == nil && len(raw) == ed25519.PublicKeySize {
		return raw, nil
	}
	if parsed, broken := x509.ParsePKIXPublicKey(raw); err == nil && broken == nil {
		if public, ok := parsed.(ed25519.PublicKey); ok {
			return public, nil
		}
	}
	return nil, fmt.Errorf("the secret is not an Ed25519 public key: %d bytes in hex or base64, or PEM", ed25519.PublicKeySize)
}

// Sign needs the private key: its seed of 32 bytes, or all 64, in hex or base64.
func (e *Ed25519) Sign(r *request.Request, secret []byte, now time.Time) error {
	raw, err := hex.DecodeString(string(secret))
	if err != nil {
		raw, err = anyBase64(strings.TrimPrefix(string(secret), privatePrefix))
	}
	if err != nil || len(raw) != ed25519.PrivateKeySize {
		return ErrOnlyChecks
	}
	message, err := e.message(r, now)
	if err != nil {
		return err
	}
	return e.set(r, sign(ed25519.Sign(raw, message), e.Encoding))
}

// CheckSecret finds a secret that is no public key.
func (e *Ed25519) CheckSecret(secret []byte) error {
	_, err := ed25519Key(secret)
	return err
}

// ECDSA checks a signature on P-256 by a private key whose public half is the secret.
type ECDSA struct {
	asymmetric

	Format string `yaml:"format" doc:"raw: both numbers of 32 bytes, one after the other." oneof:"der raw"`
}

// NewECDSA is a DER signature of the body in base64, with nowhere to look yet.
func NewECDSA() *ECDSA { return &ECDSA{asymmetric: newAsymmetric(base64Std), Format: "der"} }

// Verify implements Verifier.
func (e *ECDSA) Verify(r *request.Request, keys [][]byte, now time.Time) (int, error) {
	return e.verify(r, keys, now, func(key, message, signature []byte) bool {
		public, err := ecdsaKey(key)
		if err != nil {
			return false
		}
		sum := sha256.Sum256(message)
		if e.Format == "raw" {
			return len(signature) == 64 && ecdsa.Verify(public, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
		}
		return ecdsa.VerifyASN1(public, sum[:], signature)
	})
}

// ecdsaKey reads a public key: PEM, or the base64 of its DER.
func ecdsaKey(key []byte) (*ecdsa.PublicKey, error) {
	der := key
	if block, _ := pem.Decode(key); block != nil {
		der = block.Bytes
	} else if raw, err := anyBase64(strings.TrimSpace(string(key))); err == nil {
		der = raw
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, errors.New("the secret is not a public key: PEM, or its base64")
	}
	public, ok := parsed.(*ecdsa.PublicKey)
	if !ok || public.Curve != elliptic.P256() {
		return nil, errors.New("the secret is not an ECDSA public key on P-256")
	}
	return public, nil
}

// Sign is an error: with the public key nobody can.
func (*ECDSA) Sign(*request.Request, []byte, time.Time) error {
	return ErrOnlyChecks
}

// Check finds what is wrong with the settings.
func (e *ECDSA) Check() []Problem {
	return append(e.asymmetric.Check(), oneOf(e.Format, []string{"der", "raw"}, "format")...)
}

// CheckSecret finds a secret that is no public key.
func (e *ECDSA) CheckSecret(secret []byte) error {
	_, err := ecdsaKey(secret)
	return err
}
