package daemon_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/pull/pulltest"
	"github.com/tenterhook/tenterhook/internal/sender/sendertest"
	"github.com/tenterhook/tenterhook/internal/store"
)

// pullHook is a hook that takes its deliveries from somewhere, and whose runs leave a line.
func pullHook(dir, pull string) string {
	return fmt.Sprintf(`
hooks:
  - name: site
    path: /github
    provider: github
    secret: %s
    pull: %s
    match: event == "push"
    run: printf '%%s\n' "$KEY" >> '%s/runs'
    env: {KEY: "${{ delivery.key }}"}
`, secret, pull, dir)
}

func runsIn(dir string) []string {
	text, _ := os.ReadFile(filepath.Join(dir, "runs"))
	return strings.Fields(string(text))
}

// signed sends as GitHub does, to wherever.
func signed(t *testing.T, url, key, body, secret string) {
	t.Helper()
	_, err := send("POST", url, body, map[string]string{
		"X-Hub-Signature-256": sign(secret, body), "X-GitHub-Delivery": key, "X-GitHub-Event": "push", "Content-Type": "application/json",
	})
	must(t, err)
}

func (r *running) source() admin.Source {
	r.t.Helper()
	s := r.status().Sources
	if len(s) != 1 {
		r.t.Fatalf("sources %+v", s)
	}
	return s[0]
}

// TestPull_ChannelsAreVerifiedAsRequestsAre over smee, which writes the JSON anew, and gosmee, which
// does not: what is forged is refused, what comes twice runs once, a changed channel is changed to
// by a reload, and one that is gone is left.
func TestPull_ChannelsAreVerifiedAsRequestsAre(t *testing.T) {
	t.Parallel()
	for kind, gosmee := range map[string]bool{"smee": false, "gosmee": true} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			first, second := pulltest.New(gosmee), pulltest.New(gosmee)
			defer first.Close()
			defer second.Close()
			dir := shortDir(t)
			file := filepath.Join(dir, "hooks.yaml")
			write(t, file, header(dir)+pullHook(dir, fmt.Sprintf("{%s: '%s'}", kind, first.ChannelURL())))
			r := startIn(t, dir)
			r.eventually("a listener", func() bool { return first.Listeners() == 1 })
			// Go's way of writing <, which JavaScript reads and writes again in its own.
			first.Rewrite = func(b []byte) []byte {
				return []byte(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", ": ", ":").Replace(string(b)))
			}
			signed(t, first.ChannelURL(), "one", `{"a": "\u003cb\u003e"}`, secret)
			signed(t, first.ChannelURL(), "two", `{"a":"\u003cb"}`, secret)
			signed(t, first.ChannelURL(), "forged", `{"a":1}`, "another-secret-0123456789")
			signed(t, first.ChannelURL(), "two", `{"a":"\u003cb"}`, secret)
			signed(t, first.ChannelURL(), "three", `{"n":[1,2]}`, secret)
			r.eventually("two runs", func() bool { return len(runsIn(dir)) >= 2 })
			r.eventually("what was refused", func() bool { return r.source().Refused+r.source().Taken == 5 })
			list, _, err := r.client.Deliveries(t.Context(), store.Filter{Hook: "site"})
			must(t, err)
			for _, d := range list {
				if d.Origin != "pull" || d.Secret != 0 || d.IP != "0.0.0.0" {
					t.Errorf("delivery %+v", d)
				}
			}
			if len(list) != 3 {
				t.Errorf("%d deliveries", len(list))
			}
			rejects, _, err := r.client.Rejects(t.Context(), store.Filter{Hook: "site"})
			must(t, err)
			if len(rejects) == 0 || rejects[0].Error != "verification_failed" {
				t.Errorf("rejects %+v", rejects)
			}

			write(t, file, header(dir)+pullHook(dir, fmt.Sprintf("{%s: '%s'}", kind, second.ChannelURL())))
			_, err = r.client.Reload(t.Context())
			must(t, err)
			r.eventually("the other channel", func() bool { return first.Listeners() == 0 && second.Listeners() == 1 })
			signed(t, second.ChannelURL(), "four", `{"n":4}`, secret)
			r.eventually("its delivery", func() bool { return strings.Contains(strings.Join(runsIn(dir), " "), "four") })

			write(t, file, header(dir)+strings.Replace(pullHook(dir, "X"), "    pull: X\n", "", 1))
			_, err = r.client.Reload(t.Context())
			must(t, err)
			r.eventually("no listener", func() bool { return second.Listeners() == 0 })
			if s := r.status().Sources; len(s) != 0 {
				t.Errorf("sources %+v", s)
			}
			if log := r.log.String(); strings.Contains(log, pulltest.Channel) || strings.Contains(log, secret) {
				t.Error("the log has a channel's name or a secret")
			}
		})
	}
}

