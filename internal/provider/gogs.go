package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "gogs",
		Title: "Gogs",
		Doc: `X-Gogs-Signature, HMAC-SHA256 of the JSON in hex, of a form delivery the JSON in its payload field. Key:
X-Gogs-Delivery. Event: X-Gogs-Event.`,
		Setup: `Repository → Settings → Webhooks → Add a new webhook → Gogs. Payload URL: the address of the hook; Secret: the hook's
secret.`,
		Source: "gogs/gogs internal/database/webhook.go. Vectors: go-playground/webhooks.",

		Verifier:    func() verify.Verifier { return newGogs() },
		Key:         fromHeader("X-Gogs-Delivery"),
		Event:       fromHeader("X-Gogs-Event"),
		OnDuplicate: job.RerunFailed,
		MaxBody:     gitBody,
		Git:         giteaGit,
		GitReads:    []string{"repository.full_name", "sender.login", "pusher.login", "ref", "after"},
		CommitReads: []string{"commits"},
		Samples: []Sample{
			{Name: "push", Event: "push", ContentType: contentJSON, Body: sample("gogs-push.json")},
		},
		Address: address(inHeader("X-Gogs-Delivery"), inHeader("X-Gogs-Event")),
	})
}

// newGogs signs as Gitea does, which began as Gogs, under its own header.
func newGogs() *giteaVerifier {
	return &giteaVerifier{*signature("", "X-Gogs-Signature")}
}
