package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:   "launchdarkly",
		Title:  "LaunchDarkly",
		Doc:    `X-LD-Signature, HMAC-SHA256 of the body in hex. Key: _id. Event: kind (flag).`,
		Setup:  `Integrations → Webhooks → Add integration. URL: the address of the hook; Sign this webhook: the secret is the hook's.`,
		Source: "docs.launchdarkly.com: Webhooks.",

		Verifier:    func() verify.Verifier { return signature("", "X-LD-Signature") },
		Key:         fromPayload("_id"),
		Event:       fromPayload("kind"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "flag", Event: "flag", ContentType: contentJSON, Body: sample("launchdarkly-flag.json")},
		},
		Address: address(inField("_id"), inField("kind")),
	})
}
