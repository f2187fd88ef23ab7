package provider

import (
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "scalr",
		Title: "Scalr",
		Doc: `X-Signature, HMAC-SHA1 of the body and the Date header in hex. Scalr writes the date in a form of its own, and no age
is asked of it. Key and event: the digest of the request, and none.`,
		Setup:  `Account → Webhooks. URL: the address of the hook; the signing key is the hook's secret.`,
		Source: "docs.scalr.io: Webhooks. Vector: adnanh/webhook.",

		Verifier:    func() verify.Verifier { return newScalr() },
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "event", Event: "", ContentType: contentJSON, Body: sample("scalr-event.json")},
		},
	})
}

// scalrVerifier signs the Date header, whatever is in it.
type scalrVerifier struct {
	verify.HMAC
}

func newScalr() *scalrVerifier {
	h := hashed(signature("", "X-Signature"), "sha1")
	h.Signed = "{body}{header:Date}"
	return &scalrVerifier{*h}
}

// Sign implements verify.Verifier.
func (s *scalrVerifier) Sign(r *request.Request, secret []byte, now time.Time) error {
	setHeaders(r, now.UTC().Format("Mon 02 Jan 2006 15:04:05 MST"), "Date")
	return s.HMAC.Sign(r, secret, now)
}
