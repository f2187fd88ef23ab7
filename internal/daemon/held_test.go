package daemon_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/pull"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/sqlite"
)

// The tokens of takers.
const (
	laptopToken = "laptop-token-0123456789abcdef"
	serverToken = "server-token-0123456789abcdef"
)

// freePort is an address that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// relayConfig holds the deliveries of two hooks, each for a taker.
func relayConfig(dir, listen string) string {
	return header(dir) + fmt.Sprintf(`
relay:
  listen: '%s'
  lease: 5s
  takers:
    - {name: laptop, token: %s, hooks: [site]}
    - {name: server, token: %s, hooks: [other]}
hooks:
  - {name: site, path: /github, provider: github, secret: %s, hold: true}
  - {name: other, path: /other, provider: gitlab, secret: %s, hold: {most: 3}}
`, listen, laptopToken, serverToken, secret, secret)
}

func startRelay(t *testing.T) *running {
	t.Helper()
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), relayConfig(dir, "127.0.0.1:0"))
	return startIn(t, dir)
}

// ask is a request of a taker.
func (r *running) ask(token, path string, body, into any) (status int) {
	r.t.Helper()
	data, err := json.Marshal(body)
	must(r.t, err)
	return r.askRaw(token, http.MethodPost, path, data, into)
}

func (r *running) askRaw(token, method, path string, body []byte, into any) (status int) {
	r.t.Helper()
	req, err := http.NewRequest(method, "http://"+r.daemon.RelayAddr()+path, bytes.NewReader(body))
	must(r.t, err)
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	response, err := http.DefaultClient.Do(req)
	must(r.t, err)
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	must(r.t, err)
	if into != nil && response.StatusCode == http.StatusOK {
		must(r.t, json.Unmarshal(answer, into))
	}
	return response.StatusCode
}

func (r *running) heldOf(hook string) admin.HeldStatus {
	r.t.Helper()
	for _, h := range r.status().Held {
		if h.Hook == hook {
			return h
		}
	}
	r.t.Fatalf("hook %q holds nothing", hook)
	return admin.HeldStatus{}
}

// TestRelay_OnlyItsOwn: a token takes and acknowledges deliveries of its hooks, and nothing else is
// told to anybody.
func TestRelay_OnlyItsOwn(t *testing.T) {
	t.Parallel()
	r := startRelay(t)
	laptop, server := "Bearer "+laptopToken, "Bearer "+serverToken
	body := `{"a": 1}`
	if a := r.push("/github", "one", "push", body); a.status != 202 || a.json.Status != "accepted" || len(a.json.Jobs) != 0 {
		t.Fatalf("answer %d %s", a.status, a.body)
	}
	if a := r.push("/github", "one", "push", body); a.json.Status != "duplicate" {
		t.Errorf("again: %d %s", a.status, a.body)
	}
	if a := r.send("POST", "/github", body, map[string]string{"X-Hub-Signature-256": sign("wrong", body), "X-GitHub-Delivery": "x"}); a.status != 401 {
		t.Errorf("forged: %d", a.status)
	}

	one := pull.TakeRequest{Hooks: []string{"site"}, Most: 10}
	for name, token := range map[string]string{"none": "", "another": "Bearer " + secret, "basic": "Basic " + laptopToken, "bare": laptopToken, "empty": "Bearer ", "lower": "bearer " + laptopToken} {
		if status := r.ask(token, pull.TakePath, one, nil); status != 401 {
			t.Errorf("token %s: %d", name, status)
		}
	}
	for _, hooks := range [][]string{nil, {}, {"other"}, {"site", "other"}, {"nothing"}, {""}} {
		if status := r.ask(laptop, pull.TakePath, pull.TakeRequest{Hooks: hooks}, nil); status != 403 {
			t.Errorf("hooks %q: %d", hooks, status)
		}
	}
	for want, path := range map[int]string{404: "/api/v1/deliveries", 405: pull.TakePath} {
		method := http.MethodGet
		if want == 404 {
			method = http.MethodPost
		}
		if status := r.askRaw(laptop, method, path, nil, nil); status != want {
			t.Errorf("%s %s: %d", method, path, status)
		}
	}
	for body, want := range map[string]int{"": 400, "[]": 400, `{"hooks": 1}`: 400, `"` + strings.Repeat("x", 100<<10) + `"`: 413, `{"hooks":["site"],"most":-5,"wait":-1e300}`: 200} {
		var got pull.TakeAnswer
		if status := r.askRaw(laptop, http.MethodPost, pull.TakePath, []byte(body), &got); status != want {
			t.Errorf("body %.30q: %d", body, status)
		}
		if want != 200 {
			continue
		}
		d := got.Deliveries[0]
		if len(got.Deliveries) != 1 || string(d.Body) != `{"a": 1}` || d.Headers.Get("X-Hub-Signature-256") != sign(secret, `{"a": 1}`) || d.Path != "/github" || d.Tries != 1 || got.Waiting["site"] != 1 {
			t.Errorf("taken %+v", got)
		}
		// Another's token cannot acknowledge it, nor can its own as another hook's.
		for _, token := range []string{server, laptop} {
			if status := r.ask(token, pull.SettlePath, pull.SettleRequest{Hooks: []string{"other"}, Taken: []string{d.ID}}, nil); status == 200 && token == laptop {
				t.Errorf("settled as another hook's: %d", status)
			}
		}
		if h := r.heldOf("site"); h.Waiting != 1 || h.Taken != 1 || h.Takers[0].SeenAt.IsZero() {
			t.Errorf("held %+v", h)
		}
		var settled pull.SettleAnswer
		if r.ask(laptop, pull.SettlePath, pull.SettleRequest{Hooks: []string{"site"}, Taken: []string{d.ID}}, &settled); settled.Settled != 1 {
			t.Errorf("settled %+v", settled)
		}
	}
	if h := r.heldOf("site"); h.Waiting != 0 {
		t.Errorf("held %+v", h)
	}
	// A person can hand it out once more.
	list, _, err := r.client.Deliveries(t.Context(), store.Filter{Hook: "site"})
	must(t, err)
	_, err = r.client.Replay(t.Context(), list[0].ID, "")
	must(t, err)
	var again pull.TakeAnswer
	if r.ask(laptop, pull.TakePath, one, &again); len(again.Deliveries) != 1 || again.Deliveries[0].Tries != 2 {
		t.Errorf("again %+v", again)
	}
}

