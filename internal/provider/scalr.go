package provider

import (
	"errors"
	"fmt"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "scalr",
		Title: "Scalr",
		Doc: `X-Signature, HMAC-SHA1 of the body and the Date header in hex. No age is asked of the date unless you say how
much it may have: verify: {tolerance: 5m}. Key and event: the digest of the request, and none.`,
		Setup:  `Account → Webhooks. URL: the address of the hook; the signing key is the hook's secret.`,
		Source: "docs.scalr.io: Webhooks. Vector: adnanh/webhook.",

		Verifier:    func() verify.Verifier { return newScalr() },
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "event", Event: "", ContentType: contentJSON, Body: sample("scalr-event.json")},
		},
	})
}

// scalrVerifier signs the Date header, whatever is in it. A tolerance makes it a timestamp.
type scalrVerifier struct {
	verify.HMAC
}

// scalrDate is how Scalr writes the time. The zone's name says nothing: it is UTC.
const scalrDate = "Mon 02 Jan 2006 15:04:05 MST"

// Verify implements verify.Verifier.
func (s *scalrVerifier) Verify(r *request.Request, secrets [][]byte, now time.Time) (int, error) {
	match, err := s.HMAC.Verify(r, secrets, now)
	if err != nil || s.Tolerance == nil {
		return match, err
	}
	at, err := time.Parse(scalrDate, header(r, "Date"))
	if err != nil {
		return -1, errors.New("header Date is not a time such as " + scalrDate)
	}
	if off := now.Sub(at).Abs().Truncate(time.Second); off > *s.Tolerance {
		return -1, fmt.Errorf("timestamp is %s off, tolerance is %s", off, *s.Tolerance)
	}
	return match, nil
}

// Check implements verify.Checker. The timestamp is not one that HMAC knows of.
func (s *scalrVerifier) Check() []verify.Problem {
	h := s.HMAC
	h.Tolerance = nil
	problems := h.Check()
	if s.Tolerance != nil && *s.Tolerance < time.Second {
		problems = append(problems, verify.Problem{Path: []string{"tolerance"}, Message: "tolerance is at least 1s: clocks differ"})
	}
	return problems
}

func newScalr() *scalrVerifier {
	h := hashed(signature("", "X-Signature"), "sha1")
	h.Signed = "{body}{header:Date}"
	return &scalrVerifier{*h}
}

// Sign implements verify.Verifier.
func (s *scalrVerifier) Sign(r *request.Request, secret []byte, now time.Time) error {
	setHeaders(r, now.UTC().Format(scalrDate), "Date")
	return s.HMAC.Sign(r, secret, now)
}
