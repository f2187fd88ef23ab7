package sender

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

func init() {
	register(&Kind{
		Name: "github", Presets: []string{"github"}, Title: "GitHub", URL: "https://api.github.com", TokenEnv: "GITHUB_TOKEN", Target: "OWNER/REPO, ORG or apps/NAME",
		Needs: "a fine-grained token of the repository with Webhooks: read and write (of an organization: Organization webhooks), or a classic one with admin:repo_hook (admin:org_hook), github.com/settings/personal-access-tokens; or api.app, a GitHub App that may do so",
		Pages: "docs.github.com/rest: Repository webhooks; Organization webhooks; GitHub App webhooks; Best practices for using the REST API",
		sign: func(r *http.Request, token string) {
			bearer(r, token)
			r.Header.Set("Accept", "application/vnd.github+json")
			r.Header.Set("X-GitHub-Api-Version", "2022-11-28")
		},
		Apps: true,
		open: func(c *client, target string) (API, error) {
			if name, ok := strings.CutPrefix(target, appTarget); ok {
				if c.app == nil {
					return nil, fmt.Errorf("%q %w OWNER/REPO: the webhook of an App itself wants api.app", target, ErrTarget)
				}
				if _, err := ownerRepo(name, true); err != nil || strings.Contains(name, "/") {
					return nil, wrongTarget(target, "apps/NAME, as in github.com/apps/NAME")
				}
				c.asApp = true
				return &githubApp{github{c, "/app/hook"}, name}, nil
			}
			parts, err := ownerRepo(target, true)
			if err != nil {
				return nil, err
			}
			if len(parts) == 1 {
				return &github{c, "/orgs/" + url.PathEscape(parts[0]) + "/hooks"}, nil
			}
			return &github{c, "/repos/" + url.PathEscape(parts[0]) + "/" + url.PathEscape(parts[1]) + "/hooks"}, nil
		},
	})
}

// github is the hooks of a repository or an organization.
type github struct {
	*client
	path string
}

// githubHook is a webhook as the API writes it.
type githubHook struct {
	ID     number   `json:"id"`
	Active bool     `json:"active"`
	Events []string `json:"events"`
	Config struct {
		URL         string `json:"url"`
		ContentType string `json:"content_type"`
		InsecureSSL any    `json:"insecure_ssl"` // "0" or 0
	} `json:"config"`
	LastResponse struct {
		Code    *int   `json:"code"`
		Message string `json:"message"`
	} `json:"last_response"`
}

func (h githubHook) registered() Registered {
	insecure := h.Config.InsecureSSL == "1" || h.Config.InsecureSSL == float64(1)
	return Registered{
		ID: h.ID.String(), URL: h.Config.URL, Events: sorted(h.Events), Active: h.Active,
		Last: h.LastResponse.Message, plain: h.Config.ContentType != "json" || insecure,
	}
}

// Hooks implements API.
func (g *github) Hooks(ctx context.Context) (all []Registered, err error) {
	list := call{method: http.MethodGet, path: g.path, query: url.Values{"per_page": {"100"}}}
	err = pages(ctx, g.client, list, mostPages, func(page []githubHook) bool {
		for _, h := range page {
			all = append(all, h.registered())
		}
		return true
	})
	return all, err
}

func (g *github) body(w Wanted, more map[string]any) map[string]any {
	body := map[string]any{
		"active": true, "events": w.Events,
		"config": map[string]string{"url": w.URL, "content_type": "json", "secret": w.Secret, "insecure_ssl": "0"},
	}
	for k, v := range more {
		body[k] = v
	}
	return body
}

// Create implements API.
func (g *github) Create(ctx context.Context, w Wanted) (Registered, error) {
	var made githubHook
	_, err := g.do(ctx, call{method: http.MethodPost, path: g.path, json: g.body(w, map[string]any{"name": "web"}), into: &made})
	return made.registered(), err
}

// Update implements API.
func (g *github) Update(ctx context.Context, id string, w Wanted) (Registered, error) {
	var now githubHook
	_, err := g.do(ctx, call{method: http.MethodPatch, path: g.path + "/" + url.PathEscape(id), json: g.body(w, nil), into: &now})
	return now.registered(), err
}

// Remove implements API.
func (g *github) Remove(ctx context.Context, id string) error {
	_, err := g.do(ctx, call{method: http.MethodDelete, path: g.path + "/" + url.PathEscape(id)})
	return err
}

// Events implements API: X-GitHub-Event is what the API calls them. Two come without being asked
// for, and are no words of it.
func (g *github) Events(names []string) (words, unknown []string) {
	for _, name := range names {
		switch {
		case name == "ping" || name == "installation":
		case strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "":
			unknown = append(unknown, name)
		default:
			words = append(words, name)
		}
	}
	return sorted(words), unknown
}
