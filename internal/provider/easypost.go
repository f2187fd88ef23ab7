package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:   "easypost",
		Title:  "EasyPost",
		Doc:    `X-Hmac-Signature, hmac-sha256-hex= and HMAC-SHA256 of the body in hex. Key: id. Event: description (tracker.updated).`,
		Setup:  `Account settings → Webhooks & API → Add webhook: the address of the hook and the hook's secret.`,
		Source: "docs.easypost.com: Webhooks, HMAC validation.",

		Verifier:    func() verify.Verifier { return signature("hmac-sha256-hex=", "X-Hmac-Signature") },
		Key:         fromPayload("id"),
		Event:       fromPayload("description"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "tracker.updated", Event: "tracker.updated", ContentType: contentJSON, Body: sample("easypost-tracker.updated.json")},
		},
		Address: address(inField("id"), inField("description")),
	})
}
