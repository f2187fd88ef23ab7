package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:    "terraform",
		Aliases: []string{"hcp-terraform"},
		Title:   "HCP Terraform",
		Doc: `X-TFE-Notification-Signature, HMAC-SHA512 of the body in hex. Event: the first notification's trigger (run:completed).
Key: the digest of the request.`,
		Setup: `Workspace → Settings → Notifications → Create a notification → Webhook. Webhook URL: the address of the hook; Token:
the hook's secret.`,
		Source: "developer.hashicorp.com/terraform/cloud-docs/api-docs: Notification configurations.",

		Verifier:    func() verify.Verifier { return hashed(signature("", "X-TFE-Notification-Signature"), "sha512") },
		Event:       fromPayload("notifications.0.trigger"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "run:completed", Event: "run:completed", ContentType: contentJSON, Body: sample("terraform-run-completed.json")},
		},
	})
}
