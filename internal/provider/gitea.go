package provider

import (
	"bytes"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:    "gitea",
		Aliases: []string{"forgejo"},
		Title:   "Gitea and Forgejo",
		Doc: `X-Gitea-Signature or X-Forgejo-Signature, HMAC-SHA256 of the JSON; of a form delivery, the JSON in its payload
field. Key: X-Gitea-Delivery or X-Forgejo-Delivery. Event: X-Gitea-Event or X-Forgejo-Event.`,
		Setup: `Repository or organization → Settings → Webhooks → Add webhook → Gitea (or Forgejo). Target URL: the address of
the hook. POST content type: application/json. Secret: the hook's secret. Choose the events, then Add webhook.
Failed deliveries are not sent again by themselves: the webhook's page → a recent delivery → replay.`,
		Source: "docs.gitea.com: Webhooks; go-gitea/gitea services/webhook/deliver.go; forgejo.org/docs: Webhooks. Vectors: go-playground/webhooks.",

		Verifier:    func() verify.Verifier { return newGitea() },
		Key:         fromHeader("X-Gitea-Delivery", "X-Forgejo-Delivery"),
		Event:       fromHeader("X-Gitea-Event", "X-Forgejo-Event"),
		OnDuplicate: job.RerunFailed,
		MaxBody:     gitBody,
		Git:         giteaGit,
		GitReads:    []string{"repository.full_name", "sender.login", "pusher.login", "ref", "after"},
		CommitReads: []string{"commits"},
		Samples: []Sample{
			{Name: "push", Event: "push", ContentType: contentJSON, Body: sample("gitea-push.json")},
		},
		Address: func(r *request.Request, id, event string) {
			setHeaders(r, id, "X-Gitea-Delivery")
			setHeaders(r, event, "X-Gitea-Event", "X-Gitea-Event-Type")
		},
	})
}

// giteaVerifier checks Gitea's and Forgejo's signature.
type giteaVerifier struct {
	verify.HMAC
}

// newGitea looks at both senders' own headers.
func newGitea() *giteaVerifier {
	h := signature("", "X-Gitea-Signature", "X-Forgejo-Signature")
	// They imitate other senders too, with signatures by the same secret.
	h.AlsoWithhold("X-Gogs-Signature", "X-Hub-Signature", "X-Hub-Signature-256")
	return &giteaVerifier{*h}
}

// Verify implements verify.Verifier.
func (g *giteaVerifier) Verify(r *request.Request, secrets [][]byte, now time.Time) (int, error) {
	signed, err := giteaSigned(r)
	if err != nil {
		return -1, err
	}
	return g.HMAC.Verify(signed, secrets, now)
}

// Sign implements verify.Verifier.
func (g *giteaVerifier) Sign(r *request.Request, secret []byte, now time.Time) error {
	signed, err := giteaSigned(r)
	if err != nil {
		return err
	}
	if err := g.HMAC.Sign(signed, secret, now); err != nil {
		return err
	}
	r.Header, r.RawQuery = signed.Header, signed.RawQuery
	return nil
}

// giteaSigned is the request whose body is what was signed: r itself, or for a form, which is
// signed before it is one, r with the JSON of the form's one field.
func giteaSigned(r *request.Request) (*request.Request, error) {
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(media), contentForm) || bytes.HasPrefix(r.Body, []byte("{")) {
		return r, nil // JSON under a form's type is what curl -d sends: it is read as JSON too
	}
	encoded, ok := bytes.CutPrefix(r.Body, []byte("payload="))
	if !ok || bytes.ContainsAny(encoded, "&;") {
		return nil, errors.New("body is not a form with payload as its one field")
	}
	json, err := url.QueryUnescape(string(encoded))
	if err != nil {
		return nil, errors.New("body is not a readable form")
	}
	return &request.Request{
		Method: r.Method, Path: r.Path, RawQuery: r.RawQuery, Host: r.Host, Header: r.Header,
		Body: []byte(json), ReceivedAt: r.ReceivedAt,
	}, nil
}

func giteaGit(event string, payload any) Git {
	g := Git{
		Repo:  text(payload, "repository.full_name"),
		Actor: first(payload, "sender.login", "pusher.login"),
	}
	if event == "push" {
		g.pushed(payload)
	}
	return g
}
