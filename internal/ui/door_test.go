package ui_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/ui"
)

// every page and action there is; {id} of no delivery or job.
var (
	allPages = []string{
		"/", "/deliveries", "/jobs", "/hooks", "/hooks/site", "/bench", "/rejected", "/config", "/config/plan", "/audit", "/nothing",
		"/deliveries/019c0000-0000-7000-8000-000000000000", "/deliveries/x/replay", "/deliveries/x/body", "/jobs/x", "/jobs/x/output",
	}
	allActions = []string{
		"/deliveries/x/replay", "/jobs/x/retry", "/jobs/x/cancel", "/hooks/site/pause", "/hooks/site/resume",
		"/hooks/site/rules/deploy/pause", "/hooks/site/rules/deploy/resume", "/config/reload", "/logout",
	}
)

func TestPages_AreClosedWithoutASession(t *testing.T) {
	v := serve(t, hooks).visitor()
	for _, path := range allPages {
		p := v.do("GET", path, nil)
		if p.StatusCode != http.StatusSeeOther || !strings.HasPrefix(p.Header.Get("Location"), "/login") {
			t.Errorf("GET %s: %d to %q", path, p.StatusCode, p.Header.Get("Location"))
		}
		if p = v.do("GET", path, nil, "HX-Request", "true"); p.StatusCode != http.StatusUnauthorized {
			t.Errorf("GET %s by a script: %d", path, p.StatusCode)
		}
		if p = v.do("GET", path, nil, "Authorization", "Bearer "+token); p.StatusCode != http.StatusSeeOther {
			t.Errorf("GET %s with a token of the API: %d", path, p.StatusCode)
		}
	}
	for _, path := range allActions {
		if p := v.do("POST", path, url.Values{}); p.StatusCode != http.StatusSeeOther {
			t.Errorf("POST %s: %d", path, p.StatusCode)
		}
	}
	if p := v.do("GET", "/live", nil); p.StatusCode != http.StatusUnauthorized {
		t.Errorf("GET /live: %d", p.StatusCode)
	}
}

func TestPages_RefuseOtherHostsAndOrigins(t *testing.T) {
	v := serve(t, hooks).visitor()
	v.logIn()
	csrf := url.Values{"csrf": {v.csrf()}}
	for _, tt := range []struct {
		what, method, path string
		header             []string
		want               int
	}{
		{"another host", "GET", "/", []string{"Host", "evil.example"}, http.StatusMisdirectedRequest},
		{"another host's action", "POST", "/config/reload", []string{"Host", "evil.example:80"}, http.StatusMisdirectedRequest},
		{"another site's form", "POST", "/config/reload", []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		{"another origin's form", "POST", "/config/reload", []string{"Origin", "https://evil.example"}, http.StatusForbidden},
		{"another origin's login", "POST", "/login", []string{"Origin", "https://evil.example"}, http.StatusForbidden},
		{"our own form", "POST", "/config/reload", []string{"Origin", v.base, "Sec-Fetch-Site", "same-origin"}, http.StatusSeeOther},
	} {
		var form url.Values
		if tt.method == "POST" {
			form = csrf
		}
		if p := v.do(tt.method, tt.path, form, tt.header...); p.StatusCode != tt.want {
			t.Errorf("%s: %d, want %d", tt.what, p.StatusCode, tt.want)
		}
	}
}

func TestActions_WantTheirOwnForm(t *testing.T) {
	s := serve(t, hooks)
	v, other := s.visitor(), s.visitor()
	v.logIn()
	other.logIn()
	for _, path := range allActions {
		for what, form := range map[string]url.Values{
			"no token": {}, "another session's token": {"csrf": {other.csrf()}},
		} {
			if p := v.do("POST", path, form); p.StatusCode != http.StatusForbidden {
				t.Errorf("POST %s with %s: %d", path, what, p.StatusCode)
			}
		}
		if p := v.do("GET", path, nil); path != "/deliveries/x/replay" && p.StatusCode != http.StatusNotFound && p.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("GET %s: %d", path, p.StatusCode)
		}
	}
	if p := v.do("POST", "/hooks/site/pause", url.Values{"csrf": {v.csrf()}}); p.StatusCode != http.StatusSeeOther {
		t.Errorf("with its own token: %d %s", p.StatusCode, p.body)
	}
	status, err := s.client.Status(t.Context())
	if err != nil || len(status.Paused) != 1 {
		t.Errorf("paused: %v, %v", status.Paused, err)
	}
}

