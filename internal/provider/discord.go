package provider

import (
	"net/http"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "discord",
		Title: "Discord",
		Doc: `X-Signature-Ed25519 in hex over X-Signature-Timestamp and body, 5 minutes; the secret is the application's public key.
Discord checks the address by PING, and by wrong signatures on purpose. Key: id. Event: the webhook event's type, else
the command's name.`,
		Setup: `discord.com/developers → your application → General Information: Public Key is the hook's secret; Interactions
Endpoint URL or Webhooks → Endpoint URL: the address of the hook. Start the daemon first.`,
		Source: "discord.com/developers/docs: Interactions, Receiving and Responding; Webhook Events.",

		Verifier:    func() verify.Verifier { return discordSignature() },
		Key:         fromPayload("id", "event.data.id"),
		Event:       fromPayload("event.type", "data.name"),
		OnDuplicate: job.Skip,
		Handshake:   discordPing,
		Samples: []Sample{
			{Name: "ping", Event: "", ContentType: contentJSON, Body: sample("discord-ping.json")},
			{Name: "command", Event: "deploy", ContentType: contentJSON, Body: sample("discord-command.json")},
		},
		Address: address(inField("id"), inField("data.name")),
	})
}

func discordSignature() *verify.Ed25519 {
	e := verify.NewEd25519()
	e.Header, e.Timestamp.Header, e.Signed = []string{"X-Signature-Ed25519"}, "X-Signature-Timestamp", "{timestamp}{body}"
	return e
}

// discordPing answers the checks of interactions (1) and of webhook events (0).
func discordPing(r *request.Request, _ [][]byte) *Answer {
	payload, err := r.Payload()
	if err != nil {
		return nil
	}
	switch kind, ok := at(payload, "type").(int64); {
	case ok && kind == 1 && at(payload, "event") == nil:
		return jsonAnswer(`{"type":1}`)
	case ok && kind == 0:
		return &Answer{Status: http.StatusNoContent}
	}
	return nil
}
