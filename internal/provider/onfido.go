package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:   "onfido",
		Title:  "Onfido",
		Doc:    `X-SHA2-Signature, HMAC-SHA256 of the body in hex. Event: payload.action. Key: the digest of the request.`,
		Setup:  `Dashboard → Settings → Webhooks → Create webhook: the address of the hook; the token shown once is the hook's secret.`,
		Source: "documentation.onfido.com: Webhooks. Vectors: onfido/onfido-python.",

		Verifier:    func() verify.Verifier { return signature("", "X-SHA2-Signature") },
		Event:       fromPayload("payload.action"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "workflow_task.completed", Event: "workflow_task.completed", ContentType: contentJSON, Body: sample("onfido-workflow_task.completed.json")},
		},
		Address: address(nowhere, inField("payload.action")),
	})
}
