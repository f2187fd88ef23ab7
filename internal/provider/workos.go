package provider

import (
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "workos",
		Title: "WorkOS",
		Doc: `WorkOS-Signature, HMAC-SHA256 of timestamp and body in its v1 pair; the timestamp, in milliseconds, may be 3 minutes
off. Key: id. Event: event (user.created).`,
		Setup:  `Dashboard → Webhooks → Create webhook. Endpoint URL: the address of the hook; Secret: the hook's secret.`,
		Source: "workos.com/docs/events/data-syncing/webhooks; workos/workos-go.",

		Verifier: func() verify.Verifier {
			return adjusted(pairs("WorkOS-Signature", "t", "v1", "{timestamp}.{body}"), func(h *verify.HMAC) { h.Timestamp.Unit, h.Timestamp.Tolerance = "ms", 3*time.Minute })
		},
		Key:         fromPayload("id"),
		Event:       fromPayload("event"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "user.created", Event: "user.created", ContentType: contentJSON, Body: sample("workos-user.created.json")},
		},
		Address: address(inField("id"), inField("event")),
	})
}
