package provider

import (
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:    "google-pubsub",
		Aliases: []string{"pubsub"},
		Title:   "Google Cloud Pub/Sub",
		Doc: `Authorization: Bearer with a JSON Web Token of Google's (RS256, keys of accounts.google.com), for the audience that
verify: {audience: …} says and, with verify: {email: …}, of that service account. There is no secret. Key:
message.messageId. Event: message.attributes.eventType.`,
		Setup: `Pub/Sub → Subscriptions → Create: delivery type Push, endpoint the address of the hook, Enable authentication with a
service account, and an audience.`,
		Source: "cloud.google.com/pubsub/docs: Authenticate push subscriptions.",

		Verifier:    func() verify.Verifier { return newPubSub() },
		Key:         fromPayload("message.messageId"),
		Event:       fromPayload("message.attributes.eventType"),
		OnDuplicate: job.Skip,
		NeedsVerify: true,
		Samples: []Sample{
			{Name: "message", Event: "", ContentType: contentJSON, Body: sample("google-pubsub-message.json")},
		},
		Address: address(inField("message.messageId"), nowhere),
	})
}

// pubsubVerifier checks Google's token for a push subscription.
type pubsubVerifier struct {
	verify.JWT

	Email string `yaml:"email" doc:"The service account's address."`
}

func newPubSub() *pubsubVerifier {
	t := verify.NewJWT()
	t.JWKS, t.Issuer = "https://www.googleapis.com/oauth2/v3/certs", "https://accounts.google.com"
	return &pubsubVerifier{JWT: *t}
}

// Verify implements verify.Verifier.
func (p *pubsubVerifier) Verify(r *request.Request, secrets [][]byte, now time.Time) (int, error) {
	t := p.JWT
	if p.Email != "" {
		t.Claims = map[string]string{"email": p.Email, "email_verified": "true"}
	}
	return t.Verify(r, secrets, now)
}

// Check implements verify.Checker.
func (p *pubsubVerifier) Check() []verify.Problem {
	problems := p.JWT.Check()
	if p.Audience == "" {
		problems = append(problems, verify.Problem{
			Path: []string{"audience"}, Message: "whose tokens? Google signs for everybody: say the subscription's audience",
			Hints: []string{"verify: {audience: https://hooks.example.com/pubsub, email: push@project.iam.gserviceaccount.com}"},
		})
	}
	return problems
}
