package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "airtable",
		Title: "Airtable",
		Doc: `X-Airtable-Content-MAC, hmac-sha256= and HMAC-SHA256 of the body in hex by the base64-decoded macSecretBase64. The
body only says that there is something to fetch. Key: the digest of the request. Event: none.`,
		Setup: `POST /v0/bases/BASE/webhooks of the Airtable API with notificationUrl, the address of the hook; the answer's
macSecretBase64 is the hook's secret.`,
		Source: "airtable.com/developers/web/api: Webhooks overview.",

		Verifier: func() verify.Verifier {
			return adjusted(signature("hmac-sha256=", "X-Airtable-Content-MAC"), func(h *verify.HMAC) { h.SecretEncoding = "base64" })
		},
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "ping", Event: "", ContentType: contentJSON, Body: sample("airtable-ping.json")},
		},
	})
}
