package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "pagerduty",
		Title: "PagerDuty",
		Doc: `X-PagerDuty-Signature, a list of v1= and HMAC-SHA256 of the body in hex; several while a secret is rotated. Key:
event.id. Event: event.event_type (incident.triggered).`,
		Setup: `Integrations → Generic Webhooks (v3) → New Webhook. Webhook URL: the address of the hook; the signing secret is shown
once.`,
		Source: "developer.pagerduty.com: Verifying signatures. Vectors: PagerDuty/go-pagerduty.",

		Verifier:    func() verify.Verifier { return listed(signature("v1=", "X-PagerDuty-Signature")) },
		Key:         fromPayload("event.id"),
		Event:       fromPayload("event.event_type"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "incident.priority_updated", Event: "incident.priority_updated", ContentType: contentJSON, Body: sample("pagerduty-incident.priority_updated.json")},
		},
		Address: address(inField("event.id"), inField("event.event_type")),
	})
}
