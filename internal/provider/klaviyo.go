package provider

import (
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "klaviyo",
		Title: "Klaviyo",
		Doc: `Klaviyo-Signature, HMAC-SHA256 of the body and the Klaviyo-Timestamp header in hex; the timestamp may be 5 minutes
off. Key and event: of the first item, external_id and topic.`,
		Setup: `Create a webhook through the Klaviyo API with the address of the hook and a secret_key of at least 16 bytes: the
hook's secret.`,
		Source: "developers.klaviyo.com: Working with system webhooks.",

		Verifier: func() verify.Verifier {
			return stamped(signature("", "Klaviyo-Signature"), "Klaviyo-Timestamp", "http-date", 5*time.Minute, "{body}{timestamp}")
		},
		Key:         fromPayload("data.0.external_id"),
		Event:       fromPayload("data.0.topic"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "event:klaviyo.sent_sms", Event: "event:klaviyo.sent_sms", ContentType: contentJSON, Body: sample("klaviyo-event-klaviyo.sent_sms.json")},
		},
	})
}
