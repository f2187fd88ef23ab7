package provider

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"net/url"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "paypal",
		Title: "PayPal",
		Doc: `PAYPAL-TRANSMISSION-SIG, RSA by the certificate at PAYPAL-CERT-URL, which is taken from PayPal's own hosts only, over
transmission id, transmission time, webhook id and the CRC-32 of the body. The webhook's id is the secret. Key: id.
Event: event_type (PAYMENT.SALE.COMPLETED).`,
		Setup: `developer.paypal.com → Apps & Credentials → your app → Webhooks → Add webhook: the address of the hook; its webhook ID
is the hook's secret.`,
		Source: "developer.paypal.com/api/rest/webhooks; paypal/PayPal-Python-SDK notifications.py.",

		Verifier:    func() verify.Verifier { return paypalVerifier{} },
		Key:         fromPayload("id"),
		Event:       fromPayload("event_type"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "PAYMENT.SALE.COMPLETED", Event: "PAYMENT.SALE.COMPLETED", ContentType: contentJSON, Body: sample("paypal-PAYMENT.SALE.COMPLETED.json")},
		},
		Address: address(inField("id"), inField("event_type")),
	})
}

// paypalVerifier checks a signature by a certificate of PayPal's.
type paypalVerifier struct{}

// paypalSource reports whether PayPal publishes certificates at an address.
func paypalSource(u *url.URL) bool {
	return u.Scheme == "https" && u.User == nil && strings.HasSuffix(u.Host, ".paypal.com") && strings.HasPrefix(u.Path, "/v1/notifications/certs/") && u.RawQuery == ""
}

// Verify implements verify.Verifier.
func (paypalVerifier) Verify(r *request.Request, secrets [][]byte, now time.Time) (int, error) {
	if header(r, "Paypal-Auth-Algo") != "SHA256withRSA" {
		return -1, errors.New("header PAYPAL-AUTH-ALGO is not SHA256withRSA")
	}
	address, err := url.Parse(header(r, "Paypal-Cert-Url"))
	if err != nil || !paypalSource(address) {
		return -1, errors.New("the certificate's address is not PayPal's")
	}
	signature, err := base64.StdEncoding.DecodeString(header(r, "Paypal-Transmission-Sig"))
	if err != nil || len(signature) == 0 {
		return -1, errors.New("header PAYPAL-TRANSMISSION-SIG is missing, or not base64")
	}
	failed := errors.New("no secret is configured")
	for i, id := range secrets {
		if len(id) == 0 {
			continue
		}
		signed := fmt.Sprintf("%s|%s|%s|%d", header(r, "Paypal-Transmission-Id"), header(r, "Paypal-Transmission-Time"), id, crc32.ChecksumIEEE(r.Body))
		if _, failed = verify.SignedByCertificate(address.String(), nil, x509.SHA256WithRSA, []byte(signed), signature, now); failed == nil {
			return i, nil
		}
	}
	return -1, failed
}

// Sign implements verify.Verifier.
func (paypalVerifier) Sign(*request.Request, []byte, time.Time) error {
	return verify.OnlySender("only PayPal can sign its events")
}

// Withhold implements verify.Verifier.
func (paypalVerifier) Withhold() []string { return []string{"Paypal-Transmission-Sig"} }

// NeedsSecret implements verify.Verifier.
func (paypalVerifier) NeedsSecret() bool { return true }
