package sendertest

import (
	"net/http"
	"strconv"
	"strings"
)

// GitLab serves the webhooks of the project acme/site and of the group acme/web
// (docs.gitlab.com/api/project_webhooks, docs.gitlab.com/api/group_webhooks).
func GitLab() *Server {
	return start(func(s *Server, mux *http.ServeMux) {
		of := func(what, name, no string) func(http.HandlerFunc) http.HandlerFunc {
			return func(do http.HandlerFunc) http.HandlerFunc {
				return func(w http.ResponseWriter, r *http.Request) {
					if r.PathValue(what) != name {
						answer(w, http.StatusNotFound, map[string]string{"message": no})
						return
					}
					do(w, r)
				}
			}
		}
		project, group := of("project", "acme/site", "404 Project Not Found"), of("group", "acme/web", "404 Group Not Found")
		for at, of := range map[string]func(http.HandlerFunc) http.HandlerFunc{"/api/v4/projects/{project}/hooks": project, "/api/v4/groups/{group}/hooks": group} {
			mux.HandleFunc("GET "+at, of(s.gitlabList))
			mux.HandleFunc("POST "+at, of(s.gitlabCreate))
			mux.HandleFunc("PUT "+at+"/{id}", of(s.gitlabUpdate))
			mux.HandleFunc("DELETE "+at+"/{id}", of(s.githubDelete))
			mux.HandleFunc("GET "+at+"/{id}/events", of(s.gitlabEvents))
		}
		mux.HandleFunc("POST /api/v4/projects/{project}/statuses/{sha}", project(s.gitlabStatus))
	}, func(r *http.Request) bool { return r.Header.Get("PRIVATE-TOKEN") == Token }, `{"message":"401 Unauthorized"}`)
}

func gitlabHook(h *Hook) map[string]any {
	out := map[string]any{
		"id": h.ID, "url": h.URL, "name": "", "project_id": 3, "enable_ssl_verification": true, "alert_status": "executable",
		"push_events": false, "tag_push_events": false, "merge_requests_events": false, "repository_update_events": false,
	}
	for _, flag := range h.Events {
		out[flag] = true
	}
	return out
}

func (s *Server) gitlabList(w http.ResponseWriter, r *http.Request) {
	var all []map[string]any
	for _, h := range s.hooks {
		all = append(all, gitlabHook(h))
	}
	numbered(s, w, r, s.pageSize(r, "per_page", 20, 100), all)
}

func (s *Server) gitlabSet(h *Hook, body map[string]any) {
	h.URL, h.Secret, h.Active, h.Events = field(body, "url"), field(body, "token"), true, nil
	if _, said := body["push_events"]; !said {
		h.Events = append(h.Events, "push_events")
	}
	for name, value := range body {
		if on, ok := value.(bool); ok && on && strings.HasSuffix(name, "_events") {
			h.Events = append(h.Events, name)
		}
	}
}

func (s *Server) gitlabCreate(w http.ResponseWriter, r *http.Request) {
	body := readJSON(r)
	if strings.Contains(field(body, "url"), "localhost") {
		answer(w, http.StatusUnprocessableEntity, map[string]any{"error": "Invalid url given"})
		return
	}
	h := &Hook{}
	s.gitlabSet(h, body)
	s.add(h)
	answer(w, http.StatusCreated, gitlabHook(h))
}

func (s *Server) gitlabUpdate(w http.ResponseWriter, r *http.Request) {
	if h := s.find(w, r.PathValue("id")); h != nil {
		s.gitlabSet(h, readJSON(r))
		answer(w, http.StatusOK, gitlabHook(h))
	}
}

// gitlabEvents lists the deliveries of the last seven days, newest first, at most 20 a page.
func (s *Server) gitlabEvents(w http.ResponseWriter, r *http.Request) {
	h := s.find(w, r.PathValue("id"))
	if h == nil {
		return
	}
	var all []map[string]any
	for _, d := range s.newestFirst(h.ID) {
		status := "internal error"
		if d.Status > 0 {
			status = strconv.Itoa(d.Status)
		}
		event := map[string]any{
			"id": d.ID, "url": h.URL, "trigger": "push_hooks", "response_status": status, "response_body": "", "execution_duration": 1.09,
			"response_headers": map[string]string{},
			"request_headers": map[string]string{
				"Content-Type": "application/json", "User-Agent": "GitLab/18.0.0", "Idempotency-Key": d.GUID, "X-Gitlab-Event": d.Event,
				"X-Gitlab-Webhook-UUID": "3c5c0404-c866-44bc-a5f6-452bb1bfc76e", "X-Gitlab-Event-UUID": d.GUID, "X-Gitlab-Token": "[REDACTED]",
			},
			"request_data": d.Body,
		}
		if s.Dated {
			event["created_at"] = d.At.UTC().Format("2006-01-02T15:04:05.000Z")
		}
		all = append(all, event)
	}
	numbered(s, w, r, s.pageSize(r, "per_page", 20, 20), all)
}
