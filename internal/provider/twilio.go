package provider

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "twilio",
		Title: "Twilio",
		Doc: `X-Twilio-Signature, HMAC-SHA1 in base64 of the hook's public address and the sorted parameters of a form; of JSON the
address, whose bodySHA256 must be that of the body. The address is tried with and without a port; verify: {url: …}
says it when a proxy hides it. Key: I-Twilio-Idempotency-Token. Event: MessageStatus or CallStatus.`,
		Setup: `Console → Phone Numbers or Messaging → the webhook's URL: the address of the hook; Account → Auth Token: the hook's
secret.`,
		Source: "twilio.com/docs/usage/security. Vectors: twilio-go, twilio-python.",

		Verifier:    func() verify.Verifier { return newTwilio() },
		Key:         fromHeader("I-Twilio-Idempotency-Token"),
		Event:       fromPayload("MessageStatus", "CallStatus", "SmsStatus"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "message", Event: "delivered", ContentType: contentForm, Body: sample("twilio-message.form")},
		},
		Address: address(inHeader("I-Twilio-Idempotency-Token"), inField("MessageStatus")),
	})
}

// twilioMessage is what is signed with an address: the sorted parameters of a form. JSON is bound
// to the address by its digest in the query instead.
func twilioMessage(url string, r *request.Request) []byte {
	if digest := r.QueryValue("bodySHA256"); digest != "" {
		sum := sha256.Sum256(r.Body)
		if !strings.EqualFold(digest, hex.EncodeToString(sum[:])) {
			return nil
		}
		return []byte(url)
	}
	return signedForm(url, r)
}

func newTwilio() *addressed {
	return newAddressed(hashed(base64Signature("", "X-Twilio-Signature"), "sha1"), twilioMessage)
}
