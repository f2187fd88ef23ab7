package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "mailgun",
		Title: "Mailgun",
		Doc: `signature of the body, HMAC-SHA256 of its timestamp and token in hex, 5 minutes: the event itself is not signed, so
the token is the key, and a second one is a duplicate. Event: event-data.event (delivered).`,
		Setup:  `Sending → Webhooks → Add webhook: the address of the hook; HTTP webhook signing key: the hook's secret.`,
		Source: "documentation.mailgun.com: Securing webhooks; mailgun/mailgun-go.",

		Verifier:    func() verify.Verifier { return mailgunSignature() },
		Key:         fromPayload("signature.token"),
		Event:       fromPayload("event-data.event"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "delivered", Event: "delivered", ContentType: contentJSON, Body: sample("mailgun-delivered.json")},
		},
		Address: address(inField("signature.token"), inField("event-data.event")),
	})
}

func mailgunSignature() *verify.HMAC {
	h := verify.NewHMAC()
	h.Field, h.Encoding, h.List = "signature.signature", "hex-lower", false
	h.Prefix = new(string)
	h.Timestamp.Field, h.Signed = "signature.timestamp", "{timestamp}{field:signature.token}"
	return h
}
