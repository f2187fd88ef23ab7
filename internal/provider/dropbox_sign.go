package provider

import (
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "dropbox-sign",
		Title: "Dropbox Sign",
		Doc: `event_hash in the body, HMAC-SHA256 of event_time and event_type in hex by the API key: the rest of the body is not
signed, so believe nothing else of it without asking the API. The JSON is in the field json of a multipart form. Key:
event_hash. Event: event_type. Dropbox Sign wants the answer Hello API Event Received.`,
		Setup:  `API → Settings → Account callback: the address of the hook; API key: the hook's secret.`,
		Source: "developers.hellosign.com: Events and callbacks. Vectors: hellosign/dropbox-sign-python.",

		Verifier:    func() verify.Verifier { return newDropboxSign() },
		Key:         dropboxSignKey,
		Event:       dropboxSignEvent,
		OnDuplicate: job.Skip,
		Accepted:    plainText("Hello API Event Received"),
		Samples: []Sample{
			{Name: "account_confirmed", Event: "account_confirmed", ContentType: contentJSON, Body: sample("dropbox-sign-account_confirmed.json")},
		},
	})
}

// dropboxSign checks the hash in the JSON, which comes in a field of a form.
type dropboxSign struct {
	hash *verify.HMAC
}

func newDropboxSign() *dropboxSign {
	h := verify.NewHMAC()
	h.Field, h.Encoding, h.List, h.Prefix = "event.event_hash", "hex-lower", false, new(string)
	h.Signed = "{field:event.event_time}{field:event.event_type}"
	return &dropboxSign{h}
}

// inside is a request whose body is the JSON, wherever it came.
func (*dropboxSign) inside(r *request.Request) (*request.Request, error) {
	payload, err := r.Payload()
	if err != nil {
		return nil, err
	}
	body := r.Body
	if inner, ok := at(payload, "json").(string); ok {
		body = []byte(inner)
	}
	return &request.Request{Body: body, Format: request.FormatJSON}, nil
}

// Verify implements verify.Verifier.
func (d *dropboxSign) Verify(r *request.Request, secrets [][]byte, now time.Time) (int, error) {
	inner, err := d.inside(r)
	if err != nil {
		return -1, err
	}
	return d.hash.Verify(inner, secrets, now)
}

// Sign implements verify.Verifier.
func (d *dropboxSign) Sign(r *request.Request, secret []byte, now time.Time) error {
	return d.hash.Sign(r, secret, now)
}

// Withhold implements verify.Verifier: what signs is in the body.
func (*dropboxSign) Withhold() []string { return nil }

// NeedsSecret implements verify.Verifier.
func (*dropboxSign) NeedsSecret() bool { return true }

func dropboxSignKey(r *request.Request) (string, error) {
	return dropboxSignText(r, "event.event_hash")
}

func dropboxSignEvent(r *request.Request) (string, error) {
	return dropboxSignText(r, "event.event_type")
}

func dropboxSignText(r *request.Request, path string) (string, error) {
	inner, err := newDropboxSign().inside(r)
	if err != nil {
		return "", err
	}
	return fromPayload(path)(inner)
}
