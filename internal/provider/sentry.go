package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "sentry",
		Title: "Sentry",
		Doc: `Sentry-Hook-Signature, HMAC-SHA256 of the body in hex by the integration's client secret. Key: Request-ID. Event:
Sentry-Hook-Resource (issue). Sentry waits one second for an answer.`,
		Setup: `Settings → Custom Integrations → the integration. Webhook URL: the address of the hook; Client Secret: the hook's
secret.`,
		Source: "docs.sentry.io/organization/integrations/integration-platform: Webhooks.",

		Verifier:    func() verify.Verifier { return signature("", "Sentry-Hook-Signature") },
		Key:         fromHeader("Request-ID"),
		Event:       fromHeader("Sentry-Hook-Resource"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "issue", Event: "issue", ContentType: contentJSON, Body: sample("sentry-issue.json")},
		},
		Address: address(inHeader("Request-ID"), inHeader("Sentry-Hook-Resource")),
	})
}
