package provider

import (
	"net/http"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "asana",
		Title: "Asana",
		Doc: `X-Hook-Signature, HMAC-SHA256 of the body in hex by the secret of the handshake, which Asana makes, and which the
answer to the request that created the webhook has too (X-Hook-Secret). The handshake is answered. Event: the first
event's action. Key: the digest of the request.`,
		Setup: `POST /webhooks of the Asana API with target, the address of the hook. Start the daemon first; then put the answer's
X-Hook-Secret into the hook's secret.`,
		Source: "developers.asana.com: Webhooks guide.",

		Verifier:    func() verify.Verifier { return signature("", "X-Hook-Signature") },
		Event:       fromPayload("events.0.action"),
		OnDuplicate: job.Skip,
		Greeting:    asanaHandshake,
		Samples: []Sample{
			{Name: "changed", Event: "changed", ContentType: contentJSON, Body: sample("asana-changed.json")},
		},
	})
}

// asanaHandshake sends a secret back to whoever sent it. It is not kept.
func asanaHandshake(r *request.Request, _ [][]byte) *Answer {
	secret, ok, twice := r.HeaderValue("X-Hook-Secret")
	if !ok || twice || len(secret) > maxChallenge || len(r.Body) > 2 {
		return nil
	}
	return &Answer{Status: http.StatusOK, Header: http.Header{"X-Hook-Secret": {secret}}}
}
