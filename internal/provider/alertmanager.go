package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "alertmanager",
		Title: "Prometheus Alertmanager",
		Doc: `Authorization: Bearer with the secret. Event: status (firing, resolved). Key: the digest of the request: a repeated
notification is a delivery of its own.`,
		Setup: `alertmanager.yml: receivers → webhook_configs: {url: the address of the hook, http_config: {authorization:
{credentials: the hook's secret}}}.`,
		Source: "prometheus.io/docs/alerting: Configuration, webhook_config.",

		Verifier:    func() verify.Verifier { return &verify.Bearer{} },
		Event:       fromPayload("status"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "firing", Event: "firing", ContentType: contentJSON, Body: sample("alertmanager-firing.json")},
		},
		Address: address(nowhere, inField("status")),
	})
}
