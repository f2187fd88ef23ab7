package sender_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenterhook/tenterhook/internal/sender"
	"github.com/tenterhook/tenterhook/internal/sender/sendertest"
)

func newApp(t *testing.T, installation string) *sender.App {
	t.Helper()
	app, err := sender.NewApp(sendertest.AppID, installation, sendertest.AppKey())
	if err != nil {
		t.Fatal(err)
	}
	return app
}

func openAs(t *testing.T, app *sender.App, target, url string) sender.API {
	t.Helper()
	kind, _ := sender.Of("github")
	api, err := kind.Open(sender.Options{URL: url, App: app, Target: target})
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// TestApp_AnInstallationsTokenIsUsedUntilItsEndIsNear, by several clients, and for one repository alone.
func TestApp_AnInstallationsTokenIsUsedUntilItsEndIsNear(t *testing.T) {
	server := sendertest.GitHub()
	defer server.Close()
	app := newApp(t, "")
	for range 3 {
		if _, err := openAs(t, app, "acme/site", server.URL).Hooks(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := server.AppTokens(); n != 1 {
		t.Errorf("%d tokens", n)
	}
	if asked := strings.Join(server.Requests(), "\n"); strings.Count(asked, "/installation\n") != 1 {
		t.Errorf("asked for\n%s", asked)
	}
	server.TokensLast(4 * time.Minute) // the one before is taken back; a new one has to be renewed at once
	for want := 2; want <= 3; want++ {
		if _, err := openAs(t, app, "acme/site", server.URL).Hooks(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := server.AppTokens(); n != want {
			t.Errorf("%d tokens, not %d", n, want)
		}
	}
	if _, err := openAs(t, newApp(t, "99"), "acme", server.URL).Hooks(t.Context()); err != nil {
		t.Errorf("an organization, with its installation's number: %v", err)
	}
	_, err := openAs(t, newApp(t, "98"), "acme/site", server.URL).Hooks(t.Context())
	var no *sender.Error
	if !errors.As(err, &no) || no.Status != http.StatusNotFound || !strings.Contains(err.Error(), "token of the App's installation") {
		t.Errorf("another installation: %v", err)
	}
}

// TestApp_AClockThatIsNotGitHubs makes the first JWT worthless, and the next one good.
func TestApp_AClockThatIsNotGitHubs(t *testing.T) {
	for _, ahead := range []time.Duration{-2 * time.Hour, 2 * time.Hour} {
		server := sendertest.GitHub()
		server.Ahead(ahead)
		api := openAs(t, newApp(t, ""), "acme/site", server.URL)
		for range 2 {
			if _, err := api.Hooks(t.Context()); err != nil {
				t.Errorf("%s ahead: %v", ahead, err)
			}
		}
		if n := server.AppTokens(); n != 1 {
			t.Errorf("%s ahead: %d tokens", ahead, n)
		}
		server.Close()
	}
}

// TestApp_WhatIsRefusedShowsNoToken: also what another App asks is refused at once.
func TestApp_WhatIsRefusedShowsNoToken(t *testing.T) {
	server := sendertest.GitHub()
	defer server.Close()
	app, err := sender.NewApp("1", "", sendertest.AppKey())
	if err != nil {
		t.Fatal(err)
	}
	if _, err = openAs(t, app, "acme/site", server.URL).Hooks(t.Context()); err == nil || len(server.Requests()) != 1 {
		t.Errorf("another App: %v", err)
	}
	api := openAs(t, newApp(t, ""), "acme/site", server.URL)
	if _, err := api.Hooks(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.Refuse(sendertest.Refusal{Status: http.StatusUnprocessableEntity, Body: `{"message":"bad ghs_installation1"}`})
	if _, err := api.Hooks(t.Context()); err == nil || strings.Contains(err.Error(), "ghs_") {
		t.Errorf("refused: %v", err)
	}
}

// TestApp_ItsOwnWebhook is one, which is set and whose deliveries are told.
func TestApp_ItsOwnWebhook(t *testing.T) {
	server := sendertest.GitHub()
	defer server.Close()
	server.SetApp(sendertest.Hook{ID: 1000, URL: "https://old.example.com", Events: []string{"push", "release"}})
	api, ctx := openAs(t, newApp(t, ""), "apps/deployer", server.URL).(sender.History), t.Context()
	hooks, err := api.Hooks(ctx)
	if err != nil || len(hooks) != 1 || !hooks[0].Only {
		t.Fatalf("%+v, %v", hooks, err)
	}
	words, unknown := api.Events([]string{"push", "installation", "installation_repositories"})
	w := sender.Wanted{URL: "https://hooks.example.com/x", Events: words, Secret: "0123456789abcdef"}
	if w.Same(hooks[0]) || len(w.Missing(hooks[0])) > 0 || len(unknown) > 0 {
		t.Errorf("same %v, missing %v, unknown %v", w.Same(hooks[0]), w.Missing(hooks[0]), unknown)
	}
	if diff := cmp.Diff([]string{"issues"}, (sender.Wanted{Events: []string{"issues", "push"}}).Missing(hooks[0])); diff != "" {
		t.Error(diff)
	}
	now, err := api.Update(ctx, hooks[0].ID, w)
	if err != nil || !w.Same(now) || server.App().Secret != w.Secret || server.App().URL != w.URL {
		t.Errorf("%+v, %v; GitHub has %+v", now, err, server.App())
	}
	for n := range 3 {
		server.Send(sendertest.Sent{Hook: 1000, GUID: fmt.Sprint("guid-", n), Event: "push", At: time.Now(), Body: []byte(`{"n":1}`)})
	}
	sent, _, err := api.Sent(ctx, now, time.Now().Add(-time.Hour), everything)
	if diff := cmp.Diff([]string{"guid-2", "guid-1", "guid-0"}, keys(sent)); err != nil || diff != "" {
		t.Fatalf("%s, %v", diff, err)
	}
	if err := api.Fetch(ctx, now, sent[0]); err != nil || string(sent[0].Body) != `{"n":1}` {
		t.Errorf("%s, %v", sent[0].Body, err)
	}
	if err := api.Remove(ctx, now.ID); err == nil {
		t.Error("it is removed")
	}
	if _, err := openAs(t, newApp(t, ""), "apps/other", server.URL).Hooks(ctx); err == nil || !strings.Contains(err.Error(), `"deployer"`) {
		t.Errorf("another App's name: %v", err)
	}
	if n := server.AppTokens(); n != 0 {
		t.Errorf("%d tokens of an installation", n)
	}
}

func TestNewApp_SaysWhatIsNoKeyAndNotWhatItIs(t *testing.T) {
	for _, key := range []string{"", "secret-of-mine", "-----BEGIN EC PRIVATE KEY-----\nc2VjcmV0LW9mLW1pbmU=\n-----END EC PRIVATE KEY-----\n"} {
		if _, err := sender.NewApp("1", "", []byte(key)); err == nil || strings.Contains(err.Error(), "mine") || strings.Contains(err.Error(), "c2Vj") {
			t.Errorf("%q: %v", key, err)
		}
	}
}
