package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "buildkite",
		Title: "Buildkite",
		Doc: `X-Buildkite-Signature, HMAC-SHA256 of timestamp and body, 5 minutes; or X-Buildkite-Token, the secret itself, for a
webhook that is set to send its token. Event: X-Buildkite-Event. Key: the digest of the request.`,
		Setup: `Organization → Settings → Notification Services → Webhook. Webhook URL: the address of the hook; the token shown there
is the hook's secret; choose the signature.`,
		Source: "buildkite.com/docs/apis/webhooks.",

		Verifier: func() verify.Verifier {
			return verify.Any{pairs("X-Buildkite-Signature", "timestamp", "signature", "{timestamp}.{body}"), tokenIn("X-Buildkite-Token")}
		},
		Event:       fromHeader("X-Buildkite-Event"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "build.finished", Event: "build.finished", ContentType: contentJSON, Body: sample("buildkite-build.finished.json")},
		},
		Address: address(nowhere, inHeader("X-Buildkite-Event")),
	})
}
