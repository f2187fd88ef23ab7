package provider

import (
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:    "messagebird",
		Aliases: []string{"bird"},
		Title:   "MessageBird",
		Doc: `MessageBird-Signature-JWT, a JSON Web Token by HS256, HS384 or HS512 whose issuer is MessageBird, with the SHA-256 of
the address (url_hash) and of the body (payload_hash); one second of leeway. Key: the digest of the request. Event:
none.`,
		Setup: `Dashboard → Developers → API settings → Signing key: the hook's secret; the address of the hook where a product asks
for a webhook's URL.`,
		Source: "developers.messagebird.com: Verify HTTP requests. Vectors: messagebird/go-rest-api.",

		Verifier:    func() verify.Verifier { return newMessageBird() },
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "message", Event: "", ContentType: contentJSON, Body: sample("messagebird-message.json")},
		},
	})
}

func newMessageBird() *verify.JWT {
	t := verify.NewJWT()
	t.Header, t.Issuer = []string{"MessageBird-Signature-JWT"}, "MessageBird"
	t.Algorithms = []string{"HS256", "HS384", "HS512"}
	t.URLClaim, t.BodyClaim, t.EmptyBody, t.Leeway = "url_hash", "payload_hash", true, time.Second
	return t
}
