package verify

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/request"
)

// The prefixes of Standard Webhooks keys.
const (
	sharedPrefix  = "whsec_" // a shared secret
	publicPrefix  = "whpk_"  // the sender's public key
	privatePrefix = "whsk_"  // the sender's private key
)

// Standard checks Standard Webhooks: id, timestamp and body signed by HMAC-SHA256 (v1) with a
// shared secret, or by Ed25519 (v1a) with a public key. What a key is decides which of the two
// counts, never what the request says. A request with a webhook-id header is read by its webhook-
// headers alone, any other by its svix- headers.
type Standard struct {
	Tolerance time.Duration `yaml:"tolerance" doc:"How far from now the timestamp may be, past or future."`

	webhookOnly bool
}

// NewStandard has the tolerance of the reference implementations.
func NewStandard() *Standard { return &Standard{Tolerance: DefaultTolerance} }

// WebhookHeadersOnly makes the svix- headers count for nothing, for a sender that has none: its
// messages must not be accepted again under other names.
func (s *Standard) WebhookHeadersOnly() *Standard {
	s.webhookOnly = true
	return s
}

// IsStandardSecret reports whether a secret calls itself a Standard Webhooks key.
func IsStandardSecret(secret []byte) bool {
	return bytes.HasPrefix(secret, []byte(sharedPrefix)) || bytes.HasPrefix(secret, []byte(publicPrefix)) || bytes.HasPrefix(secret, []byte(privatePrefix))
}

// ID is the id of a message, from the headers that Verify looks at; "" when there is none.
func (s *Standard) ID(r *request.Request) string {
	id, _, _ := r.HeaderValue(s.family(r) + "id")
	return id
}

// family must not depend on a header that is withheld: the key is taken after Verify, and has to
// be the id that was signed.
func (s *Standard) family(r *request.Request) string {
	if _, ok, _ := r.HeaderValue("webhook-id"); ok || s.webhookOnly {
		return "webhook-"
	}
	if _, ok, _ := r.HeaderValue("svix-id"); ok {
		return "svix-"
	}
	return "webhook-"
}

// Verify checks the signatures of the versions the secrets are for, and then the timestamp.
func (s *Standard) Verify(r *request.Request, secrets [][]byte, now time.Time) (int, error) {
	if !usable(secrets) {
		return -1, errNoSecret
	}
	family := s.family(r)
	var values [3]string
	for i, name := range [...]string{"id", "timestamp", "signature"} {
		value, err := headerValue(r, family+name)
		if err != nil {
			return -1, err
		}
		values[i] = value
	}
	id, stamp, listed := values[0], values[1], values[2]
	clock := Timestamp{Unit: seconds}
	at, err := clock.moment(stamp)
	if err != nil {
		return -1, err
	}
	sent, err := readStandard(listed, family)
	if err != nil {
		return -1, err
	}
	match := sent.match(r, secrets, &content{template: "{id}.{timestamp}.{body}", id: id, timestamp: stamp})
	if match < 0 {
		return -1, errMismatch
	}
	if err := clock.fresh(at, now, s.Tolerance); err != nil {
		return -1, err
	}
	return match, nil
}

// standardSignatures are those of one request, by version.
type standardSignatures struct {
	v1  signatures
	v1a signatures
}

func readStandard(listed, family string) (*standardSignatures, error) {
	sent := &standardSignatures{v1: signatures{size: sha256.Size}, v1a: signatures{size: ed25519.SignatureSize}}
	n := 0
	for one := range strings.FieldsFuncSeq(listed, func(c rune) bool { return c == ' ' }) {
		if n++; n > maxCandidates {
			return nil, fmt.Errorf("header %ssignature lists more than %d signatures", family, maxCandidates)
		}
		version, text, _ := strings.Cut(one, ",")
		of := &sent.v1
		switch version {
		case "v1":
		case "v1a":
			of = &sent.v1a
		default:
			continue // a version of the future
		}
		if unsign(of.sums[of.n][:of.size], text, base64Std) {
			of.n++
		}
	}
	if sent.v1.n+sent.v1a.n == 0 {
		return nil, fmt.Errorf("header %ssignature has no readable signature: expected v1, and base64", family)
	}
	return sent, nil
}

func (sent *standardSignatures) match(r *request.Request, secrets [][]byte, c *content) int {
	match := -1
	for i, secret := range secrets {
		key, err := parseStandard(secret)
		if err != nil {
			continue // refused at load; here it can only be one that never verifies
		}
		if sent.signedBy(key, r, c) && match < 0 {
			match = i
		}
	}
	return match
}

