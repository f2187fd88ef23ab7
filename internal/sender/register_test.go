package sender_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenterhook/tenterhook/internal/sender"
	"github.com/tenterhook/tenterhook/internal/sender/sendertest"
)

// providers are every API with a server that answers like it.
var providers = []struct {
	preset, target string
	start          func() *sendertest.Server
	events         []string // as rules name them
	words          []string // as the API does
}{
	{"github", "acme/site", sendertest.GitHub, []string{"push", "release", "ping"}, []string{"push", "release"}},
	{"github", "acme", sendertest.GitHub, []string{"push"}, []string{"push"}},
	{"gitlab", "acme/site", sendertest.GitLab, []string{"push", "merge_request"}, []string{"merge_requests_events", "push_events"}},
	{"gitlab", "groups/acme/web", sendertest.GitLab, []string{"push", "project_create", "user_add_to_group"}, []string{"member_events", "project_events", "push_events"}},
	{"gitea", "acme", sendertest.Gitea, []string{"push"}, []string{"push"}},
	{"gitea", "acme/site", sendertest.Gitea, []string{"push", "pull_request_approved"}, []string{"pull_request_review", "push"}},
	{"forgejo", "acme/site", sendertest.Gitea, []string{"release"}, []string{"release"}},
	{"stripe", "", sendertest.Stripe, []string{"invoice.paid"}, []string{"invoice.paid"}},
}

func open(t *testing.T, preset, target, url, token string) sender.API {
	t.Helper()
	kind, ok := sender.Of(preset)
	if !ok {
		t.Fatalf("no API of %s", preset)
	}
	api, err := kind.Open(sender.Options{URL: url, Token: token, Target: target, Hide: []string{"the-hook's-secret"}})
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// TestAPI_CreatesListsUpdatesAndRemovesAHook at every provider, with many hooks of others on
// several pages.
func TestAPI_CreatesListsUpdatesAndRemovesAHook(t *testing.T) {
	for _, p := range providers {
		t.Run(p.preset+" "+p.target, func(t *testing.T) {
			server := p.start()
			defer server.Close()
			server.Page = 3
			for i := range 7 {
				server.Add(sendertest.Hook{URL: fmt.Sprintf("https://other.example.com/%d", i), Events: []string{"push_events"}, Active: true})
			}
			api, ctx := open(t, p.preset, p.target, server.URL, sendertest.Token), t.Context()
			words, unknown := api.Events(p.events)
			if diff := cmp.Diff(p.words, words); diff != "" || len(unknown) > 0 {
				t.Fatalf("events: %s, unknown %v", diff, unknown)
			}
			w := sender.Wanted{URL: "https://hooks.example.com/x", Events: words, Secret: "0123456789abcdef"}
			made, err := api.Create(ctx, w)
			if err != nil {
				t.Fatal(err)
			}
			if !w.Same(made) {
				t.Errorf("made %+v, wanted %+v", made, w)
			}
			w.URL += "/moved"
			if _, err := api.Update(ctx, made.ID, w); err != nil {
				t.Fatal(err)
			}
			all, err := api.Hooks(ctx)
			if err != nil || len(all) != 8 || !w.Same(all[7]) {
				t.Fatalf("%d hooks, the last %+v, error %v", len(all), all[len(all)-1], err)
			}
			kept := server.Hooks()[7]
			if want := w.Secret; p.preset != "stripe" && kept.Secret != want || p.preset == "stripe" && made.Made != sendertest.StripeSecret {
				t.Errorf("the provider has the secret %q", kept.Secret)
			}
			if err := api.Remove(ctx, made.ID); err != nil || len(server.Hooks()) != 7 {
				t.Fatalf("%d hooks are left, error %v", len(server.Hooks()), err)
			}
			var no *sender.Error
			if err := api.Remove(ctx, made.ID); !errors.As(err, &no) || no.Status != http.StatusNotFound {
				t.Errorf("removing it again: %v", err)
			}
		})
	}
}

func TestAPI_ARefusalSaysWhatTheTokenNeedsAndNoSecret(t *testing.T) {
	for _, p := range providers {
		server := p.start()
		api := open(t, p.preset, p.target, server.URL, "a-token-that-is-wrong")
		_, err := api.Hooks(t.Context())
		var no *sender.Error
		if !errors.As(err, &no) || no.Status != http.StatusUnauthorized || no.Needs == "" || no.Message == "" {
			t.Errorf("%s: %v", p.preset, err)
		}
		server.Refuse(sendertest.Refusal{Status: http.StatusUnprocessableEntity, Body: `{"message":"bad: a-token-that-is-wrong and the-hook's-secret\u001b[31m"}`})
		_, err = api.Create(t.Context(), sender.Wanted{})
		if text := fmt.Sprint(err); !strings.Contains(text, "422") || strings.Contains(text, "that-is-wrong") || strings.Contains(text, "the-hook's-secret") || strings.Contains(text, "\x1b") {
			t.Errorf("%s: %s", p.preset, text)
		}
		server.Close()
	}
}

// TestAPI_ATokenFollowsNoRedirectAndNoForeignPage: GitHub answers 301 for a repository that was
// renamed; a page of another host is nobody's.
func TestAPI_ATokenFollowsNoRedirectAndNoForeignPage(t *testing.T) {
	server := sendertest.GitHub()
	defer server.Close()
	_, err := open(t, "github", "acme/old", server.URL, sendertest.Token).Hooks(t.Context())
	if err == nil || !strings.Contains(err.Error(), "moved or renamed") {
		t.Errorf("renamed: %v", err)
	}
	if asked := server.Requests(); len(asked) != 1 {
		t.Errorf("asked for %v", asked)
	}
	server.Refuse(sendertest.Refusal{Status: http.StatusOK, Header: http.Header{"Link": {`<http://127.0.0.1:1/next>; rel="next"`}}, Body: `[]`})
	_, err = open(t, "github", "acme/site", server.URL, sendertest.Token).Hooks(t.Context())
	if err == nil || !strings.Contains(err.Error(), "not its own") {
		t.Errorf("foreign page: %v", err)
	}
}

// TestAPI_RateLimits: a short one is waited for, a long one is an error that says until when, by our
// clock although the server's is an hour ahead.
func TestAPI_RateLimits(t *testing.T) {
	server := sendertest.GitHub()
	defer server.Close()
	server.Ahead(time.Hour)
	server.Refuse(
		sendertest.Refusal{Status: http.StatusForbidden, Header: http.Header{"Retry-After": {"0"}}, Body: `{"message":"You have exceeded a secondary rate limit"}`},
		sendertest.Refusal{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"0"}}},
		sendertest.Refusal{Status: http.StatusBadGateway, Header: http.Header{"Retry-After": {"0"}}},
	)
	api := open(t, "github", "acme/site", server.URL, sendertest.Token)
	if _, err := api.Hooks(t.Context()); err != nil {
		t.Errorf("short limits: %v", err)
	}
	reset := time.Now().Add(time.Hour + 20*time.Minute)
	server.Refuse(sendertest.Refusal{Status: http.StatusForbidden, Header: http.Header{
		"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {strconv.FormatInt(reset.Unix(), 10)},
	}, Body: `{"message":"API rate limit exceeded"}`})
	_, err := api.Hooks(t.Context())
	var busy *sender.BusyError
	if !errors.As(err, &busy) {
		t.Fatalf("a long limit: %v", err)
	}
	if wait := time.Until(busy.Until); wait < 15*time.Minute || wait > 25*time.Minute {
		t.Errorf("it says %s from now", wait)
	}
	// A 403 that is no limit's is final.
	server.Requests()
	server.Refuse(sendertest.Refusal{Status: http.StatusForbidden, Body: `{"message":"Resource not accessible by personal access token"}`})
	if _, err := api.Hooks(t.Context()); err == nil || len(server.Requests()) != 1 {
		t.Errorf("a refusal: %v", err)
	}
	// What writes is not sent again when nobody knows whether it was done.
	server.Refuse(sendertest.Refusal{Status: http.StatusBadGateway}, sendertest.Refusal{Status: http.StatusBadGateway})
	if _, err := api.Create(t.Context(), sender.Wanted{URL: "https://hooks.example.com/x"}); err == nil || len(server.Requests()) != 1 {
		t.Errorf("a failed create: %v", err)
	}
}

