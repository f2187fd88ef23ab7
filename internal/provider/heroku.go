package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "heroku",
		Title: "Heroku",
		Doc: `Heroku-Webhook-Hmac-SHA256, HMAC-SHA256 of the body in base64. Key: the body's id. Event: resource and action
(api:release create) are in the body; the event is the resource.`,
		Setup:  `heroku webhooks:add -i api:release -l sync -u (the address of the hook); the secret it prints is the hook's secret.`,
		Source: "devcenter.heroku.com: App webhooks.",

		Verifier:    func() verify.Verifier { return base64Signature("", "Heroku-Webhook-Hmac-SHA256") },
		Key:         fromPayload("id"),
		Event:       fromPayload("resource"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "release", Event: "release", ContentType: contentJSON, Body: sample("heroku-release.json")},
		},
		Address: address(inField("id"), inField("resource")),
	})
}
