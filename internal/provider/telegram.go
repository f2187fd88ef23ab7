package provider

import (
	"maps"
	"slices"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "telegram",
		Title: "Telegram",
		Doc: `X-Telegram-Bot-Api-Secret-Token, the secret itself. Key: update_id. Event: which member the update has (message,
callback_query).`,
		Setup: `POST https://api.telegram.org/bot<token>/setWebhook with url, the address of the hook, and secret_token, the hook's
secret.`,
		Source: "core.telegram.org/bots/api: setWebhook.",

		Verifier:    func() verify.Verifier { return tokenIn("X-Telegram-Bot-Api-Secret-Token") },
		Key:         fromPayload("update_id"),
		Event:       telegramEvent,
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "message", Event: "message", ContentType: contentJSON, Body: sample("telegram-message.json")},
		},
		Address: address(inField("update_id"), nowhere),
	})
}

// telegramEvent is the name of the update's other member.
func telegramEvent(r *request.Request) (string, error) {
	payload, err := r.Payload()
	if err != nil {
		return "", err
	}
	update, _ := payload.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(update)) {
		if name != "update_id" {
			return name, nil
		}
	}
	return "", nil
}
