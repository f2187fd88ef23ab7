package sender

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// Sent implements History. GitLab lists what was sent in seven days, at most 20 on a page, whole
// (docs.gitlab.com/api/project_webhooks: List events for a webhook, GitLab 17.3 and later). Older
// versions do not say when: of those, only what failed is listed here.
func (g *gitlab) Sent(ctx context.Context, hook Registered, since time.Time, wanted func(*Sent) bool) ([]*Sent, bool, error) {
	found, from := newCollect(wanted), g.began(since)
	list := call{method: http.MethodGet, path: g.path + "/" + url.PathEscape(hook.ID) + "/events", query: url.Values{"per_page": {"20"}}}
	type event struct {
		ID             number            `json:"id"`
		CreatedAt      time.Time         `json:"created_at"`
		RequestHeaders map[string]string `json:"request_headers"`
		RequestData    json.RawMessage   `json:"request_data"`
		ResponseStatus string            `json:"response_status"`
	}
	err := pages(ctx, g.client, list, mostListed, func(page []event) bool {
		for _, e := range page {
			if !e.CreatedAt.IsZero() && e.CreatedAt.Before(from) {
				return false
			}
			s := &Sent{ID: e.ID.String(), At: e.CreatedAt, OK: len(e.ResponseStatus) == 3 && e.ResponseStatus[0] == '2', Header: headers(e.RequestHeaders), Body: e.RequestData}
			var text string // the JSON as a text
			if json.Unmarshal(e.RequestData, &text) == nil {
				s.Body = []byte(text)
			}
			s.Key = first(s.Header, "webhook-id", "Idempotency-Key", "X-Gitlab-Event-UUID")
			if s.Key == "" {
				continue // nobody could say whether it arrived
			}
			if s.OK && s.At.IsZero() {
				found.seen[s.Key] = true // a later try than one that failed
				continue
			}
			found.add(s)
		}
		return true
	})
	return found.all, found.more, err
}

// Fetch implements History: the list has everything.
func (*gitlab) Fetch(context.Context, Registered, *Sent) error { return nil }
