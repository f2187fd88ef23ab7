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

func history(t *testing.T, preset, target string, server *sendertest.Server) (sender.History, sender.Registered) {
	t.Helper()
	api, ok := open(t, preset, target, server.URL, sendertest.Token).(sender.History)
	if !ok {
		t.Fatalf("%s tells nothing", preset)
	}
	all, err := api.Hooks(t.Context())
	if err != nil || len(all) == 0 {
		t.Fatalf("%d hooks, %v", len(all), err)
	}
	return api, all[0]
}

func everything(*sender.Sent) bool { return true }

func keys(all []*sender.Sent) (out []string) {
	for _, s := range all {
		out = append(out, s.Key)
	}
	return out
}

// TestHistory_ListsWhatWasSentSinceATime over several pages, newest first, each delivery once, by a
// clock that is two hours ahead; and has it whole.
func TestHistory_ListsWhatWasSentSinceATime(t *testing.T) {
	for _, p := range providers {
		if p.preset == "gitea" || p.preset == "forgejo" {
			continue // their API tells nothing
		}
		t.Run(p.preset+" "+p.target, func(t *testing.T) {
			server := p.start()
			defer server.Close()
			server.Page, server.Dated = 3, true
			server.Ahead(2 * time.Hour)
			id := server.Add(sendertest.Hook{URL: "https://hooks.example.com/x", Events: p.words, Active: true})
			theirs := time.Now().Add(2 * time.Hour)
			send := func(guid string, ago time.Duration) {
				server.Send(sendertest.Sent{Hook: id, GUID: guid, Event: p.events[0], At: theirs.Add(-ago), Status: 503, Body: []byte(`{"n": 12345678901234567890}`)})
			}
			send("old", 90*time.Minute)
			var want []string
			for i := range 10 {
				send(fmt.Sprint("missed-", i), 50*time.Minute-time.Duration(i)*time.Minute)
				want = append([]string{fmt.Sprint("missed-", i)}, want...)
			}
			if p.preset != "stripe" { // tried again
				send("missed-0", time.Minute)
				want = append([]string{"missed-0"}, want[:9]...)
			}
			api, hook := history(t, p.preset, p.target, server)
			all, _, err := api.Sent(t.Context(), hook, time.Now().Add(-time.Hour), everything)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, keys(all)); diff != "" {
				t.Fatal(diff)
			}
			if err := api.Fetch(t.Context(), hook, all[0]); err != nil {
				t.Fatal(err)
			}
			if body := string(all[0].Body); !strings.Contains(body, `"n"`) || all[0].Header.Get("Content-Type") != "application/json" {
				t.Errorf("body %s, header %v", body, all[0].Header)
			}
			few, _, err := api.Sent(t.Context(), hook, time.Now().Add(-time.Hour), func(s *sender.Sent) bool { return s.Key == "missed-5" })
			if err != nil || len(few) != 1 {
				t.Errorf("wanted one, got %q, %v", keys(few), err)
			}
		})
	}
}

// TestHistory_GitLabThatDoesNotSayWhenListsWhatFailed: an answer without created_at.
func TestHistory_GitLabThatDoesNotSayWhenListsWhatFailed(t *testing.T) {
	server := sendertest.GitLab()
	defer server.Close()
	id := server.Add(sendertest.Hook{URL: "https://hooks.example.com/x", Active: true})
	for guid, status := range map[string]int{"failed": 500, "nobody": 0, "answered": 202} {
		server.Send(sendertest.Sent{Hook: id, GUID: guid, Event: "Push Hook", At: time.Now(), Status: status, Body: []byte(`{}`)})
	}
	server.Send(sendertest.Sent{Hook: id, GUID: "failed", Event: "Push Hook", At: time.Now(), Status: 200, Body: []byte(`{}`)})
	api, hook := history(t, "gitlab", "acme/site", server)
	all, _, err := api.Sent(t.Context(), hook, time.Now().Add(-time.Hour), everything)
	if diff := cmp.Diff([]string{"nobody"}, keys(all)); err != nil || diff != "" {
		t.Errorf("%s, %v", diff, err)
	}
}

