package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "stripe",
		Title: "Stripe",
		Doc: `Stripe-Signature, HMAC-SHA256 of timestamp and body in its v1 pairs; several while a secret is rolled, other
versions never count. The timestamp may be 5 minutes off (verify: {tolerance: …}). The secret is used as it is written, whsec_
included. Key: the event's id. Event: its type. Stripe repeats deliveries for three days and promises no order.`,
		Setup: `Dashboard → Developers → Webhooks → Add destination (or Add endpoint): the address of the hook, and the events.
The destination's page → Signing secret → Reveal: that (whsec_…) is the hook's secret.`,
		Source: "docs.stripe.com/webhooks: Verify webhook signatures manually; The Event object. Vectors: stripe/stripe-node, stripe/stripe-go.",

		Verifier:    func() verify.Verifier { return stripeSignature() },
		Key:         fromPayload("id"),
		Event:       fromPayload("type"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "checkout.session.completed", Event: "checkout.session.completed", ContentType: contentJSON, Body: sample("stripe-checkout.session.completed.json")},
			{Name: "payment_intent.succeeded", Event: "payment_intent.succeeded", ContentType: contentJSON, Body: sample("stripe-payment_intent.succeeded.json")},
		},
		Address: func(r *request.Request, id, event string) {
			setField(r, "type", event)
			setField(r, "id", id)
		},
	})
}

func stripeSignature() *verify.HMAC {
	h := verify.NewHMAC()
	h.Header, h.Encoding = []string{"Stripe-Signature"}, "hex-lower"
	h.SignatureKey, h.Timestamp.Key = "v1", "t"
	h.Signed = "{timestamp}.{body}"
	return h
}
