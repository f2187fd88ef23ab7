package sender

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

func init() {
	register(&Kind{
		Name: "gitea", Presets: []string{"gitea", "forgejo"}, Title: "Gitea", TokenEnv: "GITEA_TOKEN", Target: "OWNER/REPO or ORG",
		Needs: "an access token with write:repository, of somebody who may administer the repository (of an organization: write:organization, of an owner); Settings → Applications",
		Pages: "docs.gitea.com and codeberg.org/api/swagger: repoListHooks, orgListHooks and their siblings",
		Deaf:  true,
		sign:  func(r *http.Request, token string) { r.Header.Set("Authorization", "token "+token) },
		open: func(c *client, target string) (API, error) {
			parts, err := ownerRepo(target, true)
			if err != nil {
				return nil, err
			}
			if len(parts) == 1 {
				return &gitea{c, "/api/v1/orgs/" + url.PathEscape(parts[0]) + "/hooks"}, nil
			}
			return &gitea{c, "/api/v1/repos/" + url.PathEscape(parts[0]) + "/" + url.PathEscape(parts[1]) + "/hooks"}, nil
		},
	})
}

// gitea is the hooks of a repository or an organization at Gitea or Forgejo, which have the same API.
type gitea struct {
	*client
	path string
}

type giteaHook struct {
	ID     number   `json:"id"`
	Type   string   `json:"type"`
	Active bool     `json:"active"`
	Events []string `json:"events"`
	Config struct {
		URL         string `json:"url"`
		ContentType string `json:"content_type"`
	} `json:"config"`
}

func (h giteaHook) registered() Registered {
	return Registered{ID: h.ID.String(), URL: h.Config.URL, Events: sorted(h.Events), Active: h.Active, plain: h.Config.ContentType != "json"}
}

// giteaPage is how many hooks are asked for at once; an instance may give fewer.
const giteaPage = 50

// Hooks implements API. Pages are numbered; an empty one is behind the last.
func (g *gitea) Hooks(ctx context.Context) (all []Registered, err error) {
	for page := 1; page <= mostPages; page++ {
		var hooks []giteaHook
		query := url.Values{"page": {strconv.Itoa(page)}, "limit": {strconv.Itoa(giteaPage)}}
		if _, err := g.do(ctx, call{method: http.MethodGet, path: g.path, query: query, into: &hooks}); err != nil {
			return nil, err
		}
		if len(hooks) == 0 {
			break
		}
		for _, h := range hooks {
			if h.Type == "gitea" || h.Type == "gogs" || h.Type == "forgejo" { // not Slack's and the like
				all = append(all, h.registered())
			}
		}
	}
	return all, nil
}

func (g *gitea) body(w Wanted) map[string]any {
	return map[string]any{
		"active": true, "events": w.Events,
		"config": map[string]string{"url": w.URL, "content_type": "json", "secret": w.Secret},
	}
}

// Create implements API.
func (g *gitea) Create(ctx context.Context, w Wanted) (Registered, error) {
	body := g.body(w)
	body["type"] = "gitea" // Forgejo takes it too
	var made giteaHook
	_, err := g.do(ctx, call{method: http.MethodPost, path: g.path, json: body, into: &made})
	return made.registered(), err
}

// Update implements API.
func (g *gitea) Update(ctx context.Context, id string, w Wanted) (Registered, error) {
	var now giteaHook
	_, err := g.do(ctx, call{method: http.MethodPatch, path: g.path + "/" + url.PathEscape(id), json: g.body(w), into: &now})
	return now.registered(), err
}

// Remove implements API.
func (g *gitea) Remove(ctx context.Context, id string) error {
	_, err := g.do(ctx, call{method: http.MethodDelete, path: g.path + "/" + url.PathEscape(id)})
	return err
}

// giteaEvents are the API's words; those that come under another name in X-Gitea-Event are in
// giteaNames (modules/webhook of Gitea: HookEventType and its Event method).
var giteaEvents = []string{
	"create", "delete", "fork", "push", "issues", "issue_assign", "issue_label", "issue_milestone", "issue_comment",
	"pull_request", "pull_request_assign", "pull_request_label", "pull_request_milestone", "pull_request_comment", "pull_request_sync",
	"pull_request_review_request", "wiki", "repository", "release", "package", "status", "workflow_run", "workflow_job",
}

var giteaNames = map[string]string{
	"pull_request_approved": "pull_request_review", "pull_request_rejected": "pull_request_review",
}

// Events implements API.
func (g *gitea) Events(names []string) (words, unknown []string) {
	for _, name := range names {
		switch {
		case giteaNames[name] != "":
			words = append(words, giteaNames[name])
		case slices.Contains(giteaEvents, name):
			words = append(words, name)
		default:
			unknown = append(unknown, name)
		}
	}
	return sorted(words), unknown
}
