package provider

import (
	"slices"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "trello",
		Title: "Trello",
		Doc: `X-Trello-Webhook, HMAC-SHA1 in base64 of the body and the webhook's callback URL, which verify: {url: …} says when a
proxy hides it. Key: action.id. Event: action.type. Trello checks an address by HEAD.`,
		Setup: `POST /1/webhooks of the Trello API with callbackURL, the address of the hook; your app's OAuth secret is the hook's
secret. Start the daemon first.`,
		Source: "developer.atlassian.com/cloud/trello: Webhooks.",

		Verifier: func() verify.Verifier {
			return newAddressed(hashed(base64Signature("", "X-Trello-Webhook"), "sha1"), func(url string, r *request.Request) []byte { return append(slices.Clone(r.Body), url...) })
		},
		Key:         fromPayload("action.id"),
		Event:       fromPayload("action.type"),
		OnDuplicate: job.Skip,
		Methods:     []string{"HEAD"},
		Greeting:    greetHead,
		Samples: []Sample{
			{Name: "updateCard", Event: "updateCard", ContentType: contentJSON, Body: sample("trello-updateCard.json")},
		},
		Address: address(inField("action.id"), inField("action.type")),
	})
}
