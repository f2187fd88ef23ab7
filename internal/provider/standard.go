package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:    "standard-webhooks",
		Aliases: []string{"standard", "svix"},
		Title:   "Standard Webhooks and Svix",
		Doc: `webhook-signature (or svix-signature): HMAC-SHA256 of id, timestamp and body with a shared secret (whsec_…), or Ed25519
with the sender's public key (whpk_…); several may be listed, one must match. The timestamp may be 5 minutes off. Key: webhook-id or
svix-id. Event: type of the body. Clerk, OpenAI, Anthropic, Resend, Brex and many others send it.`,
		Setup: `At the sender: add an endpoint with the address of the hook, then copy its signing secret (whsec_…) or public key
(whpk_…): that is the hook's secret.`,
		Source: "standard-webhooks/standard-webhooks spec/standard-webhooks.md; docs.svix.com: Verifying webhooks manually. Vectors: both, openai/openai-python, anthropics/anthropic-sdk-python.",

		Verifier:    func() verify.Verifier { return verify.NewStandard() },
		Key:         func(r *request.Request) (string, error) { return verify.NewStandard().ID(r), nil },
		Event:       fromPayload("type"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "contact.created", Event: "contact.created", ContentType: contentJSON, Body: sample("standard-contact.created.json")},
		},
		Address: func(r *request.Request, id, event string) {
			setHeaders(r, id, "webhook-id")
			setField(r, "type", event)
		},
	})
}
