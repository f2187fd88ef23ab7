package provider

import (
	"crypto/hmac"
	"net/http"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:    "meta",
		Aliases: []string{"facebook", "instagram", "whatsapp"},
		Title:   "Meta (Facebook, Instagram, WhatsApp)",
		Doc: `X-Hub-Signature-256, sha256= and HMAC-SHA256 of the body in hex by the app secret. The check of the address is
answered when its hub.verify_token is one of the hook's secrets: list app secret and verify token. Event: the first
change's field. Key: the digest of the request.`,
		Setup: `developers.facebook.com → your app → Webhooks. Callback URL: the address of the hook; Verify token: a second secret of
the hook; App settings → Basic → App secret: its first.`,
		Source: "developers.facebook.com/docs/graph-api/webhooks: Getting started.",

		Verifier:    func() verify.Verifier { return signature("sha256=", "X-Hub-Signature-256") },
		Event:       fromPayload("entry.0.changes.0.field", "object"),
		OnDuplicate: job.Skip,
		Methods:     []string{"GET"},
		Greeting:    metaSubscribe,
		Samples: []Sample{
			{Name: "messages", Event: "messages", ContentType: contentJSON, Body: sample("meta-messages.json")},
		},
	})
}

// metaSubscribe answers the check of an address by somebody who knows a secret of the hook.
func metaSubscribe(r *request.Request, secrets [][]byte) *Answer {
	if r.Method != http.MethodGet || r.QueryValue("hub.mode") != "subscribe" {
		return nil
	}
	known := false
	for _, secret := range secrets {
		if len(secret) > 0 && hmac.Equal(secret, []byte(r.QueryValue("hub.verify_token"))) {
			known = true
		}
	}
	if !known {
		return nil
	}
	return echo(r.QueryValue("hub.challenge"))
}