func (sent *standardSignatures) signedBy(key standardKey, r *request.Request, c *content) (found bool) {
	if key.public == nil {
		mac := hmac.New(sha256.New, key.shared)
		_ = c.write(mac, r) // its template names nothing that could be missing
		var buf [maxSize]byte
		return sent.v1.have(mac.Sum(buf[:0]))
	}
	var message bytes.Buffer
	_ = c.write(&message, r)
	for i := range sent.v1a.n {
		if ed25519.Verify(key.public, message.Bytes(), sent.v1a.sums[i][:ed25519.SignatureSize]) {
			found = true
		}
	}
	return found
}

// standardKey is a shared secret, a public key, or a private key with its public half.
type standardKey struct {
	shared  []byte
	public  ed25519.PublicKey
	private ed25519.PrivateKey
}

// parseStandard reads a key by its prefix; one without a prefix is a shared secret.
func parseStandard(secret []byte) (standardKey, error) {
	text := string(secret)
	prefix := ""
	for _, p := range []string{sharedPrefix, publicPrefix, privatePrefix} {
		if rest, ok := strings.CutPrefix(text, p); ok {
			prefix, text = p, rest
			break
		}
	}
	raw, err := anyBase64(text)
	switch {
	case err != nil:
		return standardKey{}, fmt.Errorf("%w: a Standard Webhooks secret is whsec_ and base64, a public key whpk_ and base64", err)
	case len(raw) == 0:
		return standardKey{}, errors.New("the secret is empty")
	case prefix == publicPrefix && len(raw) != ed25519.PublicKeySize:
		return standardKey{}, fmt.Errorf("a whpk_ key has %d bytes, this one %d", ed25519.PublicKeySize, len(raw))
	case prefix == publicPrefix:
		return standardKey{public: raw}, nil
	case prefix == privatePrefix && len(raw) != ed25519.PrivateKeySize:
		return standardKey{}, fmt.Errorf("a whsk_ key has %d bytes, this one %d", ed25519.PrivateKeySize, len(raw))
	case prefix == privatePrefix:
		private := ed25519.PrivateKey(raw)
		return standardKey{private: private, public: private.Public().(ed25519.PublicKey)}, nil
	}
	return standardKey{shared: raw}, nil
}

// Sign sets the timestamp, an id when the request has none, and the signature. It needs a shared
// secret or a private key.
func (s *Standard) Sign(r *request.Request, secret []byte, now time.Time) error {
	key, err := parseStandard(secret)
	if err != nil {
		return err
	}
	if key.public != nil && key.private == nil {
		return ErrOnlyChecks
	}
	family, clock := s.family(r), Timestamp{Unit: seconds}
	c := &content{template: "{id}.{timestamp}.{body}", id: s.ID(r), timestamp: clock.format(now)}
	if c.id == "" {
		c.id = "msg_" + rand.Text()
	}
	setHeader(r, family+"id", c.id)
	setHeader(r, family+"timestamp", c.timestamp)
	var message bytes.Buffer
	if err := c.write(&message, r); err != nil {
		return err
	}
	if key.private != nil {
		setHeader(r, family+"signature", "v1a,"+base64.StdEncoding.EncodeToString(ed25519.Sign(key.private, message.Bytes())))
		return nil
	}
	mac := hmac.New(sha256.New, key.shared)
	_, _ = mac.Write(message.Bytes())
	setHeader(r, family+"signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return nil
}

// Withhold names the headers of both families.
func (*Standard) Withhold() []string { return []string{"Webhook-Signature", "Svix-Signature"} }

// NeedsSecret is true.
func (*Standard) NeedsSecret() bool { return true }

// SignedHeaders implements HeaderSigner.
func (*Standard) SignedHeaders() []string {
	return []string{"webhook-id", "webhook-timestamp", "svix-id", "svix-timestamp"}
}

// Check finds what is wrong with the settings.
func (s *Standard) Check() []Problem {
	if err := checkTolerance(s.Tolerance); err != nil {
		return []Problem{{Path: []string{"tolerance"}, Message: err.Error()}}
	}
	return nil
}

// CheckSecret finds a secret that is no key.
func (s *Standard) CheckSecret(secret []byte) error {
	key, err := parseStandard(secret)
	if err == nil && key.private != nil {
		return errors.New("whsk_ is the sender's private key: configure the public one, whpk_")
	}
	return err
}
