package provider

import (
	"crypto/hmac"
	"encoding/json"
	"errors"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "microsoft-graph",
		Title: "Microsoft Graph",
		Doc: `clientState of every notification in the body, the secret itself. The check of the address (validationToken) is
answered. Graph wants 202 within 3 seconds. Event: the first notification's changeType or lifecycleEvent. Key: the
digest of the request.`,
		Setup: `POST /subscriptions of Graph with notificationUrl, the address of the hook, and clientState, the hook's secret (at
most 128 characters). Start the daemon first.`,
		Source: "learn.microsoft.com/graph: Receive change notifications through webhooks.",

		Verifier:    func() verify.Verifier { return clientState{} },
		Event:       fromPayload("value.0.changeType", "value.0.lifecycleEvent"),
		OnDuplicate: job.Skip,
		Greeting:    graphValidation,
		Samples: []Sample{
			{Name: "created", Event: "created", ContentType: contentJSON, Body: sample("microsoft-graph-created.json")},
		},
	})
}

// clientState is the secret in every notification of a delivery.
type clientState struct{}

// Verify implements verify.Verifier.
func (clientState) Verify(r *request.Request, secrets [][]byte, _ time.Time) (int, error) {
	payload, err := r.Payload()
	if err != nil {
		return -1, err
	}
	list, _ := at(payload, "value").([]any)
	if len(list) == 0 || len(list) > 1000 {
		return -1, errors.New("the body has no notifications")
	}
	match := -1
	for i, secret := range secrets {
		right := len(secret) > 0
		for _, one := range list {
			state, _ := at(one, "clientState").(string)
			if !hmac.Equal([]byte(state), secret) {
				right = false
			}
		}
		if right && match < 0 {
			match = i
		}
	}
	if match < 0 {
		return -1, errors.New("clientState does not match")
	}
	return match, nil
}

// Sign implements verify.Verifier.
func (clientState) Sign(r *request.Request, secret []byte, _ time.Time) error {
	payload, err := r.Payload()
	if err != nil {
		return err
	}
	list, _ := at(payload, "value").([]any)
	for _, one := range list {
		if notification, ok := one.(map[string]any); ok {
			notification["clientState"] = string(secret)
		}
	}
	body, err := json.Marshal(payload)
	if err != nil {
		return err
	}
	*r = request.Request{Method: r.Method, Path: r.Path, RawQuery: r.RawQuery, Host: r.Host, Header: r.Header, Body: body, ReceivedAt: r.ReceivedAt, Format: r.Format}
	return nil
}

// Withhold implements verify.Verifier: the secret is in the body.
func (clientState) Withhold() []string { return nil }

// NeedsSecret implements verify.Verifier.
func (clientState) NeedsSecret() bool { return true }

func graphValidation(r *request.Request, _ [][]byte) *Answer {
	return echo(r.QueryValue("validationToken"))
}
