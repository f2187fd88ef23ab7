package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "mandrill",
		Title: "Mandrill",
		Doc: `X-Mandrill-Signature, HMAC-SHA1 in base64 of the hook's public address and the sorted parameters of its form. The
events are JSON in the field mandrill_events. Key: the digest of the request. Mandrill checks an address by HEAD.`,
		Setup:  `Settings → Webhooks → Add a Webhook: the address of the hook; Key: the hook's secret.`,
		Source: "mailchimp.com/developer/transactional: Authenticating webhook requests; anymail/django-anymail.",

		Verifier: func() verify.Verifier {
			return newAddressed(hashed(base64Signature("", "X-Mandrill-Signature"), "sha1"), signedForm)
		},
		Event:       mandrillEvent,
		OnDuplicate: job.Skip,
		Methods:     []string{"HEAD"},
		Greeting:    greetHead,
		Samples: []Sample{
			{Name: "send", Event: "send", ContentType: contentForm, Body: sample("mandrill-send.form")},
		},
	})
}

// mandrillEvent is the first event's.
func mandrillEvent(r *request.Request) (string, error) {
	form, err := r.Form()
	if err != nil {
		return "", err
	}
	events, _ := form["mandrill_events"].(string)
	decoded, err := request.Decode(request.FormatJSON, "", []byte(events))
	if err != nil {
		return "", nil // it is the rules' to say what they make of it
	}
	return text(decoded, "0.event"), nil
}