func TestPages_CarryThePolicy(t *testing.T) {
	v := serve(t, hooks).visitor()
	check := func(path string) {
		t.Helper()
		h := v.do("GET", path, nil).Header
		policy := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: the policy %q has no %s", path, policy, want)
			}
		}
		if strings.Contains(policy, "unsafe") || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", path, h)
		}
	}
	check("/login")
	v.logIn()
	for _, path := range allPages {
		check(path)
	}
}

func TestLogin_ByLinkOnceAndByToken(t *testing.T) {
	s := serve(t, hooks)
	link, err := s.client.LoginLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, key, _ := strings.Cut(link.Path, "link=")
	first, second := s.visitor(), s.visitor()
	if p := first.do("GET", link.Path, nil); p.StatusCode != http.StatusOK || len(p.Cookies()) != 0 {
		t.Errorf("looking at the link: %d with cookies %v", p.StatusCode, p.Cookies())
	}
	p := first.do("POST", "/login", url.Values{"link": {key}})
	cookie := p.Header.Get("Set-Cookie")
	for _, want := range []string{"__Host-tenterhook=", "Path=/", "Max-Age=43200", "HttpOnly", "Secure", "SameSite=Strict"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("the cookie %q has no %s", cookie, want)
		}
	}
	if strings.Contains(cookie, "Domain") {
		t.Errorf("the cookie %q has a domain", cookie)
	}
	if p := second.do("POST", "/login", url.Values{"link": {key}}); p.StatusCode != http.StatusUnauthorized {
		t.Errorf("the link a second time: %d", p.StatusCode)
	}
	if p := second.do("POST", "/login", url.Values{"token": {"wrong"}}); p.StatusCode != http.StatusUnauthorized || !strings.Contains(p.body, "wrong token") {
		t.Errorf("a wrong token: %d %s", p.StatusCode, p.body)
	}
	if p := second.do("POST", "/login", url.Values{"token": {token}, "next": {"https://evil.example/"}}); p.StatusCode != http.StatusSeeOther || strings.Contains(p.Header.Get("Location"), "evil") {
		t.Errorf("the token: %d to %q", p.StatusCode, p.Header.Get("Location"))
	}
	if p := second.do("GET", "/", nil); p.StatusCode != http.StatusOK {
		t.Errorf("logged in by token: %d", p.StatusCode)
	}
	if p := second.do("POST", "/logout", url.Values{"csrf": {second.csrf()}}); p.StatusCode != http.StatusSeeOther {
		t.Errorf("log out: %d", p.StatusCode)
	}
	if p := second.do("GET", "/", nil); p.StatusCode != http.StatusSeeOther {
		t.Errorf("logged out: %d", p.StatusCode)
	}
}

func TestSessions_ReachAsFarAsTheirToken(t *testing.T) {
	s := serve(t, hooks)
	board := s.visitor()
	if p := board.do("POST", "/login", url.Values{"token": {boardToken}}); p.StatusCode != http.StatusSeeOther {
		t.Fatalf("log in: %d", p.StatusCode)
	}
	csrf := csrfField.FindStringSubmatch(board.do("GET", "/", nil).body)[1] // of the button to log out
	for _, path := range allActions {
		want := http.StatusForbidden
		if path == "/logout" {
			continue
		}
		if p := board.do("POST", path, url.Values{"csrf": {csrf}}); p.StatusCode != want {
			t.Errorf("POST %s with a session that may read: %d", path, p.StatusCode)
		}
	}
	if p := board.do("GET", "/config/plan", nil); p.StatusCode != http.StatusForbidden {
		t.Errorf("GET /config/plan: %d", p.StatusCode)
	}
	for _, path := range []string{"/", "/hooks/site", "/config", "/jobs"} {
		p := board.do("GET", path, nil)
		if p.StatusCode != http.StatusOK || strings.Contains(p.body, ">Pause<") || strings.Contains(p.body, "Reload now") {
			t.Errorf("GET %s: %d, with buttons that do nothing", path, p.StatusCode)
		}
	}
}

