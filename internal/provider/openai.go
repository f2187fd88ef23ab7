package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "openai",
		Title: "OpenAI",
		Doc: `The signature of Standard Webhooks: webhook-signature over webhook-id, webhook-timestamp and body, 5 minutes. Key:
webhook-id. Event: type (response.completed).`,
		Setup: `platform.openai.com → Settings → Project → Webhooks → Create. URL: the address of the hook; the signing secret
(whsec_…) is shown once.`,
		Source: "platform.openai.com/docs/guides/webhooks. Vectors: openai/openai-python.",

		Verifier:    func() verify.Verifier { return verify.NewStandard().WebhookHeadersOnly() },
		Key:         fromHeader("webhook-id"),
		Event:       fromPayload("type"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "response.completed", Event: "response.completed", ContentType: contentJSON, Body: sample("openai-response.completed.json")},
		},
		Address: address(inHeader("webhook-id"), inField("type")),
	})
}
