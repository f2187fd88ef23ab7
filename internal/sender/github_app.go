package sender

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// appTarget is how the target of an App's own webhook begins, as the App's page does: github.com/apps/NAME.
const appTarget = "apps/"

// githubApp is the one webhook that a GitHub App has itself (docs.github.com/rest/apps/webhooks). Its
// deliveries are listed like those of a repository's hook.
type githubApp struct {
	github
	name string
}

// Hooks implements API: there is one, whatever its address.
func (g *githubApp) Hooks(ctx context.Context) ([]Registered, error) {
	var app struct {
		Slug   string   `json:"slug"`
		Events []string `json:"events"`
	}
	if _, err := g.do(ctx, call{method: http.MethodGet, path: "/app", into: &app}); err != nil {
		return nil, err
	}
	if !strings.EqualFold(app.Slug, g.name) {
		return nil, fmt.Errorf("api.app is the App %q at %s, and not %q", app.Slug, g.kind.Title, g.name)
	}
	var hook githubHook
	if _, err := g.do(ctx, call{method: http.MethodGet, path: "/app/hook/config", into: &hook.Config}); err != nil {
		return nil, err
	}
	return []Registered{g.registered(hook, app.Events)}, nil
}

func (g *githubApp) registered(hook githubHook, events []string) Registered {
	hook.Active, hook.Events = hook.Config.URL != "", events
	r := hook.registered()
	r.ID, r.Only = g.name, true
	return r
}

// Update implements API. What the App is subscribed to is set on its page alone, and left as it is.
func (g *githubApp) Update(ctx context.Context, _ string, w Wanted) (Registered, error) {
	var now githubHook
	config := map[string]string{"url": w.URL, "content_type": "json", "secret": w.Secret, "insecure_ssl": "0"}
	_, err := g.do(ctx, call{method: http.MethodPatch, path: "/app/hook/config", json: config, into: &now.Config})
	return g.registered(now, w.Events), err
}

// Create implements API: there is one already.
func (g *githubApp) Create(ctx context.Context, w Wanted) (Registered, error) {
	return g.Update(ctx, g.name, w)
}

// Remove implements API.
func (g *githubApp) Remove(context.Context, string) error {
	return errors.New("the webhook of a GitHub App is switched off on the App's own page, not by its API")
}

// appEvents come to each App, and cannot be subscribed to (docs.github.com: Webhook events and payloads).
var appEvents = map[string]bool{"installation": true, "installation_repositories": true, "github_app_authorization": true, "ping": true}

// Events implements API.
func (g *githubApp) Events(names []string) (words, unknown []string) {
	var asked []string
	for _, name := range names {
		if !appEvents[name] {
			asked = append(asked, name)
		}
	}
	return g.github.Events(asked)
}
