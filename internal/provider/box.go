package provider

import (
	"errors"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "box",
		Title: "Box",
		Doc: `box-signature-primary or box-signature-secondary, one for each of two keys, HMAC-SHA256 of body and
box-delivery-timestamp in base64, 10 minutes: any may match. Key: box-delivery-id. Event: trigger (FILE.UPLOADED).`,
		Setup: `Developer Console → your app → Webhooks: the address of the hook; Manage signature keys: both keys are the hook's
secrets.`,
		Source: "developer.box.com/guides/webhooks/v2/signatures-v2. Vectors: box/box-python-sdk.",

		Verifier:    func() verify.Verifier { return newBox() },
		Key:         fromHeader("box-delivery-id"),
		Event:       fromPayload("trigger"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "FILE.UPLOADED", Event: "FILE.UPLOADED", ContentType: contentJSON, Body: sample("box-FILE.UPLOADED.json")},
		},
		Address: address(inHeader("box-delivery-id"), inField("trigger")),
	})
}

// boxVerifier checks both of Box's signatures; one is enough.
type boxVerifier struct {
	verify.Any
}

func newBox() *boxVerifier {
	of := func(header string) *verify.HMAC {
		return stamped(base64Signature("", header), "box-delivery-timestamp", "rfc3339", 10*time.Minute, "{body}{timestamp}")
	}
	return &boxVerifier{verify.Any{of("box-signature-primary"), of("box-signature-secondary")}}
}

// Verify implements verify.Verifier.
func (b *boxVerifier) Verify(r *request.Request, secrets [][]byte, now time.Time) (int, error) {
	if header(r, "box-signature-version") != "1" || header(r, "box-signature-algorithm") != "HmacSHA256" {
		return -1, errors.New("the signature is not of version 1, HmacSHA256")
	}
	return b.Any.Verify(r, secrets, now)
}

// Sign implements verify.Verifier.
func (b *boxVerifier) Sign(r *request.Request, secret []byte, now time.Time) error {
	setHeaders(r, "1", "box-signature-version")
	setHeaders(r, "HmacSHA256", "box-signature-algorithm")
	return b.Any.Sign(r, secret, now)
}
