package provider

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "adyen",
		Title: "Adyen",
		Doc: `HmacSignature, HMAC-SHA256 of the body in base64 (platform webhooks); or, of a standard webhook, the hmacSignature of
each item over eight of its fields: every item must be right. The key is hex. Key: the item's pspReference, event code
and success. Event: eventCode or type. Adyen wants the answer [accepted].`,
		Setup: `Customer Area → Developers → Webhooks → Create new webhook. URL: the address of the hook; Security → HMAC key →
Generate: the hook's secret.`,
		Source: "docs.adyen.com/development-resources/webhooks: Verify HMAC signatures. Vectors: Adyen's libraries.",

		Verifier:    func() verify.Verifier { return newAdyen() },
		Key:         adyenKey,
		Event:       fromPayload("notificationItems.0.NotificationRequestItem.eventCode", "type"),
		OnDuplicate: job.Skip,
		Accepted:    &Answer{Status: http.StatusOK, Header: http.Header{"Content-Type": {"text/plain"}}, Body: []byte("[accepted]")},
		Samples: []Sample{
			{Name: "AUTHORISATION", Event: "AUTHORISATION", ContentType: contentJSON, Body: sample("adyen-AUTHORISATION.json")},
		},
	})
}

// adyenVerifier checks the header of platform webhooks, or every item of a standard one.
type adyenVerifier struct {
	header *verify.HMAC
	item   *verify.HMAC
}

func newAdyen() *adyenVerifier {
	h := base64Signature("", "HmacSignature")
	h.SecretEncoding = "hex"
	item := *h
	item.Source = verify.Source{Field: "additionalData.hmacSignature"}
	item.Over(adyenItem)
	return &adyenVerifier{h, &item}
}

// maxItems bounds the items of one notification.
const maxItems = 64

// adyenItem is what is signed of an item, which is the body here: values between colons,
// nothing escaped, "" for what is missing.
func adyenItem(r *request.Request, _, _ string) ([][]byte, error) {
	item, err := r.Payload()
	if err != nil {
		return nil, err
	}
	var values []string
	for _, path := range []string{
		"pspReference", "originalReference", "merchantAccountCode", "merchantReference", "amount.value", "amount.currency", "eventCode", "success",
	} {
		values = append(values, text(item, path))
	}
	return [][]byte{[]byte(strings.Join(values, ":"))}, nil
}

// Verify implements verify.Verifier.
func (a *adyenVerifier) Verify(r *request.Request, secrets [][]byte, now time.Time) (int, error) {
	if _, ok, _ := r.HeaderValue("HmacSignature"); ok {
		return a.header.Verify(r, secrets, now)
	}
	payload, err := request.Decode(request.FormatJSON, "", r.Body)
	if err != nil {
		return -1, fmt.Errorf("find the items: %w", err)
	}
	items, _ := at(payload, "notificationItems").([]any)
	if len(items) == 0 || len(items) > maxItems {
		return -1, errors.New("header HmacSignature is missing, and the body has no notificationItems")
	}
	match := -1
	for _, one := range items {
		body, err := json.Marshal(at(one, "NotificationRequestItem"))
		if err != nil {
			return -1, err
		}
		if match, err = a.item.Verify(&request.Request{Body: body, Format: request.FormatJSON}, secrets, now); err != nil {
			return -1, err
		}
	}
	return match, nil
}

// Sign implements verify.Verifier: by the header, whatever the body is.
func (a *adyenVerifier) Sign(r *request.Request, secret []byte, now time.Time) error {
	return a.header.Sign(r, secret, now)
}

// Withhold implements verify.Verifier.
func (a *adyenVerifier) Withhold() []string { return a.header.Withhold() }

// NeedsSecret implements verify.Verifier.
func (*adyenVerifier) NeedsSecret() bool { return true }

// CheckSecret implements verify.SecretChecker.
func (a *adyenVerifier) CheckSecret(secret []byte) error { return a.header.CheckSecret(secret) }

// adyenKey is that of the only item: a delivery of several has none, and the digest of the
// request is its key.
func adyenKey(r *request.Request) (string, error) {
	payload, err := r.Payload()
	if err != nil {
		return "", err
	}
	if items, _ := at(payload, "notificationItems").([]any); len(items) == 1 {
		item := at(items[0], "NotificationRequestItem")
		return text(item, "pspReference") + ":" + text(item, "eventCode") + ":" + text(item, "success"), nil
	}
	return text(payload, "data.id"), nil
}
