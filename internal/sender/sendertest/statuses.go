package sendertest

import (
	"net/http"
	"slices"
	"strings"
)

// Told is a status that was written: of a commit, or of a deployment.
type Told struct {
	Of          string // the commit, or the deployment's id
	State       string
	Context     string // or the environment
	Description string
	URL         string
}

// Told returns the statuses that were written, oldest first.
func (s *Server) Told() (all []Told) {
	s.locked(func() { all = slices.Clone(s.told) })
	return all
}

// Deployments returns how many deployments were made.
func (s *Server) Deployments() (n int) {
	s.locked(func() { n = len(s.deployments) })
	return n
}

// githubStatuses serves docs.github.com/rest/commits/statuses and docs.github.com/rest/deployments.
func (s *Server) githubStatuses(mux *http.ServeMux) {
	states := []string{"error", "failure", "pending", "success"}
	mux.HandleFunc("POST /repos/acme/site/statuses/{sha}", func(w http.ResponseWriter, r *http.Request) {
		body := readJSON(r)
		if !slices.Contains(states, field(body, "state")) || len(field(body, "description")) > 140 || strings.HasPrefix(r.PathValue("sha"), "dead") {
			answer(w, http.StatusUnprocessableEntity, map[string]any{"message": "Validation Failed", "errors": []map[string]string{{"resource": "Status", "code": "custom", "message": "No commit found for SHA: " + r.PathValue("sha")}}})
			return
		}
		s.told = append(s.told, Told{r.PathValue("sha"), field(body, "state"), field(body, "context"), field(body, "description"), field(body, "target_url")})
		answer(w, http.StatusCreated, map[string]any{"id": len(s.told), "state": field(body, "state")})
	})
	mux.HandleFunc("GET /repos/acme/site/deployments", func(w http.ResponseWriter, r *http.Request) {
		numbered(s, w, r, s.pageSize(r, "per_page", 30, 100), s.deployments)
	})
	mux.HandleFunc("POST /repos/acme/site/deployments", func(w http.ResponseWriter, r *http.Request) {
		body := readJSON(r)
		if field(body, "ref") == "" {
			answer(w, http.StatusUnprocessableEntity, map[string]any{"message": "Validation Failed"})
			return
		}
		s.next++
		d := map[string]any{"id": s.next, "sha": body["ref"], "environment": body["environment"], "payload": body["payload"]}
		s.deployments = append(s.deployments, d)
		answer(w, http.StatusCreated, d)
	})
	mux.HandleFunc("POST /repos/acme/site/deployments/{id}/statuses", func(w http.ResponseWriter, r *http.Request) {
		body := readJSON(r)
		if !slices.Contains([]string{"error", "failure", "inactive", "in_progress", "queued", "pending", "success"}, field(body, "state")) {
			answer(w, http.StatusUnprocessableEntity, map[string]any{"message": "Validation Failed"})
			return
		}
		s.told = append(s.told, Told{r.PathValue("id"), field(body, "state"), field(body, "environment"), field(body, "description"), field(body, "log_url")})
		answer(w, http.StatusCreated, map[string]any{"id": len(s.told), "state": field(body, "state")})
	})
}

// gitlabStatus serves docs.gitlab.com/api/commits: Set commit pipeline status. A status does not move
// to where it is.
func (s *Server) gitlabStatus(w http.ResponseWriter, r *http.Request) {
	body := readJSON(r)
	state := field(body, "state")
	if !slices.Contains([]string{"pending", "running", "success", "failed", "canceled", "skipped"}, state) {
		answer(w, http.StatusBadRequest, map[string]string{"error": "state does not have a valid value"})
		return
	}
	for _, t := range slices.Backward(s.told) {
		if t.Of == r.PathValue("sha") && t.Context == field(body, "name") {
			if t.State == state {
				answer(w, http.StatusBadRequest, map[string]string{"message": "Cannot transition status via :enqueue from :" + state + " (Reason(s): Status cannot transition via \"enqueue\")"})
				return
			}
			break
		}
	}
	s.told = append(s.told, Told{r.PathValue("sha"), state, field(body, "name"), field(body, "description"), field(body, "target_url")})
	answer(w, http.StatusCreated, map[string]any{"id": len(s.told), "status": state})
}

// giteaStatus serves repoCreateStatus of Gitea's and Forgejo's API.
func (s *Server) giteaStatus(w http.ResponseWriter, r *http.Request) {
	body := readJSON(r)
	if !slices.Contains([]string{"pending", "success", "error", "failure", "warning"}, field(body, "state")) {
		answer(w, http.StatusUnprocessableEntity, map[string]string{"message": "invalid state"})
		return
	}
	s.told = append(s.told, Told{r.PathValue("sha"), field(body, "state"), field(body, "context"), field(body, "description"), field(body, "target_url")})
	answer(w, http.StatusCreated, map[string]any{"id": len(s.told), "status": field(body, "state")})
}
