package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "mollie",
		Title: "Mollie",
		Doc: `X-Mollie-Signature, HMAC-SHA256 of the body in hex, with or without sha256= before it (next-gen webhooks; the classic
ones carry no signature, and need verify: none and a look at the object). Key: id. Event: type.`,
		Setup:  `Developers → Webhooks → Create webhook. URL: the address of the hook; the signing secret is shown once.`,
		Source: "docs.mollie.com: Webhooks. Vectors: mollie-api-php SignatureValidator.",

		Verifier: func() verify.Verifier {
			return adjusted(signature("", "X-Mollie-Signature"), func(h *verify.HMAC) { h.Prefix = nil })
		},
		Key:         fromPayload("id"),
		Event:       fromPayload("type", "event_type"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "payment-link.paid", Event: "payment-link.paid", ContentType: contentJSON, Body: sample("mollie-payment-link.paid.json")},
		},
		Address: address(inField("id"), inField("type")),
	})
}
