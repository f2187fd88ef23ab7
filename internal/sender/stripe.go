package sender

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

func init() {
	register(&Kind{
		Name: "stripe", Presets: []string{"stripe"}, Title: "Stripe", URL: "https://api.stripe.com", TokenEnv: "STRIPE_API_KEY",
		Needs: "a restricted key (rk_…) with Webhook Endpoints: write and Events: read, or a secret key (sk_…); Dashboard → Developers → API keys",
		Pages: "docs.stripe.com/api/webhook_endpoints; docs.stripe.com/api/pagination; docs.stripe.com/api/errors",
		sign:  bearer,
		open: func(c *client, target string) (API, error) {
			if target != "" {
				return nil, wrongTarget(target, "nothing: the key says which account")
			}
			return &stripe{c}, nil
		},
	})
}

// stripe is the webhook endpoints of an account.
type stripe struct{ *client }

type stripeEndpoint struct {
	ID            string   `json:"id"`
	URL           string   `json:"url"`
	EnabledEvents []string `json:"enabled_events"`
	Status        string   `json:"status"`
	Secret        string   `json:"secret"` // in the answer to its creation alone
}

func (e stripeEndpoint) registered() Registered {
	return Registered{ID: e.ID, URL: e.URL, Events: sorted(e.EnabledEvents), Active: e.Status == "enabled", Made: e.Secret}
}

// Hooks implements API. Pages follow the last id of the page before.
func (s *stripe) Hooks(ctx context.Context) (all []Registered, err error) {
	query := url.Values{"limit": {"100"}}
	for range mostPages {
		var page struct {
			Data    []stripeEndpoint `json:"data"`
			HasMore bool             `json:"has_more"`
		}
		if _, err := s.do(ctx, call{method: http.MethodGet, path: "/v1/webhook_endpoints", query: query, into: &page}); err != nil {
			return nil, err
		}
		for _, e := range page.Data {
			all = append(all, e.registered())
		}
		if !page.HasMore || len(page.Data) == 0 {
			break
		}
		query.Set("starting_after", page.Data[len(page.Data)-1].ID)
	}
	return all, nil
}

func (s *stripe) form(w Wanted) url.Values {
	return url.Values{"url": {w.URL}, "enabled_events[]": w.Events}
}

// Create implements API. Stripe makes the secret.
func (s *stripe) Create(ctx context.Context, w Wanted) (Registered, error) {
	form := s.form(w)
	form.Set("description", "Tenterhook")
	var made stripeEndpoint
	_, err := s.do(ctx, call{method: http.MethodPost, path: "/v1/webhook_endpoints", form: form, into: &made})
	return made.registered(), err
}

// Update implements API. The secret stays what it is.
func (s *stripe) Update(ctx context.Context, id string, w Wanted) (Registered, error) {
	form := s.form(w)
	form.Set("disabled", "false")
	var now stripeEndpoint
	_, err := s.do(ctx, call{method: http.MethodPost, path: "/v1/webhook_endpoints/" + url.PathEscape(id), form: form, into: &now})
	return now.registered(), err
}

// Remove implements API.
func (s *stripe) Remove(ctx context.Context, id string) error {
	_, err := s.do(ctx, call{method: http.MethodDelete, path: "/v1/webhook_endpoints/" + url.PathEscape(id)})
	return err
}

// Events implements API: an event's type is what the API calls it. Every event is "*".
func (s *stripe) Events(names []string) (words, unknown []string) {
	for _, name := range names {
		if name != "*" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_.") != "" {
			unknown = append(unknown, name)
			continue
		}
		words = append(words, name)
	}
	return sorted(words), unknown
}
