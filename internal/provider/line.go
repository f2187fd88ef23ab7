package provider

import (
	"net/http"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "line",
		Title: "LINE",
		Doc: `X-Line-Signature, HMAC-SHA256 of the body in base64 by the channel secret. A delivery is a list of events: the key is
the first one's webhookEventId, the event its type. LINE wants 200.`,
		Setup: `LINE Developers → your channel → Messaging API. Webhook URL: the address of the hook; Basic settings → Channel secret:
the hook's secret.`,
		Source: "developers.line.biz: Verify webhook signature. Vectors: line/line-bot-sdk-python.",

		Verifier:    func() verify.Verifier { return base64Signature("", "X-Line-Signature") },
		Key:         fromPayload("events.0.webhookEventId"),
		Event:       fromPayload("events.0.type"),
		OnDuplicate: job.Skip,
		Accepted:    &Answer{Status: http.StatusOK},
		Samples: []Sample{
			{Name: "message", Event: "message", ContentType: contentJSON, Body: sample("line-message.json")},
		},
	})
}
