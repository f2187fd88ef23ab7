package provider

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "contentful",
		Title: "Contentful",
		Doc: `x-contentful-signature, HMAC-SHA256 in hex of method, path, the headers that x-contentful-signed-headers names, and
body; x-contentful-timestamp, which must be among them, may be 30 seconds off. Key: x-contentful-idempotency-key.
Event: X-Contentful-Topic.`,
		Setup: `Settings → Webhooks → Settings → Enable request verification: the secret is the hook's; Webhooks → Add: the address of
the hook.`,
		Source: "contentful.com/developers/docs/webhooks: Request verification; contentful/node-apps-toolkit.",

		Verifier:    func() verify.Verifier { return newContentful() },
		Key:         fromHeader("x-contentful-idempotency-key"),
		Event:       fromHeader("X-Contentful-Topic"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "ContentManagement.Entry.publish", Event: "ContentManagement.Entry.publish", ContentType: contentJSON, Body: sample("contentful-ContentManagement.Entry.publish.json")},
		},
		Address: address(inHeader("x-contentful-idempotency-key"), inHeader("X-Contentful-Topic")),
	})
}

// contentfulSigned is the header that says which headers are signed.
const contentfulSigned = "x-contentful-signed-headers"

// contentfulVerifier checks a signature over headers that the request itself names.
type contentfulVerifier struct {
	verify.HMAC
}

func newContentful() *contentfulVerifier {
	h := stamped(signature("", "x-contentful-signature"), "x-contentful-timestamp", "ms", 30*time.Second, "{body}")
	h.Over(contentfulMessage)
	return &contentfulVerifier{*h}
}

func contentfulMessage(r *request.Request, _, _ string) ([][]byte, error) {
	names := strings.Split(strings.ToLower(header(r, contentfulSigned)), ",")
	if !slices.Contains(names, "x-contentful-timestamp") || !slices.Contains(names, contentfulSigned) || len(names) > maxItems {
		return nil, errors.New("the timestamp is not among the signed headers")
	}
	slices.Sort(names)
	var lines []string
	for _, name := range names {
		lines = append(lines, name+":"+strings.TrimSpace(header(r, name)))
	}
	target := strings.TrimPrefix(verify.URL(r), "https://"+r.Host)
	target = strings.TrimPrefix(target, "http://"+r.Host)
	return [][]byte{[]byte(r.Method + "\n" + target + "\n" + strings.Join(lines, ";") + "\n" + string(r.Body))}, nil
}

// Sign implements verify.Verifier.
func (c *contentfulVerifier) Sign(r *request.Request, secret []byte, now time.Time) error {
	setHeaders(r, contentfulSigned+",x-contentful-timestamp", contentfulSigned)
	return c.HMAC.Sign(r, secret, now)
}
