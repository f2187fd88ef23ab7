package sendertest

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// GitHub serves the webhooks of the repository acme/site and of the organization acme
// (docs.github.com/rest/repos/webhooks, docs.github.com/rest/orgs/webhooks).
func GitHub() *Server {
	var server *Server
	server = start(func(s *Server, mux *http.ServeMux) {
		s.githubApp(mux)
		for _, at := range []string{"/repos/acme/site/hooks", "/orgs/acme/hooks"} {
			mux.HandleFunc("GET "+at, s.githubList)
			mux.HandleFunc("POST "+at, s.githubCreate)
			mux.HandleFunc("PATCH "+at+"/{id}", s.githubUpdate)
			mux.HandleFunc("DELETE "+at+"/{id}", s.githubDelete)
			mux.HandleFunc("GET "+at+"/{id}/deliveries", s.githubDeliveries)
			mux.HandleFunc("GET "+at+"/{id}/deliveries/{delivery}", s.githubDelivery)
		}
		s.githubStatuses(mux)
		mux.HandleFunc("GET /repos/acme/old/hooks", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", s.URL+"/repositories/1/hooks")
			answer(w, http.StatusMovedPermanently, map[string]string{"message": "Moved Permanently", "url": s.URL + "/repositories/1/hooks"})
		})
		mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
			answer(w, http.StatusNotFound, map[string]string{"message": "Not Found", "documentation_url": "https://docs.github.com/rest"})
		})
	}, func(r *http.Request) bool { return server.githubAuthorized(r) }, `{"message":"Bad credentials","documentation_url":"https://docs.github.com/rest"}`)
	return server
}

func githubHook(h *Hook) map[string]any {
	kind := "json"
	if h.Plain {
		kind = "form"
	}
	return map[string]any{
		"type": "Repository", "id": h.ID, "name": "web", "active": h.Active, "events": h.Events,
		"config":        map[string]string{"url": h.URL, "content_type": kind, "insecure_ssl": "0", "secret": "********"},
		"last_response": map[string]any{"code": nil, "status": "unused", "message": nil},
	}
}

func (s *Server) githubList(w http.ResponseWriter, r *http.Request) {
	var all []map[string]any
	for _, h := range s.hooks {
		all = append(all, githubHook(h))
	}
	numbered(s, w, r, s.pageSize(r, "per_page", 30, 100), all)
}

func (s *Server) githubCreate(w http.ResponseWriter, r *http.Request) {
	body := readJSON(r)
	address := field(body, "config", "url")
	switch {
	case field(body, "name") != "web":
		answer(w, http.StatusUnprocessableEntity, map[string]any{"message": "Validation Failed", "errors": []map[string]string{{"resource": "Hook", "code": "custom", "message": "name must be web"}}})
		return
	case strings.Contains(address, "localhost"):
		answer(w, http.StatusUnprocessableEntity, map[string]any{"message": "Validation Failed", "errors": []map[string]string{{"resource": "Hook", "code": "custom", "message": "url is not supported because it isn't reachable over the public Internet (localhost)"}}})
		return
	}
	for _, h := range s.hooks {
		if h.URL == address {
			answer(w, http.StatusUnprocessableEntity, map[string]any{"message": "Validation Failed", "errors": []map[string]string{{"resource": "Hook", "code": "custom", "message": "Hook already exists on this repository"}}})
			return
		}
	}
	h := &Hook{}
	s.githubSet(h, body)
	s.add(h)
	answer(w, http.StatusCreated, githubHook(h))
}

func (s *Server) githubSet(h *Hook, body map[string]any) {
	h.URL, h.Secret = field(body, "config", "url"), field(body, "config", "secret")
	h.Plain = field(body, "config", "content_type") != "json"
	h.Events = texts(body["events"])
	h.Active, _ = body["active"].(bool)
}

func (s *Server) githubUpdate(w http.ResponseWriter, r *http.Request) {
	if h := s.find(w, r.PathValue("id")); h != nil {
		s.githubSet(h, readJSON(r))
		answer(w, http.StatusOK, githubHook(h))
	}
}

func (s *Server) githubDelete(w http.ResponseWriter, r *http.Request) {
	if h := s.find(w, r.PathValue("id")); h != nil {
		s.remove(h)
		w.WriteHeader(http.StatusNoContent)
	}
}

// githubDeliveries lists without payloads, newest first, by cursor, with an entity tag.
func (s *Server) githubDeliveries(w http.ResponseWriter, r *http.Request) {
	if h := s.find(w, r.PathValue("id")); h != nil {
		s.githubSent(w, r, h.ID)
	}
}

func (s *Server) githubSent(w http.ResponseWriter, r *http.Request, hook int) {
	from, list := strings.TrimPrefix(r.URL.Query().Get("cursor"), "v1_"), []map[string]any{}
	size := s.pageSize(r, "per_page", 30, 100)
	for _, d := range s.newestFirst(hook) {
		if id, err := strconv.Atoi(from); err == nil && d.ID > id {
			continue
		}
		if len(list) == size {
			s.link(w, r, "cursor", fmt.Sprintf("v1_%d", d.ID))
			break
		}
		list = append(list, map[string]any{
			"id": d.ID, "guid": d.GUID, "delivered_at": d.At.UTC().Format("2006-01-02T15:04:05.000Z"), "redelivery": false,
			"duration": 0.27, "status": http.StatusText(d.Status), "status_code": d.Status, "event": d.Event, "action": nil,
			"installation_id": nil, "repository_id": 1, "throttled_at": nil,
		})
	}
	body, _ := json.Marshal(list)
	sum := fnv.New64a()
	_, _ = sum.Write(body)
	tag := fmt.Sprintf(`W/"%x"`, sum.Sum64())
	w.Header().Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		s.same++
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(body)
}

func (s *Server) githubDelivery(w http.ResponseWriter, r *http.Request) {
	for _, d := range s.sent {
		if strconv.Itoa(d.ID) != r.PathValue("delivery") {
			continue
		}
		answer(w, http.StatusOK, map[string]any{
			"id": d.ID, "guid": d.GUID, "delivered_at": d.At.UTC().Format(time.RFC3339), "redelivery": false, "event": d.Event, "status_code": d.Status,
			"request": map[string]any{
				"headers": map[string]string{
					"X-GitHub-Delivery": d.GUID, "X-GitHub-Event": d.Event, "X-Hub-Signature-256": "sha256=00", "Accept": "*/*",
					"User-Agent": "GitHub-Hookshot/b8c71d8", "Content-Type": "application/json",
				},
				"payload": d.Body,
			},
			"response": map[string]any{"headers": map[string]string{}, "payload": ""},
		})
		return
	}
	answer(w, http.StatusNotFound, map[string]string{"message": "Not Found"})
}
