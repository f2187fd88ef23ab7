package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:   "typeform",
		Title:  "Typeform",
		Doc:    `Typeform-Signature, sha256= and HMAC-SHA256 of the body in base64. Key: event_id. Event: event_type (form_response).`,
		Setup:  `Form → Connect → Webhooks → Add a webhook: the address of the hook; Secret: the hook's secret.`,
		Source: "typeform.com/developers/webhooks: Secure your webhooks.",

		Verifier:    func() verify.Verifier { return base64Signature("sha256=", "Typeform-Signature") },
		Key:         fromPayload("event_id"),
		Event:       fromPayload("event_type"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "form_response", Event: "form_response", ContentType: contentJSON, Body: sample("typeform-form_response.json")},
		},
		Address: address(inField("event_id"), inField("event_type")),
	})
}
