package sender

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

func init() {
	register(&Kind{
		Name: "gitlab", Presets: []string{"gitlab"}, Title: "GitLab", URL: "https://gitlab.com", TokenEnv: "GITLAB_TOKEN", Target: "GROUP/PROJECT, its number, or groups/GROUP",
		Needs: "an access token with the scope api, of the project itself or of somebody who is Maintainer there (of a group: Owner; GitLab has group webhooks in Premium and Ultimate); Settings → Access tokens",
		Pages: "docs.gitlab.com/api/project_webhooks; docs.gitlab.com/api/group_webhooks; docs.gitlab.com/api/rest: Pagination",
		sign:  func(r *http.Request, token string) { r.Header.Set("PRIVATE-TOKEN", token) },
		open: func(c *client, target string) (API, error) {
			if group, ok := strings.CutPrefix(target, groupTarget); ok {
				if err := checkProject(group + "/x"); err != nil {
					return nil, wrongTarget(target, "groups/GROUP, or groups/ and the group's number")
				}
				return &gitlab{c, "/api/v4/groups/" + url.PathEscape(group) + "/hooks", groupFlags}, nil
			}
			if err := checkProject(target); err != nil {
				return nil, err
			}
			return &gitlab{c, "/api/v4/projects/" + url.PathEscape(target) + "/hooks", nil}, nil
		},
	})
}

// groupTarget is how the target of a group's webhooks begins, as the group's page does: gitlab.com/groups/GROUP.
const groupTarget = "groups/"

// checkProject wants a project's number, or its path with at least one group.
func checkProject(target string) error {
	if _, err := strconv.ParseUint(target, 10, 63); err == nil {
		return nil
	}
	parts := strings.Split(target, "/")
	ok := len(parts) > 1
	for _, p := range parts {
		if _, err := ownerRepo(p+"/x", false); err != nil {
			ok = false
		}
	}
	if !ok {
		return wrongTarget(target, "GROUP/PROJECT, or the project's number")
	}
	return nil
}

// gitlab is the hooks of a project, or of a group and all that is in it.
type gitlab struct {
	*client
	path  string
	group map[string]string // triggers that a group's hooks have beside those of a project's
}

// groupFlags are triggers by the event's name (event_name of the body; docs.gitlab.com: Webhook events).
var groupFlags = map[string]string{
	"subgroup_create": "subgroup_events", "subgroup_destroy": "subgroup_events",
	"project_create": "project_events", "project_destroy": "project_events",
	"user_add_to_group": "member_events", "user_update_for_group": "member_events", "user_remove_from_group": "member_events",
	"user_access_request_to_group": "member_events", "user_access_request_denied_for_group": "member_events",
}

// gitlabFlags are the API's triggers by the event's name (object_kind of the body).
var gitlabFlags = map[string]string{
	"push": "push_events", "tag_push": "tag_push_events", "issue": "issues_events", "note": "note_events",
	"merge_request": "merge_requests_events", "build": "job_events", "pipeline": "pipeline_events", "wiki_page": "wiki_page_events",
	"deployment": "deployment_events", "release": "releases_events", "feature_flag": "feature_flag_events", "emoji": "emoji_events",
	"access_token": "resource_access_token_events", "milestone": "milestone_events",
}

// gitlabHook is a hook: its triggers are flags among its other fields.
type gitlabHook map[string]any

func (h gitlabHook) registered() Registered {
	r := Registered{Active: true, Events: []string{}}
	if id, ok := h["id"].(json.Number); ok {
		r.ID = id.String()
	}
	r.URL, _ = h["url"].(string)
	for name, value := range h {
		if on, ok := value.(bool); ok && on && strings.HasSuffix(name, "_events") {
			r.Events = append(r.Events, name)
		}
	}
	r.Events = sorted(r.Events)
	if status, ok := h["alert_status"].(string); ok && status != "executable" {
		r.Active, r.Last = false, status // GitLab has disabled it after failures
	}
	if verified, ok := h["enable_ssl_verification"].(bool); ok && !verified {
		r.plain = true
	}
	return r
}

// UnmarshalJSON keeps numbers as they are written.
func (h *gitlabHook) UnmarshalJSON(data []byte) error {
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.UseNumber()
	return decoder.Decode((*map[string]any)(h))
}

// Hooks implements API.
func (g *gitlab) Hooks(ctx context.Context) (all []Registered, err error) {
	list := call{method: http.MethodGet, path: g.path, query: url.Values{"per_page": {"100"}}}
	err = pages(ctx, g.client, list, mostPages, func(page []gitlabHook) bool {
		for _, h := range page {
			all = append(all, h.registered())
		}
		return true
	})
	return all, err
}

// body says of every trigger whether it is wanted: push_events is on when nobody says.
func (g *gitlab) body(w Wanted) map[string]any {
	body := map[string]any{"url": w.URL, "enable_ssl_verification": true}
	for _, flags := range []map[string]string{gitlabFlags, g.group} {
		for _, flag := range flags {
			body[flag] = false
		}
	}
	for _, flag := range w.Events {
		body[flag] = true
	}
	// A signing token (whsec_…) signs, anything else is X-Gitlab-Token (GitLab merge request 231325).
	if strings.HasPrefix(w.Secret, "whsec_") {
		body["signing_token"] = w.Secret
	} else {
		body["token"] = w.Secret
	}
	return body
}

// Create implements API.
func (g *gitlab) Create(ctx context.Context, w Wanted) (Registered, error) {
	var made gitlabHook
	_, err := g.do(ctx, call{method: http.MethodPost, path: g.path, json: g.body(w), into: &made})
	return made.registered(), err
}

// Update implements API.
func (g *gitlab) Update(ctx context.Context, id string, w Wanted) (Registered, error) {
	var now gitlabHook
	_, err := g.do(ctx, call{method: http.MethodPut, path: g.path + "/" + url.PathEscape(id), json: g.body(w), into: &now})
	return now.registered(), err
}

// Remove implements API.
func (g *gitlab) Remove(ctx context.Context, id string) error {
	_, err := g.do(ctx, call{method: http.MethodDelete, path: g.path + "/" + url.PathEscape(id)})
	return err
}

// Events implements API.
func (g *gitlab) Events(names []string) (words, unknown []string) {
	for _, name := range names {
		flag := cmp.Or(gitlabFlags[name], g.group[name])
		if flag == "" && strings.HasSuffix(name, "_events") { // the API's own word
			flag = name
		}
		if flag == "" {
			unknown = append(unknown, name)
			continue
		}
		words = append(words, flag)
	}
	return sorted(words), unknown
}
