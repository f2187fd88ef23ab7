package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "notion",
		Title: "Notion",
		Doc: `X-Notion-Signature, sha256= and HMAC-SHA256 of the body in hex by the verification token, which Notion posts to the
address once, when the subscription is made: look it up with verify: none on loopback, or in the integration's
settings. Key: id. Event: type (page.created).`,
		Setup: `notion.so/profile/integrations → your integration → Webhooks → Create a subscription: the address of the hook; the
verification token is the hook's secret.`,
		Source: "developers.notion.com: Webhooks. Vectors: the same page, notion-sdk-js.",

		Verifier:    func() verify.Verifier { return signature("sha256=", "X-Notion-Signature") },
		Key:         fromPayload("id"),
		Event:       fromPayload("type"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "page.created", Event: "page.created", ContentType: contentJSON, Body: sample("notion-page.created.json")},
		},
		Address: address(inField("id"), inField("type")),
	})
}
