package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "shopify",
		Title: "Shopify",
		Doc: `X-Shopify-Hmac-Sha256 (or shopify-hmac-sha256 of newer events), HMAC-SHA256 of the body in base64. Key:
X-Shopify-Webhook-Id, else X-Shopify-Event-Id. Event: X-Shopify-Topic (orders/create). After a rotation the old secret signs for a
while: list both.`,
		Setup: `For an app: its client secret is the hook's secret; subscribe in shopify.app.toml ([[webhooks.subscriptions]], uri: the
address of the hook) or through the Admin API. For a store: Settings → Notifications → Webhooks → Create webhook, format JSON; the
secret is shown below the list. Shopify waits 5 seconds, tries 8 times in 4 hours, and then removes the subscription.`,
		Source: "shopify.dev/docs/apps/build/webhooks: Deliver webhooks through HTTPS; Shopify/shopify-app-js. Vector: frain-dev/convoy.",

		Verifier:    func() verify.Verifier { return shopifySignature() },
		Key:         fromHeader("X-Shopify-Webhook-Id", "Shopify-Webhook-Id", "X-Shopify-Event-Id", "Shopify-Event-Id"),
		Event:       fromHeader("X-Shopify-Topic", "Shopify-Topic"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "orders/create", Event: "orders/create", ContentType: contentJSON, Body: sample("shopify-orders-create.json")},
		},
		Address: func(r *request.Request, id, event string) {
			setHeaders(r, id, "X-Shopify-Webhook-Id", "X-Shopify-Event-Id")
			setHeaders(r, event, "X-Shopify-Topic")
		},
	})
}

func shopifySignature() *verify.HMAC {
	h := signature("", "X-Shopify-Hmac-Sha256", "Shopify-Hmac-Sha256")
	h.Encoding = "base64"
	return h
}
