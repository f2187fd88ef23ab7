package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "ably",
		Title: "Ably",
		Doc: `X-Ably-Signature, HMAC-SHA256 of the body in base64 by the part after the colon of the key that X-Ably-Key names.
Event: the first item's source or name. Key: the digest of the request.`,
		Setup: `Your app → Integrations → New integration rule → Webhook. URL: the address of the hook; the chosen key's part after
the colon: the hook's secret.`,
		Source: "ably.com/docs/integrations/webhooks.",

		Verifier:    func() verify.Verifier { return base64Signature("", "X-Ably-Signature") },
		Event:       fromPayload("items.0.source", "items.0.name"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "channel.message", Event: "channel.message", ContentType: contentJSON, Body: sample("ably-channel.message.json")},
		},
	})
}
