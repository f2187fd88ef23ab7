package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:   "lemonsqueezy",
		Title:  "Lemon Squeezy",
		Doc:    `X-Signature, HMAC-SHA256 of the body in hex. Event: X-Event-Name (order_created). Key: the digest of the request.`,
		Setup:  `Settings → Webhooks → +. Callback URL: the address of the hook; Signing secret: the hook's secret.`,
		Source: "docs.lemonsqueezy.com: Signing requests.",

		Verifier:    func() verify.Verifier { return signature("", "X-Signature") },
		Event:       fromHeader("X-Event-Name"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "order_created", Event: "order_created", ContentType: contentJSON, Body: sample("lemonsqueezy-order_created.json")},
		},
		Address: address(nowhere, inHeader("X-Event-Name")),
	})
}
