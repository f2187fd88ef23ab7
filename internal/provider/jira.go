package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:    "jira",
		Aliases: []string{"atlassian"},
		Title:   "Jira",
		Doc: `X-Hub-Signature, sha256= and HMAC-SHA256 of the body in hex. Key: X-Atlassian-Webhook-Identifier, which retries
repeat. Event: webhookEvent of the body (jira:issue_updated).`,
		Setup: `Jira settings → System → WebHooks → Create a WebHook. URL: the address of the hook; Secret: Generate, or the hook's
own.`,
		Source: "developer.atlassian.com/cloud/jira: Webhooks. Vector: Atlassian's documented test values.",

		Verifier:    func() verify.Verifier { return signature("sha256=", "X-Hub-Signature") },
		Key:         fromHeader("X-Atlassian-Webhook-Identifier"),
		Event:       fromPayload("webhookEvent"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "jira:issue_updated", Event: "jira:issue_updated", ContentType: contentJSON, Body: sample("jira-jira-issue_updated.json")},
		},
		Address: address(inHeader("X-Atlassian-Webhook-Identifier"), inField("webhookEvent")),
	})
}
