package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "grafana",
		Title: "Grafana Alerting",
		Doc: `X-Grafana-Alerting-Signature, HMAC-SHA256 of the body in hex (Grafana 12 and later). Event: status (firing, resolved).
Key: the digest of the request: a repeated notification is a delivery of its own.`,
		Setup: `Alerting → Contact points → Webhook → Optional webhook settings → HMAC signature: Secret is the hook's secret; leave
Header and Timestamp header empty.`,
		Source: "grafana.com/docs: Configure webhook notifications.",

		Verifier:    func() verify.Verifier { return signature("", "X-Grafana-Alerting-Signature") },
		Event:       fromPayload("status"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "firing", Event: "firing", ContentType: contentJSON, Body: sample("grafana-firing.json")},
		},
		Address: address(nowhere, inField("status")),
	})
}
