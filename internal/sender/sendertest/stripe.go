package sendertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// StripeSecret is the secret that it makes for an endpoint.
const StripeSecret = "whsec_made0123456789abcdef0123456789"

// Stripe serves the webhook endpoints and the events of an account (docs.stripe.com/api).
func Stripe() *Server {
	return start(func(s *Server, mux *http.ServeMux) {
		const at = "/v1/webhook_endpoints"
		mux.HandleFunc("GET "+at, s.stripeList)
		mux.HandleFunc("POST "+at, func(w http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			if r.PostForm.Get("url") == "" || len(r.PostForm["enabled_events[]"]) == 0 {
				stripeError(w, http.StatusBadRequest, "Missing required param: url.")
				return
			}
			h := &Hook{URL: r.PostForm.Get("url"), Events: r.PostForm["enabled_events[]"], Active: true, Secret: StripeSecret}
			s.add(h)
			out := stripeEndpoint(h)
			out["secret"] = h.Secret
			answer(w, http.StatusOK, out)
		})
		mux.HandleFunc("POST "+at+"/{id}", func(w http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			if h := s.stripeFind(w, r); h != nil {
				h.URL, h.Events, h.Active = r.PostForm.Get("url"), r.PostForm["enabled_events[]"], r.PostForm.Get("disabled") != "true"
				answer(w, http.StatusOK, stripeEndpoint(h))
			}
		})
		mux.HandleFunc("DELETE "+at+"/{id}", func(w http.ResponseWriter, r *http.Request) {
			if h := s.stripeFind(w, r); h != nil {
				s.remove(h)
				answer(w, http.StatusOK, map[string]any{"id": r.PathValue("id"), "object": "webhook_endpoint", "deleted": true})
			}
		})
		mux.HandleFunc("GET /v1/events", s.stripeEvents)
	}, bearer, `{"error":{"type":"invalid_request_error","message":"Invalid API Key provided: token-of*******6789"}}`)
}

func stripeError(w http.ResponseWriter, status int, text string) {
	answer(w, status, map[string]any{"error": map[string]string{"type": "invalid_request_error", "message": text}})
}

func (s *Server) stripeFind(w http.ResponseWriter, r *http.Request) *Hook {
	for _, h := range s.hooks {
		if fmt.Sprintf("we_%d", h.ID) == r.PathValue("id") {
			return h
		}
	}
	stripeError(w, http.StatusNotFound, "No such webhook endpoint: '"+r.PathValue("id")+"'")
	return nil
}

func stripeEndpoint(h *Hook) map[string]any {
	status := "enabled"
	if !h.Active {
		status = "disabled"
	}
	return map[string]any{"id": fmt.Sprintf("we_%d", h.ID), "object": "webhook_endpoint", "url": h.URL, "enabled_events": h.Events, "status": status, "livemode": false}
}

func (s *Server) stripeList(w http.ResponseWriter, r *http.Request) {
	var all []map[string]any
	for _, h := range s.hooks {
		all = append(all, stripeEndpoint(h))
	}
	stripePage(s, w, r, all)
}

// stripePage writes the page that follows starting_after.
func stripePage(s *Server, w http.ResponseWriter, r *http.Request, all []map[string]any) {
	size, after := s.pageSize(r, "limit", 10, 100), r.URL.Query().Get("starting_after")
	for i, one := range all {
		if one["id"] == after {
			all = all[i+1:]
			break
		}
	}
	more := len(all) > size
	answer(w, http.StatusOK, map[string]any{"object": "list", "url": r.URL.Path, "has_more": more, "data": all[:min(size, len(all))]})
}

// stripeEvents lists events, newest first, from created[gte] on.
func (s *Server) stripeEvents(w http.ResponseWriter, r *http.Request) {
	from, _ := strconv.ParseInt(r.URL.Query().Get("created[gte]"), 10, 64)
	var all []map[string]any
	for _, d := range s.newestFirst(0) {
		if d.At.Unix() < from {
			continue
		}
		var data map[string]any
		_ = json.Unmarshal(d.Body, &data)
		all = append(all, map[string]any{
			"id": d.GUID, "object": "event", "type": d.Event, "created": d.At.Unix(), "api_version": "2025-03-31.basil",
			"data": map[string]any{"object": data}, "livemode": false, "pending_webhooks": 1,
		})
	}
	stripePage(s, w, r, all)
}
