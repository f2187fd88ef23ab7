package provider

import (
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "zendesk",
		Title: "Zendesk",
		Doc: `X-Zendesk-Webhook-Signature, HMAC-SHA256 of X-Zendesk-Webhook-Signature-Timestamp and body in base64, 5 minutes. The
secret is used as it is written. Key: X-Zendesk-Webhook-Invocation-Id. Event: type.`,
		Setup: `Admin Center → Apps and integrations → Webhooks → Create. Endpoint URL: the address of the hook; Reveal secret: the
hook's secret.`,
		Source: "developer.zendesk.com: Verifying webhooks.",

		Verifier: func() verify.Verifier {
			return stamped(base64Signature("", "X-Zendesk-Webhook-Signature"), "X-Zendesk-Webhook-Signature-Timestamp", "rfc3339", 5*time.Minute, "{timestamp}{body}")
		},
		Key:         fromHeader("X-Zendesk-Webhook-Invocation-Id"),
		Event:       fromPayload("type"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "zen:event-type:user.created", Event: "zen:event-type:user.created", ContentType: contentJSON, Body: sample("zendesk-zen-event-type-user.created.json")},
		},
		Address: address(inHeader("X-Zendesk-Webhook-Invocation-Id"), inField("type")),
	})
}
