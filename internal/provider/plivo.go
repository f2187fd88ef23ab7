package provider

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "plivo",
		Title: "Plivo",
		Doc: `X-Plivo-Signature-V3 (a list), HMAC-SHA256 in base64 of the hook's public address with its sorted query, the sorted
parameters and X-Plivo-Signature-V3-Nonce; or X-Plivo-Signature-V2; or X-Plivo-Signature, the first version, when
neither is there. Key: the digest of the request. Event: Event or Status.`,
		Setup:  `Console → your application: the address of the hook as its URLs; Overview → Auth Token: the hook's secret.`,
		Source: "plivo.com/docs: Signature validation. Vectors: plivo/plivo-go.",

		Verifier:    func() verify.Verifier { return newPlivo() },
		Event:       fromPayload("Event", "CallStatus", "Status"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "call", Event: "Hangup", ContentType: contentForm, Body: sample("plivo-call.form")},
		},
		Address: address(nowhere, inField("Event")),
	})
}

// plivoVerifier checks the newest of the signatures that are there.
type plivoVerifier struct {
	v3, v2, v1 *addressed
}

func newPlivo() *plivoVerifier {
	v3 := listed(base64Signature("", "X-Plivo-Signature-V3"))
	v2 := base64Signature("", "X-Plivo-Signature-V2")
	v1 := hashed(base64Signature("", "X-Plivo-Signature"), "sha1")
	return &plivoVerifier{newAddressed(v3, plivoMessage), newAddressed(v2, func(address string, r *request.Request) []byte {
		address, _, _ = strings.Cut(address, "?")
		return []byte(address + header(r, "X-Plivo-Signature-V2-Nonce"))
	}), newAddressed(v1, signedForm)}
}

// plivoMessage is the address with its query sorted, the sorted parameters, and the nonce.
func plivoMessage(address string, r *request.Request) []byte {
	form, err := verify.SortedForm(r, "")
	if err != nil {
		return nil
	}
	address, query, _ := strings.Cut(address, "?")
	pairs := strings.FieldsFunc(query, func(c rune) bool { return c == '&' })
	slices.Sort(pairs)
	if len(pairs) > 0 || form != "" {
		address += "?" + strings.Join(pairs, "&")
	}
	if len(pairs) > 0 && form != "" {
		address += "."
	}
	return []byte(address + form + "." + header(r, "X-Plivo-Signature-V3-Nonce"))
}

func (p *plivoVerifier) of(r *request.Request) *addressed {
	if _, ok, _ := r.HeaderValue("X-Plivo-Signature-V3"); ok {
		return p.v3
	}
	if _, ok, _ := r.HeaderValue("X-Plivo-Signature-V2"); ok {
		return p.v2
	}
	if _, ok, _ := r.HeaderValue("X-Plivo-Signature"); ok {
		return p.v1
	}
	return p.v3
}

// Verify implements verify.Verifier.
func (p *plivoVerifier) Verify(r *request.Request, secrets [][]byte, now time.Time) (int, error) {
	return p.of(r).Verify(r, secrets, now)
}

// Sign implements verify.Verifier: by the newest signature.
func (p *plivoVerifier) Sign(r *request.Request, secret []byte, now time.Time) error {
	setHeaders(r, strconv.FormatInt(now.UnixNano(), 10), "X-Plivo-Signature-V3-Nonce")
	return p.v3.Sign(r, secret, now)
}

// Withhold implements verify.Verifier.
func (*plivoVerifier) Withhold() []string {
	return []string{"X-Plivo-Signature-V3", "X-Plivo-Signature-V2", "X-Plivo-Signature"}
}

// NeedsSecret implements verify.Verifier.
func (*plivoVerifier) NeedsSecret() bool { return true }
