package sender

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Sent implements History. GitHub keeps deliveries for three days and never sends a failed one again
// (docs.github.com/rest/repos/webhooks: List deliveries for a repository webhook; Handling failed
// webhook deliveries). A redelivery has the guid of the first.
func (g *github) Sent(ctx context.Context, hook Registered, since time.Time, wanted func(*Sent) bool) ([]*Sent, bool, error) {
	found, from := newCollect(wanted), g.began(since)
	list := call{method: http.MethodGet, path: g.deliveries(hook), query: url.Values{"per_page": {"100"}}}
	type delivery struct {
		ID          number    `json:"id"`
		GUID        string    `json:"guid"`
		DeliveredAt time.Time `json:"delivered_at"`
		StatusCode  int       `json:"status_code"`
	}
	err := pages(ctx, g.client, list, mostListed, func(page []delivery) bool {
		for _, d := range page {
			if d.DeliveredAt.Before(from) {
				return false
			}
			found.add(&Sent{ID: d.ID.String(), Key: d.GUID, At: d.DeliveredAt, OK: d.StatusCode/100 == 2})
		}
		return true
	})
	return found.all, found.more, err
}

func (g *github) deliveries(hook Registered) string {
	if hook.Only { // an App's
		return g.path + "/deliveries"
	}
	return g.path + "/" + url.PathEscape(hook.ID) + "/deliveries"
}

// Fetch implements History. The payload is the API's JSON of what was sent, not its bytes: the
// signature among the headers is not of it.
func (g *github) Fetch(ctx context.Context, hook Registered, s *Sent) error {
	var d struct {
		GUID    string `json:"guid"`
		Event   string `json:"event"`
		Request struct {
			Headers map[string]string `json:"headers"`
			Payload json.RawMessage   `json:"payload"`
		} `json:"request"`
	}
	if _, err := g.do(ctx, call{method: http.MethodGet, path: g.deliveries(hook) + "/" + url.PathEscape(s.ID), into: &d}); err != nil {
		return err
	}
	if d.GUID != s.Key || len(d.Request.Payload) == 0 || string(d.Request.Payload) == "null" {
		return fmt.Errorf("the answer of GitHub is %w: it has no payload of the delivery any more", ErrUnusable)
	}
	s.Header, s.Body = headers(d.Request.Headers), d.Request.Payload
	s.Header.Set("X-GitHub-Delivery", d.GUID)
	s.Header.Set("X-GitHub-Event", d.Event)
	return nil
}

// headers are those of a delivery whose body is JSON, whatever it was sent as.
func headers(of map[string]string) http.Header {
	h := http.Header{}
	for name, value := range of {
		h.Set(name, value)
	}
	h.Del("Content-Length")
	h.Del("Content-Encoding")
	h.Set("Content-Type", "application/json")
	return h
}
