package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "telnyx",
		Title: "Telnyx",
		Doc: `telnyx-signature-ed25519 in base64 over telnyx-timestamp and body, 5 minutes; the secret is the account's public key.
Key: data.id. Event: data.event_type.`,
		Setup: `Portal → API keys → Public key: the hook's secret; the address of the hook as the messaging profile's or application's
webhook URL.`,
		Source: "developers.telnyx.com: Webhook fundamentals.",

		Verifier:    func() verify.Verifier { return telnyxSignature() },
		Key:         fromPayload("data.id"),
		Event:       fromPayload("data.event_type"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "message.received", Event: "message.received", ContentType: contentJSON, Body: sample("telnyx-message.received.json")},
		},
		Address: address(inField("data.id"), inField("data.event_type")),
	})
}

func telnyxSignature() *verify.Ed25519 {
	e := verify.NewEd25519()
	e.Header, e.Encoding = []string{"telnyx-signature-ed25519"}, "base64"
	e.Timestamp.Header, e.Signed = "telnyx-timestamp", "{timestamp}|{body}"
	return e
}
