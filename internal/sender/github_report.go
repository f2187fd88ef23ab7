package sender

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// Status implements Reporting (docs.github.com/rest/commits/statuses: Create a commit status). A commit
// has at most 1000 statuses of one context.
func (g *github) Status(ctx context.Context, s Status) error {
	body := map[string]string{"state": s.State.commitState(), "context": s.Context, "description": s.Description}
	if s.URL != "" {
		body["target_url"] = s.URL
	}
	_, err := g.do(ctx, call{method: http.MethodPost, path: g.repository() + "/statuses/" + url.PathEscape(s.SHA), json: body})
	return err
}

func (g *github) repository() string { return strings.TrimSuffix(g.path, "/hooks") }

// githubDeployment is a deployment as the API writes it. The payload is ours.
type githubDeployment struct {
	ID      number `json:"id"`
	Payload any    `json:"payload"`
}

// Deployment implements Deploying (docs.github.com/rest/deployments: Create a deployment; Create a
// deployment status). One that was made before a crash is found by the job in its payload.
func (g *github) Deployment(ctx context.Context, s Status) (remote string, err error) {
	if remote = s.Remote; remote == "" {
		if remote, err = g.deployed(ctx, s); err != nil {
			return "", err
		}
	}
	if remote == "" {
		var made githubDeployment
		_, err := g.do(ctx, call{method: http.MethodPost, path: g.repository() + "/deployments", into: &made, json: map[string]any{
			"ref": s.SHA, "environment": s.Environment, "auto_merge": false, "required_contexts": []string{}, "description": s.Description,
			"payload": map[string]string{"tenterhook_job": s.Job},
		}})
		if err != nil {
			return "", err
		}
		remote = made.ID.String()
	}
	states := map[StatusState]string{StatusPending: "queued", StatusRunning: "in_progress", StatusCancelled: "inactive"}
	state := states[s.State]
	if state == "" {
		state = string(s.State)
	}
	body := map[string]any{"state": state, "description": s.Description, "environment": s.Environment}
	if s.URL != "" {
		body["log_url"] = s.URL
	}
	_, err = g.do(ctx, call{method: http.MethodPost, path: g.repository() + "/deployments/" + url.PathEscape(remote) + "/statuses", json: body})
	return remote, err
}

// deployed finds the deployment of a job, "" when there is none.
func (g *github) deployed(ctx context.Context, s Status) (id string, err error) {
	list := call{method: http.MethodGet, path: g.repository() + "/deployments", query: url.Values{"sha": {s.SHA}, "environment": {s.Environment}, "per_page": {"100"}}}
	err = pages(ctx, g.client, list, mostPages, func(page []githubDeployment) bool {
		for _, d := range page {
			if payload, ok := d.Payload.(map[string]any); ok && payload["tenterhook_job"] == s.Job {
				id = d.ID.String()
				return false
			}
		}
		return true
	})
	return id, err
}
