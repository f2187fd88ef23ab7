package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "anthropic",
		Title: "Anthropic",
		Doc: `The signature of Standard Webhooks: webhook-signature over webhook-id, webhook-timestamp and body, 5 minutes. Key:
webhook-id. Event: data.type.`,
		Setup: `Console → Settings → Webhooks → Add endpoint: the address of the hook; the signing secret (whsec_…) is the hook's
secret.`,
		Source: "docs.anthropic.com. Vectors: anthropics/anthropic-sdk-python.",

		Verifier:    func() verify.Verifier { return verify.NewStandard().WebhookHeadersOnly() },
		Key:         fromHeader("webhook-id"),
		Event:       fromPayload("data.type"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "session.status", Event: "session.status", ContentType: contentJSON, Body: sample("anthropic-session.status.json")},
		},
		Address: address(inHeader("webhook-id"), inField("data.type")),
	})
}
