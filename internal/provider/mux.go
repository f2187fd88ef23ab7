package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "mux",
		Title: "Mux",
		Doc: `Mux-Signature, HMAC-SHA256 of timestamp and body in its v1 pairs; the timestamp may be 5 minutes off. Key: id. Event:
type (video.asset.ready).`,
		Setup: `Settings → Webhooks → Create new webhook. URL to notify: the address of the hook; Show signing secret: the hook's
secret.`,
		Source: "docs.mux.com: Verify webhook signatures. Vectors: muxinc/mux-elixir.",

		Verifier:    func() verify.Verifier { return pairs("Mux-Signature", "t", "v1", "{timestamp}.{body}") },
		Key:         fromPayload("id"),
		Event:       fromPayload("type"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "video.asset.ready", Event: "video.asset.ready", ContentType: contentJSON, Body: sample("mux-video.asset.ready.json")},
		},
		Address: address(inField("id"), inField("type")),
	})
}
