package provider

import (
	"net/http"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "dropbox",
		Title: "Dropbox",
		Doc: `X-Dropbox-Signature, HMAC-SHA256 of the body in hex by the app secret. The check of the address is answered. The body
only says whose files changed. Key: the digest of the request. Event: none.`,
		Setup:  `App Console → your app → Webhooks: the address of the hook; App secret: the hook's secret. Start the daemon first.`,
		Source: "dropbox.com/developers/reference/webhooks.",

		Verifier:    func() verify.Verifier { return signature("", "X-Dropbox-Signature") },
		OnDuplicate: job.Skip,
		Methods:     []string{"GET"},
		Greeting:    dropboxChallenge,
		Samples: []Sample{
			{Name: "change", Event: "", ContentType: contentJSON, Body: sample("dropbox-change.json")},
		},
	})
}

func dropboxChallenge(r *request.Request, _ [][]byte) *Answer {
	if r.Method != http.MethodGet {
		return nil
	}
	return echo(r.QueryValue("challenge"))
}
