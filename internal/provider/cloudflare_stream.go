package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "cloudflare-stream",
		Title: "Cloudflare Stream",
		Doc: `Webhook-Signature, HMAC-SHA256 of timestamp and body in its sig1 pair; the timestamp may be 5 minutes off. Event:
status.state (ready, error). Key: the digest of the request.`,
		Setup: `PUT /accounts/ID/stream/webhook with notificationUrl, the address of the hook; the answer's secret is the hook's
secret.`,
		Source: "developers.cloudflare.com/stream: Use webhooks.",

		Verifier:    func() verify.Verifier { return pairs("Webhook-Signature", "time", "sig1", "{timestamp}.{body}") },
		Event:       fromPayload("status.state"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "ready", Event: "ready", ContentType: contentJSON, Body: sample("cloudflare-stream-ready.json")},
		},
		Address: address(nowhere, inField("status.state")),
	})
}
