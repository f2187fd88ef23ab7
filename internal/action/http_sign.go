package action

import (
	"net/http"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

// The headers of Standard Webhooks
// (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
)

var signatureHeaders = []string{headerID, headerTimestamp, headerSignature}

// schemes are the names of the one scheme there is.
var schemes = []string{"standard", "standard-webhooks"}

// signer signs requests by Standard Webhooks. With several keys, while they are rotated, there is
// a signature of each, and a receiver that knows one of them is content.
type signer struct {
	keys [][]byte
}

// signSpec is sign:.
type signSpec struct {
	Scheme config.Text     `yaml:"scheme,required" doc:"Standard Webhooks."`
	Secret []config.Secret `yaml:"secret,required" doc:"whsec_ and base64, or whsk_ for Ed25519; a list while you rotate."`
}

// newSigner reads sign:. It returns nil when there is none, or after a problem.
func newSigner(node config.Node, d *config.Diagnostics) *signer {
	if node.IsZero() {
		return nil
	}
	var spec signSpec
	ok := node.Decode(&spec, d)
	if name := spec.Scheme.Value; name != "" && name != schemes[0] && name != schemes[1] {
		problem := d.Errorf(spec.Scheme, "unknown scheme %q: requests are signed by standard (Standard Webhooks)", name)
		if near := config.Suggest(name, schemes); near != "" {
			problem.Hint("did you mean %q?", near)
		}
		ok = false
	}
	s := &signer{}
	for _, secret := range spec.Secret {
		key := secret.Reveal()
		if len(key) == 0 {
			continue // Decode has said so
		}
		if _, err := sign(key, "msg", nil, time.Unix(0, 0)); err != nil {
			d.Errorf(secret, "%s", err).Hint("echo whsec_$(openssl rand -base64 32) makes a good one")
			ok = false
			continue
		}
		s.keys = append(s.keys, key)
	}
	if len(spec.Secret) == 0 && ok {
		d.Errorf(node.Find("secret"), "the list of secrets is empty")
	}
	if !ok || len(s.keys) == 0 {
		return nil
	}
	return s
}

// set signs body as the message id. The timestamp is that of the attempt: a receiver refuses old
// ones, and tells by the id that it is the same message.
func (s *signer) set(header http.Header, id string, body []byte, now time.Time) error {
	var signatures []string
	for _, key := range s.keys {
		signed, err := sign(key, id, body, now)
		if err != nil {
			return err
		}
		signatures = append(signatures, signed.Get(headerSignature))
		header.Set(headerTimestamp, signed.Get(headerTimestamp))
	}
	header.Set(headerID, id)
	header.Set(headerSignature, strings.Join(signatures, " "))
	return nil
}

// sign returns the headers of one signature.
func sign(key []byte, id string, body []byte, now time.Time) (http.Header, error) {
	message := &request.Request{Header: http.Header{headerID: {id}}, Body: body}
	err := verify.NewStandard().WebhookHeadersOnly().Sign(message, key, now)
	return message.Header, err
}

// checkUnsigned refuses headers that sign: sets.
func (s *signer) checkUnsigned(headers config.Node, d *config.Diagnostics) {
	if s == nil {
		return
	}
	for _, e := range headers.Entries() {
		for _, name := range signatureHeaders {
			if http.CanonicalHeaderKey(e.Key.Value) == name {
				d.Errorf(e.Key, "header %s is set by sign:", e.Key.Value)
			}
		}
	}
}

// bare are the keys without what says which kind they are: a receiver that shows its own settings
// may leave it out.
func bare(masked []string) []string {
	out := masked
	for _, value := range masked {
		for _, prefix := range []string{"whsec_", "whsk_"} {
			if rest, ok := strings.CutPrefix(value, prefix); ok {
				out = append(out[:len(out):len(out)], rest)
			}
		}
	}
	return out
}
