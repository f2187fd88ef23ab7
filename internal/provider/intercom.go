package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "intercom",
		Title: "Intercom",
		Doc: `X-Hub-Signature, sha1= and HMAC-SHA1 of the body in hex by the app's client secret. Key: id. Event: topic. Intercom
checks an address by HEAD.`,
		Setup: `Developer Hub → your app → Webhooks. Endpoint URL: the address of the hook; Basic information → Client secret: the
hook's secret.`,
		Source: "developers.intercom.com: Setting up webhooks.",

		Verifier:    func() verify.Verifier { return hashed(signature("sha1=", "X-Hub-Signature"), "sha1") },
		Key:         fromPayload("id"),
		Event:       fromPayload("topic"),
		OnDuplicate: job.Skip,
		Methods:     []string{"HEAD"},
		Greeting:    greetHead,
		Samples: []Sample{
			{Name: "conversation.user.created", Event: "conversation.user.created", ContentType: contentJSON, Body: sample("intercom-conversation.user.created.json")},
		},
		Address: address(inField("id"), inField("topic")),
	})
}