func TestLogin_SlowsDownGuesses(t *testing.T) {
	v := serve(t, hooks).visitor()
	for range 10 {
		v.do("POST", "/login", url.Values{"token": {"wrong"}})
	}
	if p := v.do("POST", "/login", url.Values{"token": {token}}); p.StatusCode != http.StatusUnauthorized || !strings.Contains(p.body, "too many wrong tokens") {
		t.Errorf("after ten wrong ones: %d", p.StatusCode)
	}
}

// What is refused changes nothing, and is no entry of the audit log: whoever reaches the page could
// push everything else out of it.
func TestLogin_GuessesDoNotFillTheAuditLog(t *testing.T) {
	v := serve(t, hooks).visitor()
	v.logIn()
	for _, form := range []url.Values{{"link": {"wrong"}}, {"token": {"wrong"}}} {
		for range 12 {
			if p := v.do("POST", "/login", form); p.StatusCode != http.StatusUnauthorized {
				t.Fatalf("a wrong one: %d", p.StatusCode)
			}
		}
	}
	page := v.do("GET", "/audit", nil)
	if n := strings.Count(page.body, "<tr data-row>"); n != 2 { // the link, and the login by it
		t.Errorf("%d entries: %s", n, page.body)
	}
}

func TestBench_IsNotForReaders(t *testing.T) {
	s := serve(t, hooks)
	v := s.visitor()
	if p := v.do("POST", "/login", url.Values{"token": {boardToken}}); p.StatusCode != http.StatusSeeOther {
		t.Fatalf("log in: %d", p.StatusCode)
	}
	id := s.push("/github/Hello-World", readPayload(t, "github-push")).Delivery
	path := "/bench?" + url.Values{"delivery": {id}, "rule": {"site/deploy"}, "was": {"site/deploy"}, "match": {`payload.repository.name startsWith "Hello"`}}.Encode()
	if p := v.do("GET", path, nil); p.StatusCode != http.StatusOK || strings.Contains(p.body, "with this condition") || !strings.Contains(p.body, "for reading only") {
		t.Errorf("a reader tries a condition: %d", p.StatusCode)
	}
	if p := v.do("GET", "/deliveries/"+id, nil); p.StatusCode != http.StatusOK {
		t.Errorf("a reader reads: %d", p.StatusCode)
	}
}

func TestLive_EndsWithItsSession(t *testing.T) {
	v := serve(t, hooks).visitor()
	v.logIn()
	csrf := v.csrf()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.base+"/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := v.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("GET /live: %d", response.StatusCode)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, response.Body) // however it ends
	}()
	v.do("POST", "/logout", url.Values{"csrf": {csrf}})
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("it goes on after the session")
	}
}

func TestPages_APanicIsOneFailedPage(t *testing.T) {
	var log strings.Builder
	panicked := 0
	// Without a door the login is at fault.
	u := ui.New(nil, ui.Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Panicked: func() { panicked++ }})
	answer := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/login", strings.NewReader("token=s3cret"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	u.ServeHTTP(answer, r)
	if answer.Code != http.StatusInternalServerError || !strings.Contains(answer.Body.String(), "by a fault of this program") {
		t.Errorf("answered %d %s", answer.Code, answer.Body)
	}
	if said := log.String(); panicked != 1 || strings.Count(said, "level=ERROR") != 1 || !strings.Contains(said, "nil pointer") || strings.Contains(said, "s3cret") {
		t.Errorf("%d counted, the log: %s", panicked, said)
	}
}
