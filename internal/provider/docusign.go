package provider

import (
	"strconv"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "docusign",
		Title: "DocuSign Connect",
		Doc: `X-DocuSign-Signature-1 to -10, one for each key, HMAC-SHA256 of the body in base64: any may match. Event: event
(envelope-completed). Key: the digest of the request.`,
		Setup: `Settings → Connect → Add configuration. URL to publish: the address of the hook; Include HMAC signature; Connect keys
→ Add secret key: the hook's secret.`,
		Source: "developers.docusign.com: Connect, HMAC security.",

		Verifier:    func() verify.Verifier { return docusignSignatures() },
		Event:       fromPayload("event"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "envelope-completed", Event: "envelope-completed", ContentType: contentJSON, Body: sample("docusign-envelope-completed.json")},
		},
		Address: address(nowhere, inField("event")),
	})
}

// docusignSignatures looks at every header DocuSign may send.
func docusignSignatures() verify.Any {
	var any verify.Any
	for i := 1; i <= 10; i++ {
		any = append(any, base64Signature("", "X-DocuSign-Signature-"+strconv.Itoa(i)))
	}
	return any
}
