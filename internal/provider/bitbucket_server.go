package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:    "bitbucket-server",
		Aliases: []string{"bitbucket-data-center"},
		Title:   "Bitbucket Data Center",
		Doc: `X-Hub-Signature, sha256= and HMAC-SHA256 of the body in hex. Key: X-Request-Id. Event: X-Event-Key
(repo:refs_changed).`,
		Setup:  `Repository → Repository settings → Webhooks → Create webhook. URL: the address of the hook; Secret: the hook's secret.`,
		Source: "confluence.atlassian.com/bitbucketserver: Manage webhooks; Event payload. Vectors: go-playground/webhooks.",

		Verifier:    func() verify.Verifier { return signature("sha256=", "X-Hub-Signature") },
		Key:         fromHeader("X-Request-Id"),
		Event:       fromHeader("X-Event-Key"),
		OnDuplicate: job.RerunFailed,
		MaxBody:     gitBody,
		Git:         bitbucketServerGit,
		GitReads:    []string{"actor.name", "repository.project.key", "repository.slug", "changes"},
		Samples: []Sample{
			{Name: "repo:refs_changed", Event: "repo:refs_changed", ContentType: contentJSON, Body: sample("bitbucket-server-repo-refs_changed.json")},
		},
		Address: address(inHeader("X-Request-Id"), inHeader("X-Event-Key")),
	})
}

// bitbucketServerGit reads the first change of a push. Bitbucket does not list the files.
func bitbucketServerGit(_ string, payload any) Git {
	g := Git{Actor: text(payload, "actor.name")}
	if project := text(payload, "repository.project.key"); project != "" {
		g.Repo = project + "/" + text(payload, "repository.slug")
	}
	switch name := text(payload, "changes.0.ref.displayId"); text(payload, "changes.0.ref.type") {
	case "BRANCH":
		g.Branch = name
	case "TAG":
		g.Tag = name
	}
	g.SHA = text(payload, "changes.0.toHash")
	return g
}
