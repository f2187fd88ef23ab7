package provider

import (
	"strings"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "azure-devops",
		Title: "Azure DevOps",
		Doc: `HTTP basic authentication with the secret as the password, and the user name of verify: {username: …} (tenterhook by
default). Key: the body's id. Event: eventType (git.push).`,
		Setup: `Project settings → Service hooks → Create subscription → Web Hooks. URL: the address of the hook; Basic authentication
password: the hook's secret.`,
		Source: "learn.microsoft.com/azure/devops/service-hooks: Webhooks; Events. Payload: go-playground/webhooks.",

		Verifier:    func() verify.Verifier { return &verify.Basic{Username: "tenterhook"} },
		Key:         fromPayload("id"),
		Event:       fromPayload("eventType"),
		OnDuplicate: job.Skip,
		MaxBody:     gitBody,
		Git:         azureGit,
		GitReads:    []string{"resource"},
		Samples: []Sample{
			{Name: "git.push", Event: "git.push", ContentType: contentJSON, Body: sample("azure-devops-git.push.json")},
		},
		Address: address(inField("id"), inField("eventType")),
	})
}

func azureGit(event string, payload any) Git {
	g := Git{
		Repo:  text(payload, "resource.repository.name"),
		Actor: first(payload, "resource.pushedBy.uniqueName", "resource.pushedBy.displayName"),
	}
	if project := text(payload, "resource.repository.project.name"); project != "" && g.Repo != "" {
		g.Repo = project + "/" + g.Repo
	}
	if event == "git.push" {
		ref := text(payload, "resource.refUpdates.0.name")
		if branch, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
			g.Branch = branch
		}
		if tag, ok := strings.CutPrefix(ref, "refs/tags/"); ok {
			g.Tag = tag
		}
		g.SHA = text(payload, "resource.refUpdates.0.newObjectId")
		commits, _ := at(payload, "resource.commits").([]any)
		for _, c := range commits {
			g.commit(text(c, "commitId"), text(c, "comment"), text(c, "author.name"), nil)
		}
	}
	return g
}
