package provider

import (
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "calendly",
		Title: "Calendly",
		Doc: `Calendly-Webhook-Signature, HMAC-SHA256 of timestamp and body in its v1 pair; the timestamp may be 3 minutes off.
Event: event (invitee.created). Key: the digest of the request.`,
		Setup:  `POST /webhook_subscriptions of the Calendly API with url, the address of the hook, and signing_key, the hook's secret.`,
		Source: "developer.calendly.com: Webhook signatures.",

		Verifier: func() verify.Verifier {
			return adjusted(pairs("Calendly-Webhook-Signature", "t", "v1", "{timestamp}.{body}"), func(h *verify.HMAC) { h.Timestamp.Tolerance = 3 * time.Minute })
		},
		Event:       fromPayload("event"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "invitee.created", Event: "invitee.created", ContentType: contentJSON, Body: sample("calendly-invitee.created.json")},
		},
		Address: address(nowhere, inField("event")),
	})
}
