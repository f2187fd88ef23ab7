package provider

import (
	"bytes"
	"net/url"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "slack",
		Title: "Slack",
		Doc: `X-Slack-Signature, HMAC-SHA256 of version, timestamp and body; the timestamp may be 5 minutes off. Events and
interactions are JSON, slash commands are forms. Key: event_id, else trigger_id. Event: the type of the event (app_mention), else of the
payload (block_actions), else the command (/deploy). The check of the address (url_verification) is answered.
Slack waits 3 seconds for an answer, and shows the text of it as a command's result.`,
		Setup: `api.slack.com/apps → your app → Basic Information → Signing Secret: that is the hook's secret. Event Subscriptions →
Request URL, Slash Commands → Request URL, or Interactivity & Shortcuts → Request URL: the address of the hook. Start the daemon
first: Slack checks the address at once.`,
		Source: "docs.slack.dev: Verifying requests from Slack; url_verification event; Slash commands. Vectors: slackapi/python-slack-sdk, slack-go/slack.",

		Verifier:    func() verify.Verifier { return slackSignature() },
		Key:         fromPayload("event_id", "trigger_id"),
		Event:       fromPayload("event.type", "type", "command"),
		Handshake:   slackHandshake,
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "app_mention", Event: "app_mention", ContentType: contentJSON, Body: sample("slack-app_mention.json")},
			{Name: "command", Event: "/webhook-collect", ContentType: contentForm, Body: sample("slack-command.form")},
			{Name: "url_verification", Event: "url_verification", ContentType: contentJSON, Body: sample("slack-url_verification.json")},
		},
		Address: addressSlack,
	})
}

func slackSignature() *verify.HMAC {
	h := signature("v0=", "X-Slack-Signature")
	h.Timestamp.Header = "X-Slack-Request-Timestamp"
	h.Signed = "v0:{timestamp}:{body}"
	return h
}

// maxChallenge bounds what is sent back.
const maxChallenge = 1 << 10

// slackHandshake sends the challenge back as text that no browser reads as anything else.
func slackHandshake(r *request.Request, _ [][]byte) *Answer {
	payload, err := r.Payload()
	if err != nil || text(payload, "type") != "url_verification" {
		return nil
	}
	return echo(text(payload, "challenge"))
}

// addressSlack writes into whichever of Slack's shapes the body has. An interaction is JSON inside
// a form, and stays as it is.
func addressSlack(r *request.Request, id, event string) {
	if !bytes.HasPrefix(bytes.TrimSpace(r.Body), []byte("{")) {
		if form, err := url.ParseQuery(string(r.Body)); err == nil && form.Has("command") {
			setField(r, "command", event)
			setField(r, "trigger_id", id)
		}
		return
	}
	payload, err := request.Decode(request.FormatJSON, "", r.Body)
	if err != nil {
		return
	}
	kind := "type"
	if at(payload, "event") != nil {
		kind = "event.type"
	}
	setField(r, kind, event)
	if text(payload, "type") != "url_verification" {
		setField(r, "event_id", id)
	}
}
