package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "paystack",
		Title: "Paystack",
		Doc: `x-paystack-signature, HMAC-SHA512 of the body in hex by the API secret key. Event: event (charge.success). Key: the
digest of the request.`,
		Setup:  `Settings → API Keys & Webhooks. Webhook URL: the address of the hook; Secret key (sk_…): the hook's secret.`,
		Source: "paystack.com/docs/payments/webhooks.",

		Verifier:    func() verify.Verifier { return hashed(signature("", "x-paystack-signature"), "sha512") },
		Event:       fromPayload("event"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "charge.success", Event: "charge.success", ContentType: contentJSON, Body: sample("paystack-charge.success.json")},
		},
		Address: address(nowhere, inField("event")),
	})
}
