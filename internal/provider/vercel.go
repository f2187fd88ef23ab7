package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:   "vercel",
		Title:  "Vercel",
		Doc:    `x-vercel-signature, HMAC-SHA1 of the body in hex. Key: the body's id. Event: type (deployment.succeeded).`,
		Setup:  `Team → Settings → Webhooks → Create webhook. Endpoint: the address of the hook; the secret is shown once.`,
		Source: "vercel.com/docs/webhooks: Webhooks API.",

		Verifier:    func() verify.Verifier { return hashed(signature("", "x-vercel-signature"), "sha1") },
		Key:         fromPayload("id"),
		Event:       fromPayload("type"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "deployment.succeeded", Event: "deployment.succeeded", ContentType: contentJSON, Body: sample("vercel-deployment.succeeded.json")},
		},
		Address: address(inField("id"), inField("type")),
	})
}
