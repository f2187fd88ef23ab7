package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "sanity",
		Title: "Sanity",
		Doc: `sanity-webhook-signature, HMAC-SHA256 of timestamp and body in its v1 pair, base64url. No age is asked of the
timestamp, as in Sanity's own toolkit: set verify: {tolerance: 5m} to ask one. Key: idempotency-key. Event:
sanity-operation (create).`,
		Setup: `sanity.io/manage → your project → API → Webhooks → Create webhook. URL: the address of the hook; Secret: the hook's
secret.`,
		Source: "sanity.io/docs/webhooks; sanity-io/webhook-toolkit. Vectors: the toolkit.",

		Verifier: func() verify.Verifier {
			return adjusted(pairs("sanity-webhook-signature", "t", "v1", "{timestamp}.{body}"), func(h *verify.HMAC) {
				h.Encoding, h.Timestamp.Unit, h.Timestamp.Tolerance = "base64url", "ms", verify.NoAge
			})
		},
		Key:         fromHeader("idempotency-key"),
		Event:       fromHeader("sanity-operation"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "create", Event: "create", ContentType: contentJSON, Body: sample("sanity-create.json")},
		},
		Address: address(inHeader("idempotency-key"), inHeader("sanity-operation")),
	})
}
