package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "square",
		Title: "Square",
		Doc: `x-square-hmacsha256-signature, HMAC-SHA256 of the hook's public address and the body in base64; the address is the one
configured at Square, which verify: {url: …} says when a proxy hides it. Key: event_id. Event: type.`,
		Setup: `Developer Console → your application → Webhooks → Subscriptions → Add. Notification URL: the address of the hook;
Signature key: the hook's secret.`,
		Source: "developer.squareup.com/docs/webhooks: Validate notifications. Vectors: square's SDKs.",

		Verifier: func() verify.Verifier {
			return newAddressed(base64Signature("", "x-square-hmacsha256-signature"), func(url string, r *request.Request) []byte { return append([]byte(url), r.Body...) })
		},
		Key:         fromPayload("event_id"),
		Event:       fromPayload("type"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "webhooks.test_notification", Event: "webhooks.test_notification", ContentType: contentJSON, Body: sample("square-webhooks.test_notification.json")},
		},
		Address: address(inField("event_id"), inField("type")),
	})
}
