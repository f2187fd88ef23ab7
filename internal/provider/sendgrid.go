package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "sendgrid",
		Title: "SendGrid",
		Doc: `X-Twilio-Email-Event-Webhook-Signature, ECDSA on P-256 over timestamp and body; the secret is the verification key. No
age is asked of the timestamp, as in SendGrid's own libraries: set verify: {tolerance: 10m} to ask one. A delivery is
a list of events. Event: the first one's. Key: its sg_event_id.`,
		Setup: `Settings → Mail Settings → Event Webhook → Create. Post URL: the address of the hook; Signature Verification → Enable:
the Verification Key is the hook's secret.`,
		Source: "docs.sendgrid.com: Event Webhook security features. Vectors: sendgrid-go, sendgrid-python.",

		Verifier:    func() verify.Verifier { return sendgridSignature() },
		Key:         fromPayload("0.sg_event_id"),
		Event:       fromPayload("0.event"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "dropped", Event: "dropped", ContentType: contentJSON, Body: sample("sendgrid-dropped.json")},
		},
	})
}

func sendgridSignature() *verify.ECDSA {
	e := verify.NewECDSA()
	e.Header, e.Signed = []string{"X-Twilio-Email-Event-Webhook-Signature"}, "{timestamp}{body}"
	e.Timestamp.Header, e.Timestamp.Tolerance = "X-Twilio-Email-Event-Webhook-Timestamp", verify.NoAge
	return e
}
