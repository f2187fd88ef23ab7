package provider

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "zoom",
		Title: "Zoom",
		Doc: `x-zm-signature, v0= and HMAC-SHA256 of version, x-zm-request-timestamp and body in hex, 5 minutes. Key:
x-zm-trackingid. Event: event (meeting.started). The check of the address (endpoint.url_validation) is answered.`,
		Setup: `marketplace.zoom.us → your app → Feature → Event Subscriptions. Event notification endpoint URL: the address of the
hook; Secret Token: the hook's secret. Start the daemon first.`,
		Source: "developers.zoom.us/docs/api/webhooks; zoom/webhook-sample.",

		Verifier: func() verify.Verifier {
			return stamped(signature("v0=", "x-zm-signature"), "x-zm-request-timestamp", "s", 5*time.Minute, "v0:{timestamp}:{body}")
		},
		Key:         fromHeader("x-zm-trackingid"),
		Event:       fromPayload("event"),
		OnDuplicate: job.Skip,
		Handshake:   zoomValidation,
		Samples: []Sample{
			{Name: "meeting.started", Event: "meeting.started", ContentType: contentJSON, Body: sample("zoom-meeting.started.json")},
		},
		Address: address(inHeader("x-zm-trackingid"), inField("event")),
	})
}

// zoomValidation shows that the secret is known here.
func zoomValidation(r *request.Request, secrets [][]byte) *Answer {
	payload, err := r.Payload()
	plain := text(payload, "payload.plainToken")
	if err != nil || text(payload, "event") != "endpoint.url_validation" || plain == "" || len(plain) > maxChallenge || len(secrets) == 0 {
		return nil
	}
	mac := hmac.New(sha256.New, secrets[0])
	_, _ = mac.Write([]byte(plain))
	body, err := json.Marshal(map[string]string{"plainToken": plain, "encryptedToken": hex.EncodeToString(mac.Sum(nil))})
	if err != nil {
		return nil
	}
	return jsonAnswer(string(body))
}