// TestRelay_WhatIsASecretIsNotInItsStore: GitLab's token is the secret itself. It is in what a taker
// gets, and on no disk.
func TestRelay_WhatIsASecretIsNotInItsStore(t *testing.T) {
	t.Parallel()
	r := startRelay(t)
	head := map[string]string{"X-Gitlab-Token": secret, "X-Gitlab-Event": "Push Hook", "Content-Type": "application/json"}
	for i := range 4 {
		a := r.send("POST", "/other", fmt.Sprintf(`{"n":%d}`, i), head)
		if full := a.status == 503 && a.json.Error == "hold_full" && a.header.Get("Retry-After") != ""; a.status != 202 && (i < 3 || !full) || i == 3 && !full {
			t.Errorf("%d: %d %s", i, a.status, a.body)
		}
	}
	var got pull.TakeAnswer
	if r.ask("Bearer "+serverToken, pull.TakePath, pull.TakeRequest{Hooks: []string{"other"}, Most: 1}, &got); len(got.Deliveries) != 1 || got.Deliveries[0].Headers.Get("X-Gitlab-Token") != secret {
		t.Errorf("taken %+v", got)
	}
	must(t, r.stop())
	db, err := sqlite.Open(t.Context(), filepath.Join(r.dir, "t.db"), sqlite.Options{})
	must(t, err)
	must(t, db.Close())
	for _, name := range []string{"t.db", "t.db-wal"} {
		if strings.Contains(readOr(filepath.Join(r.dir, name)), secret) {
			t.Errorf("%s has the secret", name)
		}
	}
	if log := r.log.String(); strings.Contains(log, secret) || strings.Contains(log, serverToken) {
		t.Error("the log has a secret")
	}
}

// TestRelay_ATakerThatWaitsIsGivenAtOnce, and a stop does not wait for it.
func TestRelay_ATakerThatWaitsIsGivenAtOnce(t *testing.T) {
	t.Parallel()
	r := startRelay(t)
	got := make(chan pull.TakeAnswer)
	wait := func() {
		var a pull.TakeAnswer
		r.ask("Bearer "+laptopToken, pull.TakePath, pull.TakeRequest{Hooks: []string{"site"}, Most: 1, Wait: 30}, &a)
		got <- a
	}
	go wait()
	r.eventually("a taker", func() bool { return !r.heldOf("site").Takers[0].SeenAt.IsZero() })
	sent := time.Now()
	r.push("/github", "one", "push", "{}")
	if a := <-got; len(a.Deliveries) != 1 || time.Since(sent) > 4*time.Second {
		t.Errorf("%+v after %v", a, time.Since(sent))
	}
	go wait()
	r.eventually("a taker", func() bool { return time.Since(r.heldOf("site").Takers[0].SeenAt.Time) < time.Second })
	began := time.Now()
	must(t, r.stop())
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stopped after %v", took)
	}
	<-got
}

// takerConfig takes from a relay.
func takerConfig(dir, relay string) string {
	return header(dir) + pullHook(dir, fmt.Sprintf("{tenterhook: 'http://%s', token: %s}\n    retry: {attempts: 3, initial: 100ms}", relay, laptopToken))
}

