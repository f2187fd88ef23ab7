package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "patreon",
		Title: "Patreon",
		Doc: `X-Patreon-Signature, HMAC-MD5 of the body in hex. Event: X-Patreon-Event (members:create). Key: the digest of the
request.`,
		Setup: `patreon.com/portal/registration/register-webhooks: the address of the hook; the secret shown there is the hook's
secret.`,
		Source: "docs.patreon.com: Webhooks.",

		Verifier:    func() verify.Verifier { return hashed(signature("", "X-Patreon-Signature"), "md5") },
		Event:       fromHeader("X-Patreon-Event"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "members:create", Event: "members:create", ContentType: contentJSON, Body: sample("patreon-members-create.json")},
		},
		Address: address(nowhere, inHeader("X-Patreon-Event")),
	})
}