func TestOpen_RefusesWhatATokenMustNotGoTo(t *testing.T) {
	kind, _ := sender.Of("github")
	for _, o := range []sender.Options{
		{URL: "http://api.example.com", Token: "t", Target: "a/b"},
		{URL: "https://user:pass@api.example.com", Token: "t", Target: "a/b"},
		{URL: "ftp://api.example.com", Token: "t", Target: "a/b"},
		{Target: "a/b"},
		{Token: "t", Target: "a/b/c"},
		{Token: "t", Target: "../b"},
		{Token: "t", Target: ""},
		{Token: "t", Target: "a b/c"},
		{Token: "t", Target: "apps/deployer"}, // an App's webhook, and no App
	} {
		if _, err := kind.Open(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
	if _, err := kind.Open(sender.Options{Token: "t", Target: "a/b"}); err != nil {
		t.Error(err)
	}
}

func TestSameURL(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"https://Hooks.example.com/a", "https://hooks.example.com:443/a", true},
		{"https://hooks.example.com/a", "https://hooks.example.com/A", false},
		{"https://hooks.example.com", "https://hooks.example.com/", true},
		{"http://hooks.example.com/a", "https://hooks.example.com/a", false},
		{"", "", false},
	} {
		if got := sender.SameURL(c.a, c.b); got != c.same {
			t.Errorf("%q and %q: %v", c.a, c.b, got)
		}
	}
}
