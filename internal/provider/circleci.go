package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "circleci",
		Title: "CircleCI",
		Doc: `circleci-signature, of which v1= counts: HMAC-SHA256 of the body in hex. Key: the body's id. Event: type
(workflow-completed).`,
		Setup:  `Project settings → Webhooks → Add webhook. Receiver URL: the address of the hook; Secret token: the hook's secret.`,
		Source: "circleci.com/docs/outbound-webhooks. Vectors: the same page.",

		Verifier:    func() verify.Verifier { return listed(signature("v1=", "circleci-signature")) },
		Key:         fromPayload("id"),
		Event:       fromPayload("type"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "workflow-completed", Event: "workflow-completed", ContentType: contentJSON, Body: sample("circleci-workflow-completed.json")},
		},
		Address: address(inField("id"), inField("type")),
	})
}
