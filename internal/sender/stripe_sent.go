package sender

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// Sent implements History with the events of the account that the endpoint is to get. Stripe keeps
// them for thirty days (docs.stripe.com/api/events/list; docs.stripe.com/webhooks/process-undelivered-events).
func (s *stripe) Sent(ctx context.Context, hook Registered, since time.Time, wanted func(*Sent) bool) ([]*Sent, bool, error) {
	found := newCollect(wanted)
	if !s.timed { // since is by our clock, and what is asked for by Stripe's
		if _, err := s.do(ctx, call{method: http.MethodGet, path: "/v1/events", query: url.Values{"limit": {"1"}}}); err != nil {
			return nil, false, err
		}
	}
	query := url.Values{"limit": {"100"}, "created[gte]": {strconv.FormatInt(s.began(since).Unix(), 10)}}
	for range mostListed {
		var page struct {
			Data    []json.RawMessage `json:"data"`
			HasMore bool              `json:"has_more"`
		}
		if _, err := s.do(ctx, call{method: http.MethodGet, path: "/v1/events", query: query, into: &page}); err != nil {
			return nil, false, err
		}
		for _, body := range page.Data {
			var e struct {
				ID      string `json:"id"`
				Type    string `json:"type"`
				Created int64  `json:"created"`
			}
			if err := s.decode(body, &e); err != nil {
				return nil, false, err
			}
			query.Set("starting_after", e.ID)
			if !slices.Contains(hook.Events, e.Type) && !slices.Contains(hook.Events, "*") {
				continue
			}
			found.add(&Sent{ID: e.ID, Key: e.ID, At: time.Unix(e.Created, 0), Header: headers(nil), Body: body})
		}
		if !page.HasMore || len(page.Data) == 0 {
			return found.all, found.more, nil
		}
	}
	return nil, false, fmt.Errorf("%s lists more than %d pages", s.kind.Title, mostListed)
}

// Fetch implements History: the list has everything.
func (*stripe) Fetch(context.Context, Registered, *Sent) error { return nil }
