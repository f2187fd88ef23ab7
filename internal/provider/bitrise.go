package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "bitrise",
		Title: "Bitrise",
		Doc: `Bitrise-Hook-Signature, sha256= and HMAC-SHA256 of the body in hex. Key: Bitrise-Hook-Delivery-ID. Event:
Bitrise-Event-Type.`,
		Setup:  `App settings → Integrations → Webhooks → Add webhook. URL: the address of the hook; Secret: the hook's secret.`,
		Source: "devcenter.bitrise.io: Outgoing webhooks. Vector: bitrise-io/addons-ship-backend.",

		Verifier:    func() verify.Verifier { return signature("sha256=", "Bitrise-Hook-Signature") },
		Key:         fromHeader("Bitrise-Hook-Delivery-ID"),
		Event:       fromHeader("Bitrise-Event-Type"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "build/finished", Event: "build/finished", ContentType: contentJSON, Body: sample("bitrise-build-finished.json")},
		},
		Address: address(inHeader("Bitrise-Hook-Delivery-ID"), inHeader("Bitrise-Event-Type")),
	})
}
