package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "netlify",
		Title: "Netlify",
		Doc: `X-Webhook-Signature, a JSON Web Token by HS256 whose issuer is netlify and whose claim sha256 is that of the body.
Event: X-Netlify-Event. Key: the digest of the request, since a deploy's id comes with each of its states.`,
		Setup: `Project configuration → Notifications → Deploy notifications → Add notification → HTTP POST request. URL: the address
of the hook; JWS secret token: the hook's secret.`,
		Source: "docs.netlify.com: Deploy notifications, payload signature.",

		Verifier:    func() verify.Verifier { return netlifyToken() },
		Event:       fromHeader("X-Netlify-Event"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "deploy_created", Event: "deploy_created", ContentType: contentJSON, Body: sample("netlify-deploy_created.json")},
		},
		Address: address(nowhere, inHeader("X-Netlify-Event")),
	})
}

func netlifyToken() *verify.JWT {
	t := verify.NewJWT()
	t.Header, t.Issuer, t.BodyClaim = []string{"X-Webhook-Signature"}, "netlify", "sha256"
	return t
}
