package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:   "coinbase-commerce",
		Title:  "Coinbase Commerce",
		Doc:    `X-CC-Webhook-Signature, HMAC-SHA256 of the body in hex. Key: event.id. Event: event.type (charge:confirmed).`,
		Setup:  `Settings → Notifications → Add an endpoint; Show shared secret: the hook's secret.`,
		Source: "docs.cdp.coinbase.com/commerce: Webhooks. Vectors: coinbase/coinbase-commerce-node.",

		Verifier:    func() verify.Verifier { return signature("", "X-CC-Webhook-Signature") },
		Key:         fromPayload("event.id"),
		Event:       fromPayload("event.type"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "charge:created", Event: "charge:created", ContentType: contentJSON, Body: sample("coinbase-commerce-charge-created.json")},
		},
		Address: address(inField("event.id"), inField("event.type")),
	})
}
