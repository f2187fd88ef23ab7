package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "gocardless",
		Title: "GoCardless",
		Doc: `Webhook-Signature, HMAC-SHA256 of the body in hex. A delivery is a list of events, each with an id: the key is the
digest of the request. Event: the first one's resource_type.`,
		Setup:  `Developers → Create → Webhook endpoint. URL: the address of the hook; Secret: the hook's secret.`,
		Source: "developer.gocardless.com: Webhooks. Vectors: gocardless-pro-go, gocardless-pro-python.",

		Verifier:    func() verify.Verifier { return signature("", "Webhook-Signature") },
		Event:       fromPayload("events.0.resource_type"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "payments", Event: "payments", ContentType: contentJSON, Body: sample("gocardless-payments.json")},
		},
	})
}
