package admin

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestRoutes_AreAllBehindTheSameDoor tries each route as an attacker would.
func TestRoutes_AreAllBehindTheSameDoor(t *testing.T) {
	b := sample()
	var asked atomic.Int64
	d := open(t, b, Options{
		Pages: withPages, Token: []byte("t0ken"), Tokens: []Token{{Name: "board", Secret: []byte("look"), Scope: ScopeRead}},
		// An hour between two requests, so that the bound on wrong tokens is not what is tested.
		now: func() time.Time { return noon.Add(time.Duration(asked.Add(1)) * time.Hour) },
	})
	a := &api{backend: b, feed: NewFeed(), pages: noPages{}}
	const bearer, readOnly = "Authorization: Bearer t0ken", "Authorization: Bearer look"
	for _, r := range a.table() {
		path := prefix + strings.NewReplacer("{id}", id(11), "{hook}", "site", "{rule}", "deploy").Replace(r.path)
		tries := []struct {
			how    string
			status int
			header []string
		}{
			{"a name that resolves to us (DNS rebinding)", 421, []string{bearer, "Host: evil.example"}},
			{"nobody", 401, nil},
			{"a wrong token", 401, []string{"Authorization: Bearer guess"}},
			{"two tokens at once", 401, []string{"Authorization: Bearer guess", bearer}},
			{"a token in the wrong scheme", 401, []string{"Authorization: Basic t0ken"}},
		}
		if r.method == "POST" {
			tries = append(tries, []struct {
				how    string
				status int
				header []string
			}{
				{"a page of another site (CSRF)", 403, []string{bearer, "Sec-Fetch-Site: cross-site"}},
				{"a page of another origin", 403, []string{bearer, "Origin: https://evil.example"}},
			}...)
		}
		if r.scope != ScopeRead {
			tries = append(tries, struct {
				how    string
				status int
				header []string
			}{"a token that may only read", 403, []string{readOnly}})
		}
		for _, try := range tries {
			if got := d.ask(r.method, path, try.header...); got.status != try.status || got.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s %s by %s: %d %s", r.method, path, try.how, got.status, got.body)
			}
		}
		other := map[string]string{"GET": "POST", "POST": "GET"}[r.method]
		if r.path == "replays" || r.path == "configurations" {
			other = "DELETE"
		}
		if got := d.ask(other, path, bearer); got.status != 405 && got.status != 404 {
			t.Errorf("%s %s: %d", other, path, got.status)
		}
	}
	if changes := b.seen(); len(changes) != 0 || len(b.audits) != 0 || len(b.replays) != 0 {
		t.Errorf("something was changed: %q, %+v", changes, b.audits)
	}
}

// TestBodies_AreReadStrictly holds the routes that read one against what is none.
func TestBodies_AreReadStrictly(t *testing.T) {
	b := sample()
	d := open(t, b, Options{})
	const asJSON = "Content-Type: application/json"
	for _, path := range []string{"replays", "explain"} {
		for _, c := range []struct {
			how, body, header string
			status            int
			says              string
		}{
			{"a form, which a page can post", `hook=site`, "Content-Type: application/x-www-form-urlencoded", 415, `the body must be application/json`},
			{"text, which a page can post", `{"hook":"site"}`, "Content-Type: text/plain", 415, `the body must be application/json`},
			{"no type", `{"hook":"site"}`, "Accept: */*", 415, `the body must be application/json`},
			{"no JSON", `{`, asJSON, 400, `the body: no JSON, at byte 1`},
			{"a key that is not known", `{"hooks":"site"}`, asJSON, 400, `the body: unknown member \"/hooks\"`},
			{"a key twice", `{"hook":"site","hook":"other"}`, asJSON, 400, `the body: member \"/hook\" is there twice`},
			{"the wrong type", `{"hook":7}`, asJSON, 400, `the body: \"/hook\" cannot be a number`},
			{"two documents", `{"hook":"site"}{}`, asJSON, 400, `the body: no JSON, at byte 15`},
			{"deep nesting", strings.Repeat("[", 100_000), asJSON, 400, `the body: `},
			{"nothing", ``, asJSON, 400, `the body: `},
		} {
			if got := d.send("POST", prefix+path, c.body, c.header); got.status != c.status || len(got.body) > 2000 || !strings.Contains(got.body, c.says) || strings.Contains(got.body, "Go ") {
				t.Errorf("%s with %s: %d %.300s", path, c.how, got.status, got.body)
			}
		}
	}
	a := &api{backend: b, feed: NewFeed(), log: slog.New(slog.DiscardHandler), now: time.Now}
	large := httptest.NewRequest("POST", prefix+"replays", strings.NewReader(`{"hook":"`+strings.Repeat("x", maxBody)+`"}`))
	large.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	harden(a.recorded("replay", a.startReplay)).ServeHTTP(answer, large)
	if answer.Code != 413 {
		t.Errorf("too much: %d %s", answer.Code, answer.Body)
	}
	if len(b.replays) != 0 {
		t.Errorf("something was begun: %+v", b.replays)
	}
}
