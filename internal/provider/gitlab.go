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
		Name:  "gitlab",
		Title: "GitLab",
		Doc: `With a signing token (whsec_…, GitLab 19 and later) the Standard Webhooks signature; with any other secret
X-Gitlab-Token, compared as it is. A request that carries a signature must pass it: there is no way back to
the token. Key: webhook-id, Idempotency-Key (GitLab 17.4 and later) or X-Gitlab-Event-UUID. Event: object_kind of the body
(push, tag_push, merge_request, pipeline, …), else X-Gitlab-Event. GitLab lists at most 20 commits of a push.`,
		Setup: `Project or group → Settings → Webhooks → Add new webhook. URL: the address of the hook. Signing token: generate
it and use it as the hook's secret; before GitLab 19, Secret token: the hook's secret. Choose the triggers, then Add webhook.`,
		Source: "docs.gitlab.com: Webhooks; Webhook events. GitLab merge request 230944 (signing token). Payloads: go-playground/webhooks.",

		Verifier:    func() verify.Verifier { return newGitLab() },
		Key:         fromHeader("webhook-id", "Idempotency-Key", "X-Gitlab-Event-UUID"),
		Event:       gitlabEvent,
		OnDuplicate: job.RerunFailed,
		MaxBody:     gitBody,
		Git:         gitlabGit,
		GitReads:    []string{"project.path_with_namespace", "user_username", "user.username", "user_name", "user.name", "ref", "after"},
		CommitReads: []string{"commits"},
		Samples: []Sample{
			{Name: "push", Event: "push", ContentType: contentJSON, Body: sample("gitlab-push.json")},
			{Name: "tag_push", Event: "tag_push", ContentType: contentJSON, Body: sample("gitlab-tag-push.json")},
		},
		Address: func(r *request.Request, id, event string) {
			setHeaders(r, id, "Idempotency-Key", "X-Gitlab-Event-UUID")
			setHeaders(r, gitlabHook(event), "X-Gitlab-Event")
			setField(r, "object_kind", event)
		},
	})
}

const gitlabTokenHeader = "X-Gitlab-Token"

// gitlabVerifier checks GitLab's signature or token.
type gitlabVerifier struct {
	verify.Standard // tolerance, of the signature's timestamp
}

// newGitLab has the tolerance of Standard Webhooks.
func newGitLab() *gitlabVerifier { return &gitlabVerifier{*verify.NewStandard().WebhookHeadersOnly()} }

// Verify implements verify.Verifier.
func (g *gitlabVerifier) Verify(r *request.Request, secrets [][]byte, now time.Time) (int, error) {
	signing, tokens := splitSecrets(secrets)
	if _, signed, _ := r.HeaderValue("webhook-signature"); signed {
		if allEmpty(signing) {
			return -1, errors.New("the request is signed, and none of the secrets is a signing token (whsec_…)")
		}
		return g.Standard.Verify(r, signing, now)
	}
	if allEmpty(tokens) && !allEmpty(signing) {
		return -1, errors.New("header webhook-signature is missing, and none of the secrets is a plain token")
	}
	return gitlabToken().Verify(r, tokens, now)
}

// splitSecrets keeps every secret's position: what is for the other scheme is empty, and an
// empty secret never verifies.
func splitSecrets(secrets [][]byte) (signing, tokens [][]byte) {
	signing, tokens = make([][]byte, len(secrets)), make([][]byte, len(secrets))
	for i, secret := range secrets {
		if verify.IsStandardSecret(secret) {
			signing[i] = secret
		} else {
			tokens[i] = secret
		}
	}
	return signing, tokens
}

func allEmpty(secrets [][]byte) bool {
	return !slices.ContainsFunc(secrets, func(s []byte) bool { return len(s) > 0 })
}

func gitlabToken() *verify.Token {
	return &verify.Token{Source: verify.Source{Header: []string{gitlabTokenHeader}}}
}

// Sign implements verify.Verifier: a signing token signs, any other secret is the token.
func (g *gitlabVerifier) Sign(r *request.Request, secret []byte, now time.Time) error {
	if !verify.IsStandardSecret(secret) {
		return gitlabToken().Sign(r, secret, now)
	}
	setHeaders(r, header(r, "Idempotency-Key"), "webhook-id")
	return g.Standard.Sign(r, secret, now)
}

// Withhold implements verify.Verifier.
func (*gitlabVerifier) Withhold() []string { return []string{gitlabTokenHeader, "Webhook-Signature"} }

// CheckSecret implements verify.SecretChecker.
func (g *gitlabVerifier) CheckSecret(secret []byte) error {
	if verify.IsStandardSecret(secret) {
		return g.Standard.CheckSecret(secret)
	}
	return gitlabToken().CheckSecret(secret)
}

// gitlabEvent is the word a payload has for its kind. System hooks have event_name only.
func gitlabEvent(r *request.Request) (string, error) {
	kind, err := fromPayload("object_kind", "event_name")(r)
	if err != nil || kind != "" {
		return kind, err
	}
	return header(r, "X-Gitlab-Event"), nil
}

// gitlabHook is the header's text for an event: Tag Push Hook for tag_push.
func gitlabHook(event string) string {
	if event == "" {
		return ""
	}
	words := strings.Split(event, "_")
	for i, word := range words {
		if word != "" {
			words[i] = strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return strings.Join(words, " ") + " Hook"
}

func gitlabGit(event string, payload any) Git {
	g := Git{
		Repo:  text(payload, "project.path_with_namespace"),
		Actor: first(payload, "user_username", "user.username", "user_name", "user.name"),
	}
	if event == "push" || event == "tag_push" {
		g.pushed(payload)
	}
	return g
}
