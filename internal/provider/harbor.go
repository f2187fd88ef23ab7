package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "harbor",
		Title: "Harbor",
		Doc: `Authorization, which repeats the policy's auth header word for word: that text is the secret. Event: type
(PUSH_ARTIFACT). Key: the digest of the request.`,
		Setup: `Project → Webhooks → New webhook, notify type http. Endpoint URL: the address of the hook; Auth header: the hook's
secret.`,
		Source: "goharbor.io/docs: Configure webhook notifications.",

		Verifier:    func() verify.Verifier { return tokenIn("Authorization") },
		Event:       fromPayload("type"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "PUSH_ARTIFACT", Event: "PUSH_ARTIFACT", ContentType: contentJSON, Body: sample("harbor-PUSH_ARTIFACT.json")},
		},
		Address: address(nowhere, inField("type")),
	})
}
