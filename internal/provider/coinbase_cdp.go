package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "coinbase-cdp",
		Title: "Coinbase CDP",
		Doc: `X-Hook0-Signature, HMAC-SHA256 of timestamp and body in its v0 pair; the timestamp may be 5 minutes off. Event: the
body's eventType or type. Key: the digest of the request.`,
		Setup: `Create a webhook subscription through the CDP API with the address of the hook; its metadata.secret is the hook's
secret.`,
		Source: "docs.cdp.coinbase.com/webhooks: Verify webhook signatures.",

		Verifier:    func() verify.Verifier { return pairs("X-Hook0-Signature", "t", "v0", "{timestamp}.{body}") },
		Event:       fromPayload("eventType", "type"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "onchain.activity.detected", Event: "onchain.activity.detected", ContentType: contentJSON, Body: sample("coinbase-cdp-onchain.activity.detected.json")},
		},
		Address: address(nowhere, inField("eventType")),
	})
}
