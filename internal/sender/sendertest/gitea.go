package sendertest

import "net/http"

// Gitea serves the webhooks of the repository acme/site and of the organization acme (docs.gitea.com/api:
// repoListHooks, orgListHooks and their siblings; Forgejo's are the same).
func Gitea() *Server {
	return start(func(s *Server, mux *http.ServeMux) {
		mux.HandleFunc("POST /api/v1/repos/acme/site/statuses/{sha}", s.giteaStatus)
		for _, at := range []string{"/api/v1/repos/acme/site/hooks", "/api/v1/orgs/acme/hooks"} {
			s.giteaHooks(mux, at)
		}
		mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
			answer(w, http.StatusNotFound, map[string]any{"errors": nil, "message": "The target couldn't be found.", "url": "https://docs.gitea.com/api"})
		})
	}, func(r *http.Request) bool { return r.Header.Get("Authorization") == "token "+Token }, `{"message":"invalid username, password or token","url":"https://docs.gitea.com/api"}`)
}

func (s *Server) giteaHooks(mux *http.ServeMux, at string) {
	mux.HandleFunc("GET "+at, func(w http.ResponseWriter, r *http.Request) {
		all := []map[string]any{}
		for _, h := range s.hooks {
			all = append(all, giteaHook(h))
		}
		numbered(s, w, r, s.pageSize(r, "limit", 30, 50), all)
	})
	mux.HandleFunc("POST "+at, func(w http.ResponseWriter, r *http.Request) {
		body := readJSON(r)
		if field(body, "type") != "gitea" {
			answer(w, http.StatusUnprocessableEntity, map[string]string{"message": "Invalid hook type: " + field(body, "type"), "url": "https://docs.gitea.com/api"})
			return
		}
		h := &Hook{}
		s.githubSet(h, body)
		s.add(h)
		answer(w, http.StatusCreated, giteaHook(h))
	})
	mux.HandleFunc("PATCH "+at+"/{id}", func(w http.ResponseWriter, r *http.Request) {
		if h := s.find(w, r.PathValue("id")); h != nil {
			s.githubSet(h, readJSON(r))
			answer(w, http.StatusOK, giteaHook(h))
		}
	})
	mux.HandleFunc("DELETE "+at+"/{id}", s.githubDelete)
}

func giteaHook(h *Hook) map[string]any {
	return map[string]any{
		"id": h.ID, "type": "gitea", "active": h.Active, "events": h.Events, "branch_filter": "",
		"config": map[string]string{"url": h.URL, "content_type": "json"},
	}
}
