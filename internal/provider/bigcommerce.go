package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "bigcommerce",
		Title: "BigCommerce",
		Doc: `The signature of Standard Webhooks by the app's client secret: put the client secret's base64 into the hook's secret.
Key: webhook-id. Event: scope (store/order/created).`,
		Setup: `POST /v3/hooks of the BigCommerce API with destination, the address of the hook; the base64 of your app's client
secret is the hook's secret.`,
		Source: "developer.bigcommerce.com/docs/webhooks.",

		Verifier:    func() verify.Verifier { return verify.NewStandard().WebhookHeadersOnly() },
		Key:         fromHeader("webhook-id"),
		Event:       fromPayload("scope"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "store/order/created", Event: "store/order/created", ContentType: contentJSON, Body: sample("bigcommerce-store-order-created.json")},
		},
		Address: address(inHeader("webhook-id"), inField("scope")),
	})
}
