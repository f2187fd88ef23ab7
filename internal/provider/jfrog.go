package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "jfrog",
		Title: "JFrog",
		Doc: `X-JFrog-Event-Auth: HMAC-SHA256 of the body in hex when the webhook signs its payload, else the secret itself. Event:
event_type. Key: the digest of the request.`,
		Setup: `Administration → General → Webhooks → New webhook. URL: the address of the hook; Secret token: the hook's secret; Use
secret for payload signing: on.`,
		Source: "jfrog.com/help: Webhooks.",

		Verifier: func() verify.Verifier {
			return verify.Any{signature("", "X-JFrog-Event-Auth"), tokenIn("X-JFrog-Event-Auth")}
		},
		Event:       fromPayload("event_type"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "deployed", Event: "deployed", ContentType: contentJSON, Body: sample("jfrog-deployed.json")},
		},
		Address: address(nowhere, inField("event_type")),
	})
}
