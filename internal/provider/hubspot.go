package provider

import (
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "hubspot",
		Title: "HubSpot",
		Doc: `X-HubSpot-Signature-v3, HMAC-SHA256 in base64 of method, public address, body and X-HubSpot-Request-Timestamp, 5
minutes. X-HubSpot-Signature, a plain hash of the secret and the body (v1) or of the request (v2), is taken when
HubSpot sends no v3. A delivery is a list of events. Event: the first one's subscriptionType. Key: the digest of the
request: eventId is not unique.`,
		Setup:  `Your app → Webhooks. Target URL: the address of the hook; Auth → Client secret: the hook's secret.`,
		Source: "developers.hubspot.com: Validating requests. Vectors: HubSpot's API clients, and that page.",

		Verifier:    func() verify.Verifier { return newHubSpot() },
		Event:       fromPayload("0.subscriptionType"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "contact.creation", Event: "contact.creation", ContentType: contentJSON, Body: sample("hubspot-contact.creation.json")},
		},
	})
}

// hubspotVerifier checks the newest of the signatures that are there.
type hubspotVerifier struct {
	v3     *addressed
	v2, v1 *verify.HMAC
}

func newHubSpot() *hubspotVerifier {
	v3 := base64Signature("", "X-HubSpot-Signature-v3")
	v3.Timestamp.Header, v3.Timestamp.Unit = "X-HubSpot-Request-Timestamp", "ms"
	plain := func(signed string) *verify.HMAC {
		h := verify.NewDigest()
		h.Header, h.Encoding, h.List, h.Prefix = []string{"X-HubSpot-Signature"}, "hex-lower", false, new(string)
		h.Signed = signed
		return h
	}
	return &hubspotVerifier{
		v3: newAddressed(v3, func(url string, r *request.Request) []byte {
			return []byte(r.Method + hubspotEscapes.Replace(url) + string(r.Body) + header(r, "X-HubSpot-Request-Timestamp"))
		}),
		v2: plain("{secret}{method}{url}{body}"), v1: plain("{secret}{body}"),
	}
}

// hubspotEscapes are those that HubSpot writes out before it signs an address.
var hubspotEscapes = strings.NewReplacer("%3A", ":", "%2F", "/", "%3F", "?", "%40", "@", "%21", "!", "%24", "$", "%27", "'", "%28", "(", "%29", ")",
	"%2A", "*", "%2C", ",", "%3B", ";", "%3a", ":", "%2f", "/", "%3f", "?", "%2a", "*", "%2c", ",", "%3b", ";")

// Verify implements verify.Verifier.
func (h *hubspotVerifier) Verify(r *request.Request, secrets [][]byte, now time.Time) (int, error) {
	_, old, _ := r.HeaderValue("X-HubSpot-Signature")
	_, current, _ := r.HeaderValue("X-HubSpot-Signature-v3")
	switch {
	case current || !old:
		return h.v3.Verify(r, secrets, now)
	case header(r, "X-HubSpot-Signature-Version") == "v2":
		return h.v2.Verify(r, secrets, now)
	}
	return h.v1.Verify(r, secrets, now)
}

// Sign implements verify.Verifier: by the newest signature.
func (h *hubspotVerifier) Sign(r *request.Request, secret []byte, now time.Time) error {
	return h.v3.Sign(r, secret, now)
}

// Withhold implements verify.Verifier.
func (*hubspotVerifier) Withhold() []string {
	return []string{"X-HubSpot-Signature-v3", "X-HubSpot-Signature"}
}

// NeedsSecret implements verify.Verifier.
func (*hubspotVerifier) NeedsSecret() bool { return true }
