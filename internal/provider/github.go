package provider

import (
	"errors"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "github",
		Title: "GitHub",
		Doc: `X-Hub-Signature-256, HMAC-SHA256 of the body as it arrived, JSON or form. Key: X-GitHub-Delivery, which
"Redeliver" repeats. Event: X-GitHub-Event. The outdated X-Hub-Signature only with verify: {legacy: true},
and only when the newer header is absent.`,
		Setup: `Repository or organization → Settings → Webhooks → Add webhook. Payload URL: the address of the hook.
Content type: application/json. Secret: the hook's secret. Choose the events, then Add webhook.
GitHub does not send failed deliveries again by itself: Recent Deliveries → Redeliver does.`,
		Source: "docs.github.com/webhooks: Validating webhook deliveries; Webhook events and payloads. Vectors: octokit/webhooks-methods.js, google/go-github.",

		Verifier:    func() verify.Verifier { return &githubVerifier{current: signature("sha256=", githubHeader)} },
		Key:         fromHeader("X-GitHub-Delivery"),
		Event:       fromHeader("X-GitHub-Event"),
		OnDuplicate: job.RerunFailed,
		MaxBody:     gitBody,
		Git:         githubGit,
		GitReads:    []string{"repository.full_name", "sender.login", "pusher.name", "ref", "after"},
		CommitReads: []string{"commits"},
		Samples: []Sample{
			{Name: "push", Event: "push", ContentType: contentJSON, Body: sample("github-push.json")},
			{Name: "push-tag-deleted", Event: "push", ContentType: contentJSON, Body: sample("github-push-tag-deleted.json")},
			{Name: "ping", Event: "ping", ContentType: contentJSON, Body: sample("github-ping.json")},
		},
		Address: func(r *request.Request, id, event string) {
			setHeaders(r, id, "X-GitHub-Delivery")
			setHeaders(r, event, "X-GitHub-Event")
		},
	})
}

// The signature headers of GitHub.
const (
	githubHeader       = "X-Hub-Signature-256"
	githubLegacyHeader = "X-Hub-Signature"
)

// githubVerifier checks GitHub's signature.
type githubVerifier struct {
	// Legacy takes X-Hub-Signature, which names its hash (sha1=, sha256=, sha512=), when
	// X-Hub-Signature-256 is absent.
	Legacy bool `yaml:"legacy" doc:"Take X-Hub-Signature (sha1) where the better one is absent."`

	current *verify.HMAC
}

// Verify implements verify.Verifier.
func (g *githubVerifier) Verify(r *request.Request, secrets [][]byte, now time.Time) (int, error) {
	if _, ok, _ := r.HeaderValue(githubHeader); ok {
		return g.current.Verify(r, secrets, now)
	}
	old, ok, _ := r.HeaderValue(githubLegacyHeader)
	switch {
	case !ok:
		return -1, errors.New("header " + githubHeader + " is missing")
	case !g.Legacy:
		return -1, errors.New("header " + githubHeader + " is missing; the outdated " + githubLegacyHeader + " is there, and taken only with verify: {legacy: true}")
	}
	hash, _, _ := strings.Cut(old, "=")
	if hash != "sha1" && hash != "sha256" && hash != "sha512" {
		return -1, errors.New("header " + githubLegacyHeader + " does not begin with sha1=, sha256= or sha512=")
	}
	h := signature(hash+"=", githubLegacyHeader)
	h.Hash = hash
	return h.Verify(r, secrets, now)
}

// Sign implements verify.Verifier.
func (g *githubVerifier) Sign(r *request.Request, secret []byte, now time.Time) error {
	return g.current.Sign(r, secret, now)
}

// Withhold implements verify.Verifier.
func (*githubVerifier) Withhold() []string { return []string{githubHeader, githubLegacyHeader} }

// NeedsSecret implements verify.Verifier.
func (*githubVerifier) NeedsSecret() bool { return true }

func githubGit(event string, payload any) Git {
	g := Git{
		Repo:  text(payload, "repository.full_name"),
		Actor: first(payload, "sender.login", "pusher.name"),
	}
	if event == "push" {
		g.pushed(payload)
	}
	return g
}

// SignedHeaders implements verify.HeaderSigner: GitHub signs the body alone.
func (*githubVerifier) SignedHeaders() []string { return nil }
