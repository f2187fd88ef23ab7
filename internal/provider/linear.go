package provider

import (
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "linear",
		Title: "Linear",
		Doc: `Linear-Signature, HMAC-SHA256 of the body in hex; the body's webhookTimestamp may be one minute off. Key:
Linear-Delivery. Event: Linear-Event (Issue), else type of the body.`,
		Setup:  `Settings → API → Webhooks → New webhook. URL: the address of the hook; Signing secret: the hook's secret.`,
		Source: "linear.app/developers/webhooks. Vectors: linear/linear packages/sdk.",

		Verifier:    func() verify.Verifier { return linearSignature() },
		Key:         fromHeader("Linear-Delivery"),
		Event:       linearEvent,
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "Issue", Event: "Issue", ContentType: contentJSON, Body: sample("linear-Issue.json")},
		},
		Address: address(inHeader("Linear-Delivery"), inHeader("Linear-Event")),
	})
}

func linearSignature() *verify.HMAC {
	h := signature("", "Linear-Signature")
	h.Timestamp.Field, h.Timestamp.Unit, h.Timestamp.Tolerance = "webhookTimestamp", "ms", time.Minute
	return h
}

func linearEvent(r *request.Request) (string, error) {
	if event := header(r, "Linear-Event"); event != "" {
		return event, nil
	}
	return fromPayload("type")(r)
}
