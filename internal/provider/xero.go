package provider

import (
	"net/http"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "xero",
		Title: "Xero",
		Doc: `x-xero-signature, HMAC-SHA256 of the body in base64. Xero checks an address by right and wrong signatures (intent to
receive) and wants 200, or 401, without a body. Event: the first event's eventCategory. Key: the digest of the
request.`,
		Setup: `developer.xero.com → your app → Webhooks. Send notifications to: the address of the hook; Webhooks key: the hook's
secret.`,
		Source: "developer.xero.com/documentation/guides/webhooks: Configuring your server.",

		Verifier:    func() verify.Verifier { return base64Signature("", "x-xero-signature") },
		Event:       fromPayload("events.0.eventCategory"),
		OnDuplicate: job.Skip,
		Accepted:    &Answer{Status: http.StatusOK},
		Samples: []Sample{
			{Name: "INVOICE", Event: "INVOICE", ContentType: contentJSON, Body: sample("xero-INVOICE.json")},
		},
	})
}
