package provider

import (
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:    "bitbucket-cloud",
		Aliases: []string{"bitbucket"},
		Title:   "Bitbucket Cloud",
		Doc: `X-Hub-Signature, sha256= and HMAC-SHA256 of the body in hex. Key: X-Request-UUID, which a retry repeats. Event:
X-Event-Key (repo:push). Bitbucket tries twice more when the answer is no 2xx within 10 seconds.`,
		Setup: `Repository → Repository settings → Webhooks → Add webhook. URL: the address of the hook; Secret: the hook's secret
(without one nothing is signed).`,
		Source: "support.atlassian.com/bitbucket-cloud: Manage webhooks; Event payloads. Vectors: the first page; go-playground/webhooks.",

		Verifier:    func() verify.Verifier { return signature("sha256=", "X-Hub-Signature") },
		Key:         fromHeader("X-Request-UUID"),
		Event:       fromHeader("X-Event-Key"),
		OnDuplicate: job.RerunFailed,
		MaxBody:     gitBody,
		Git:         bitbucketCloudGit,
		GitReads:    []string{"repository.full_name", "actor.nickname", "actor.display_name", "push"},
		Samples: []Sample{
			{Name: "repo:push", Event: "repo:push", ContentType: contentJSON, Body: sample("bitbucket-cloud-repo-push.json")},
		},
		Address: address(inHeader("X-Request-UUID"), inHeader("X-Event-Key")),
	})
}

// bitbucketCloudGit reads the first change of a push. Bitbucket does not list the files.
func bitbucketCloudGit(_ string, payload any) Git {
	g := Git{Repo: text(payload, "repository.full_name"), Actor: first(payload, "actor.nickname", "actor.display_name")}
	change := at(payload, "push.changes.0.new")
	if change == nil {
		change = at(payload, "push.changes.0.old") // deleted
	}
	switch text(change, "type") {
	case "branch":
		g.Branch = text(change, "name")
	case "tag":
		g.Tag = text(change, "name")
	}
	g.SHA = text(payload, "push.changes.0.new.target.hash")
	commits, _ := at(payload, "push.changes.0.commits").([]any)
	for _, c := range commits {
		g.commit(text(c, "hash"), text(c, "message"), first(c, "author.user.nickname", "author.raw"), nil)
	}
	return g
}
