package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "woocommerce",
		Title: "WooCommerce",
		Doc: `X-WC-Webhook-Signature, HMAC-SHA256 of the body in base64. Key: X-WC-Webhook-Delivery-ID. Event: X-WC-Webhook-Topic
(order.created). Saving a webhook sends a form of one number, signed too.`,
		Setup: `WooCommerce → Settings → Advanced → Webhooks → Add webhook. Delivery URL: the address of the hook; Secret: the hook's
secret.`,
		Source: "woocommerce.com/document/webhooks.",

		Verifier:    func() verify.Verifier { return base64Signature("", "X-WC-Webhook-Signature") },
		Key:         fromHeader("X-WC-Webhook-Delivery-ID"),
		Event:       fromHeader("X-WC-Webhook-Topic"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "order.created", Event: "order.created", ContentType: contentJSON, Body: sample("woocommerce-order.created.json")},
		},
		Address: address(inHeader("X-WC-Webhook-Delivery-ID"), inHeader("X-WC-Webhook-Topic")),
	})
}