// TestHistory_AsksConditionally: what has not changed is not sent again, which GitHub does not count.
func TestHistory_AsksConditionally(t *testing.T) {
	server := sendertest.GitHub()
	defer server.Close()
	id := server.Add(sendertest.Hook{URL: "https://hooks.example.com/x", Events: []string{"push"}, Active: true})
	send := func(guid string) {
		server.Send(sendertest.Sent{Hook: id, GUID: guid, Event: "push", At: time.Now(), Body: []byte(`{}`)})
	}
	send("a")
	api, hook := history(t, "github", "acme/site", server)
	for i, want := range [][]string{{"a"}, {"a"}, {"b", "a"}} {
		if i == 2 {
			send("b")
		}
		all, _, err := api.Sent(t.Context(), hook, time.Now().Add(-time.Hour), everything)
		if diff := cmp.Diff(want, keys(all)); err != nil || diff != "" {
			t.Errorf("%d: %s, %v", i, diff, err)
		}
	}
	if n := server.NotModified(); n != 1 {
		t.Errorf("%d answers were 304", n)
	}
}

// TestHistory_ADeliveryThatCannotBeUsedSaysSo, so that it does not hold the others up.
func TestHistory_ADeliveryThatCannotBeUsedSaysSo(t *testing.T) {
	server := sendertest.GitHub()
	defer server.Close()
	id := server.Add(sendertest.Hook{URL: "https://hooks.example.com/x", Events: []string{"push"}, Active: true})
	server.Send(sendertest.Sent{Hook: id, GUID: "a", Event: "push", At: time.Now(), Body: []byte(`null`)})
	api, hook := history(t, "github", "acme/site", server)
	all, _, err := api.Sent(t.Context(), hook, time.Now().Add(-time.Hour), everything)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	if err := api.Fetch(t.Context(), hook, all[0]); !errors.Is(err, sender.ErrUnusable) {
		t.Errorf("no payload: %v", err)
	}
	server.Refuse(sendertest.Refusal{Status: http.StatusOK, Body: `<html>`})
	if err := api.Fetch(t.Context(), hook, all[0]); !errors.Is(err, sender.ErrUnusable) {
		t.Errorf("no JSON: %v", err)
	}
}

// TestHistory_StripesClockIsAskedForFirst: nobody has answered yet who said what time it is there.
func TestHistory_StripesClockIsAskedForFirst(t *testing.T) {
	server := sendertest.Stripe()
	defer server.Close()
	server.Ahead(-3 * time.Hour)
	server.Send(sendertest.Sent{GUID: "evt_1", Event: "invoice.paid", At: time.Now().Add(-3*time.Hour - 10*time.Minute), Body: []byte(`{}`)})
	api := open(t, "stripe", "", server.URL, sendertest.Token).(sender.History)
	all, _, err := api.Sent(t.Context(), sender.Registered{Events: []string{"*"}}, time.Now().Add(-time.Hour), everything)
	if diff := cmp.Diff([]string{"evt_1"}, keys(all)); err != nil || diff != "" {
		t.Errorf("%s, %v", diff, err)
	}
}

// TestHistory_TheOldestOfTooManyComeFirst, and then the others, when those are known.
func TestHistory_TheOldestOfTooManyComeFirst(t *testing.T) {
	server := sendertest.GitHub()
	defer server.Close()
	id := server.Add(sendertest.Hook{URL: "https://hooks.example.com/x", Events: []string{"push"}, Active: true})
	const most, all = 10_000, 10_050
	for n := range all {
		server.Send(sendertest.Sent{Hook: id, GUID: fmt.Sprint(n), Event: "push", At: time.Now(), Body: []byte(`{}`)})
	}
	api, hook := history(t, "github", "acme/site", server)
	since := time.Now().Add(-time.Hour)
	first, more, err := api.Sent(t.Context(), hook, since, everything)
	if err != nil || !more || len(first) != most || first[0].Key != fmt.Sprint(most-1) || first[most-1].Key != "0" {
		t.Fatalf("%d, %v, %v", len(first), more, err)
	}
	known := map[string]bool{}
	for _, s := range first {
		known[s.Key] = true
	}
	rest, more, err := api.Sent(t.Context(), hook, since, func(s *sender.Sent) bool { return !known[s.Key] })
	if err != nil || more || len(rest) != all-most {
		t.Errorf("%d, %v, %v", len(rest), more, err)
	}
}
