package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:   "razorpay",
		Title:  "Razorpay",
		Doc:    `X-Razorpay-Signature, HMAC-SHA256 of the body in hex. Key: x-razorpay-event-id. Event: event (payment.authorized).`,
		Setup:  `Account & Settings → Webhooks → Add New Webhook. URL: the address of the hook; Secret: the hook's secret.`,
		Source: "razorpay.com/docs/webhooks: Validate and test. Vectors: razorpay-python, razorpay-node.",

		Verifier:    func() verify.Verifier { return signature("", "X-Razorpay-Signature") },
		Key:         fromHeader("x-razorpay-event-id"),
		Event:       fromPayload("event"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "payment.authorized", Event: "payment.authorized", ContentType: contentJSON, Body: sample("razorpay-payment.authorized.json")},
		},
		Address: address(inHeader("x-razorpay-event-id"), inField("event")),
	})
}