// TestRelay_TakersVerifyForThemselves: what the relay's hook lets through with another secret is refused
// by the taker, kept at the relay, and taken once the taker has the secret.
func TestRelay_TakersVerifyForThemselves(t *testing.T) {
	t.Parallel()
	r := startRelay(t)
	dir := shortDir(t)
	file := filepath.Join(dir, "hooks.yaml")
	good := takerConfig(dir, r.daemon.RelayAddr())
	write(t, file, strings.Replace(good, secret, "another-secret-0123456789abcdef", 1))
	k := startIn(t, dir)
	r.push("/github", "one", "push", `{"a": "\u003c"}`)
	r.eventually("a refusal", func() bool { return r.heldOf("site").Refused == 1 })
	if s := k.source(); s.Refused != 1 || s.ConnectedAt.IsZero() || s.Kind != "tenterhook" {
		t.Errorf("source %+v", s)
	}
	write(t, file, good)
	_, err := k.client.Reload(t.Context())
	must(t, err)
	list, _, err := r.client.Deliveries(t.Context(), store.Filter{Hook: "site"})
	must(t, err)
	_, err = r.client.Replay(t.Context(), list[0].ID, "")
	must(t, err)
	k.eventually("the run", func() bool { return len(runsIn(dir)) == 1 })
	taken, _, err := k.client.Deliveries(t.Context(), store.Filter{Hook: "site"})
	must(t, err)
	if d := taken[0]; d.Origin != "pull" || d.Key != "one" || d.IP != "127.0.0.1" || d.Secret != 0 || d.Path != "/github" {
		t.Errorf("delivery %+v", d)
	}
	r.eventually("nothing held", func() bool { h := r.heldOf("site"); return h.Waiting == 0 && h.Refused == 0 })
	if log := k.log.String() + r.log.String(); strings.Contains(log, laptopToken) || strings.Contains(log, secret) {
		t.Error("a log has a secret")
	}
}

// TestRelay_NothingIsLostWhenBothAreKilled: the real programs, killed again and again while a sender goes
// on, which tries again what was not acknowledged.
func TestRelay_NothingIsLostWhenBothAreKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes")
	}
	t.Parallel()
	const all, kills = 200, 3
	relayDir, takerDir, listen := shortDir(t), shortDir(t), freePort(t)
	write(t, filepath.Join(relayDir, "hooks.yaml"), relayConfig(relayDir, listen))
	write(t, filepath.Join(takerDir, "hooks.yaml"), takerConfig(takerDir, listen))
	r, k := launch(t, relayDir), launch(t, takerDir)
	defer func() { r.kill(); k.kill() }()
	var url atomic.Value
	url.Store(r.url)
	sent := make(chan int)
	go func() {
		defer close(sent)
		for i := range all {
			body := fmt.Sprintf(`{"n":%d}`, i)
			for {
				a, err := send("POST", url.Load().(string)+"/github", body, map[string]string{
					"X-Hub-Signature-256": sign(secret, body), "X-GitHub-Delivery": fmt.Sprintf("key-%03d", i), "X-GitHub-Event": "push", "Content-Type": "application/json",
				})
				if err == nil && a.status/100 == 2 {
					break
				}
				<-time.After(20 * time.Millisecond) // as senders do
			}
			sent <- i
		}
	}()
	each := all / (2*kills + 1)
	for i := range sent {
		switch {
		case i == 0 || i%each != 0:
		case (i/each)%2 == 1:
			r.kill()
			r = launch(t, relayDir)
			url.Store(r.url)
		default:
			k.kill()
			k = launch(t, takerDir)
		}
	}
	taken := func() map[string]int {
		keys := map[string]int{}
		client := admin.NewClient("unix:"+takerDir+"/admin.sock", "")
		f := store.Filter{Hook: "site", Limit: 500}
		list, _, err := client.Deliveries(t.Context(), f)
		if err != nil {
			return keys
		}
		for _, d := range list {
			keys[d.Key]++
		}
		return keys
	}
	within(t, 90*time.Second, "all to be taken", func() bool { return len(taken()) == all })
	for key, n := range taken() {
		if n != 1 {
			t.Errorf("%s was stored %d times", key, n)
		}
	}
	client := admin.NewClient("unix:"+relayDir+"/admin.sock", "")
	within(t, time.Minute, "nothing held", func() bool {
		s, err := client.Status(t.Context())
		return err == nil && s.Held[0].Waiting == 0
	})
	within(t, time.Minute, "all to have run", func() bool {
		ran := map[string]bool{}
		for _, key := range runsIn(takerDir) {
			ran[key] = true
		}
		return len(ran) == all
	})
	t.Logf("%d deliveries through %d kills of the relay and %d of the taker, 0 lost", all, kills, kills)
}
