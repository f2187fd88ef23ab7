package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "pusher",
		Title: "Pusher",
		Doc: `X-Pusher-Signature, HMAC-SHA256 of the body in hex by the secret of the key that X-Pusher-Key names. Event: the first
event's name. Key: the digest of the request.`,
		Setup:  `Channels → your app → Webhooks → Add: the address of the hook; App Keys → secret: the hook's secret.`,
		Source: "pusher.com/docs/channels/server_api/webhooks. Vectors: pusher/pusher-http-go.",

		Verifier:    func() verify.Verifier { return signature("", "X-Pusher-Signature") },
		Event:       fromPayload("events.0.name"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "channel_occupied", Event: "channel_occupied", ContentType: contentJSON, Body: sample("pusher-channel_occupied.json")},
		},
	})
}
