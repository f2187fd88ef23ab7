package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:   "cloudflare",
		Title:  "Cloudflare Notifications",
		Doc:    `cf-webhook-auth, the secret itself. Event: alert_type. Key: the digest of the request.`,
		Setup:  `Dashboard → Notifications → Destinations → Webhooks → Create. URL: the address of the hook; Secret: the hook's secret.`,
		Source: "developers.cloudflare.com/notifications: Configure webhooks.",

		Verifier:    func() verify.Verifier { return tokenIn("cf-webhook-auth") },
		Event:       fromPayload("alert_type"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "health_check_status_notification", Event: "health_check_status_notification", ContentType: contentJSON, Body: sample("cloudflare-health_check_status_notification.json")},
		},
		Address: address(nowhere, inField("alert_type")),
	})
}
