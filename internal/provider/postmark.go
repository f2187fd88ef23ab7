package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "postmark",
		Title: "Postmark",
		Doc: `HTTP basic authentication with the secret as the password, and the user name of verify: {username: …} (tenterhook by
default). Event: RecordType (Delivery). Key: the digest of the request.`,
		Setup: `Server → Message Stream → Webhooks → Add webhook: the address of the hook; Basic auth credentials: the password is the
hook's secret.`,
		Source: "postmarkapp.com/developer/webhooks.",

		Verifier:    func() verify.Verifier { return &verify.Basic{Username: "tenterhook"} },
		Event:       fromPayload("RecordType"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "Delivery", Event: "Delivery", ContentType: contentJSON, Body: sample("postmark-Delivery.json")},
		},
		Address: address(nowhere, inField("RecordType")),
	})
}
