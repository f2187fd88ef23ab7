package provider

import (
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "paddle",
		Title: "Paddle",
		Doc: `Paddle-Signature, HMAC-SHA256 of timestamp and body in its h1 pairs; the timestamp may be 5 seconds off, as in
Paddle's own libraries (verify: {tolerance: …}). Key: event_id. Event: event_type.`,
		Setup: `Developer tools → Notifications → New destination. URL: the address of the hook; its secret key (pdl_ntfset_…) is the
hook's secret.`,
		Source: "developer.paddle.com/webhooks: Signature verification. Vectors: PaddleHQ's SDKs.",

		Verifier: func() verify.Verifier {
			return adjusted(pairs("Paddle-Signature", "ts", "h1", "{timestamp}:{body}"), func(h *verify.HMAC) { h.Timestamp.Tolerance, h.Separator = 5*time.Second, ";" })
		},
		Key:         fromPayload("event_id"),
		Event:       fromPayload("event_type"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "price.created", Event: "price.created", ContentType: contentJSON, Body: sample("paddle-price.created.json")},
		},
		Address: address(inField("event_id"), inField("event_type")),
	})
}
