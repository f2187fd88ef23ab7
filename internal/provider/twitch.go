package provider

import (
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "twitch",
		Title: "Twitch EventSub",
		Doc: `Twitch-Eventsub-Message-Signature, sha256= and HMAC-SHA256 of message id, timestamp and body in hex, 10 minutes. Key:
Twitch-Eventsub-Message-Id. Event: Twitch-Eventsub-Subscription-Type. The check of the address is answered.`,
		Setup: `Create an EventSub subscription through the Twitch API with transport {method: webhook, callback: the address of the
hook, secret: the hook's secret}.`,
		Source: "dev.twitch.tv/docs/eventsub/handling-webhook-events; twitchdev/twitch-cli.",

		Verifier:    func() verify.Verifier { return twitchSignature() },
		Key:         fromHeader("Twitch-Eventsub-Message-Id"),
		Event:       fromHeader("Twitch-Eventsub-Subscription-Type"),
		OnDuplicate: job.Skip,
		Handshake:   twitchChallenge,
		Samples: []Sample{
			{Name: "stream.online", Event: "stream.online", ContentType: contentJSON, Body: sample("twitch-stream.online.json")},
		},
		Address: address(inHeader("Twitch-Eventsub-Message-Id"), inHeader("Twitch-Eventsub-Subscription-Type")),
	})
}

func twitchSignature() *verify.HMAC {
	h := signature("sha256=", "Twitch-Eventsub-Message-Signature")
	h.ID.Header = "Twitch-Eventsub-Message-Id"
	return stamped(h, "Twitch-Eventsub-Message-Timestamp", "rfc3339", 10*time.Minute, "{id}{timestamp}{body}")
}

func twitchChallenge(r *request.Request, _ [][]byte) *Answer {
	payload, err := r.Payload()
	if err != nil || header(r, "Twitch-Eventsub-Message-Type") != "webhook_callback_verification" {
		return nil
	}
	return echo(text(payload, "challenge"))
}