// TestPull_GoesOnAfterAKill: gosmee with Redis keeps what came meanwhile, and the daemon knows how far
// it was.
func TestPull_GoesOnAfterAKill(t *testing.T) {
	t.Parallel()
	server := pulltest.New(true)
	defer server.Close()
	server.Durable = true
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+pullHook(dir, fmt.Sprintf("{gosmee: '%s'}\n    retry: {attempts: 3, initial: 100ms}", server.ChannelURL())))
	p := launch(t, dir)
	eventually(t, "a listener", func() bool { return server.Listeners() == 1 })
	const all = 60
	for i := range all {
		signed(t, server.ChannelURL(), fmt.Sprintf("key-%02d", i), fmt.Sprintf(`{"n":%d}`, i), secret)
		if i == all/3 {
			eventually(t, "some runs", func() bool { return len(runsIn(dir)) > 3 })
		}
		if i == all/2 {
			p.kill()
			eventually(t, "nobody", func() bool { return server.Listeners() == 0 })
		}
	}
	p = launch(t, dir)
	defer p.kill()
	within(t, time.Minute, "all to have run", func() bool {
		ran := map[string]bool{}
		for _, key := range runsIn(dir) {
			ran[key] = true
		}
		return len(ran) == all
	})
}

// TestPull_PollingIsASourceOfItsOwn: GitHub's deliveries to an address that nobody reaches.
func TestPull_PollingIsASourceOfItsOwn(t *testing.T) {
	t.Parallel()
	server := sendertest.GitHub()
	defer server.Close()
	hook := server.Add(sendertest.Hook{URL: "https://nobody.example.com/github", Events: []string{"push"}, Active: true})
	dir := shortDir(t)
	api := fmt.Sprintf("{poll: 10s, address: 'https://nobody.example.com/github'}\n    api: {url: '%s', token: %s, target: acme/site}", server.URL, sendertest.Token)
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+pullHook(dir, api))
	listenedUntil(t, dir, time.Now().Add(-time.Hour), time.Now().Add(-time.Minute))
	for i := range 5 {
		server.Send(sendertest.Sent{Hook: hook, GUID: fmt.Sprintf("guid-%d", i), Event: "push", Status: 0, At: time.Now().Add(-time.Second), Body: fmt.Appendf(nil, `{"n": %d}`, i)})
	}
	r := startIn(t, dir)
	r.eventually("what was sent", func() bool { return len(runsIn(dir)) == 5 })
	r.eventually("its state", func() bool {
		return r.source().Taken == 5 && r.source().Kind == "poll" && !r.source().ConnectedAt.IsZero()
	})
	list, _, err := r.client.Deliveries(t.Context(), store.Filter{Hook: "site"})
	must(t, err)
	if len(list) != 5 || list[0].Origin != "pull" {
		t.Errorf("deliveries %+v", list)
	}
	server.Refuse(sendertest.Refusal{Status: http.StatusUnauthorized, Body: `{"message":"Bad credentials"}`})
	if _, err := r.client.CatchUp(t.Context(), "site", "1h"); err == nil || strings.Contains(err.Error(), sendertest.Token) {
		t.Errorf("refused: %v", err)
	}
}

// TestPull_StripeIsPolledWithoutAnEndpoint: the account's events are enough.
func TestPull_StripeIsPolledWithoutAnEndpoint(t *testing.T) {
	t.Parallel()
	server := sendertest.Stripe()
	defer server.Close()
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+fmt.Sprintf(`
hooks:
  - name: pay
    path: /stripe
    provider: stripe
    secret: %s
    api: {url: '%s', token: %s}
    pull: {poll: 10s}
    match: event == "invoice.paid"
    run: printf '%%s\n' "$KEY" >> '%s/runs'
    env: {KEY: "${{ delivery.key }}"}
`, secret, server.URL, sendertest.Token, dir))
	listenedUntil(t, dir, time.Now().Add(-time.Hour), time.Now().Add(-time.Minute))
	for i, event := range []string{"invoice.paid", "customer.created", "invoice.paid"} {
		id := fmt.Sprintf("evt_%d", i)
		server.Send(sendertest.Sent{GUID: id, Event: event, At: time.Now(), Body: fmt.Appendf(nil, `{"id":"%s","object":"event","type":"%s","created":%d}`, id, event, time.Now().Unix())})
	}
	r := startIn(t, dir)
	r.eventually("the payments", func() bool { return len(runsIn(dir)) == 2 })
	for _, asked := range server.Requests() {
		if strings.Contains(asked, "webhook_endpoints") {
			t.Errorf("asked for %s", asked)
		}
	}
}
