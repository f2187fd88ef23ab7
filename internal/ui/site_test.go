package ui_test

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/daemon"
)

const (
	secret = "0123456789abcdef0123456789abcdef"
	token  = "token-0123456789abcdef0123456789"

	boardToken = "board-0123456789abcdef0123456789" // of scope read
)

// hooks is what most tests run with: a rule that succeeds, one that does not match, one that
// cannot be evaluated, one that fails and waits, one that runs until it is stopped.
const hooks = `hooks:
  - name: site
    path: /github/{repo}
    provider: github
    secret: [SECRET, other-0123456789abcdef0123456789ab]
    rules:
      - name: deploy
        match: event == "push" && payload.repository.name == "Hello-World"
        run: 'printf "\033[32mgreen\033[0m \033]0;title\007<script>pwned()</script>\n"; cat >/dev/null'
        concurrency: {key: "deploy-${{ params.repo }}", limit: 1}
      - name: label
        match: event == "issues" && payload.issue.numbr > 1
        run: echo label
      - name: retried
        match: event == "ping"
        run: 'echo one >&2; exit 3'
        retry: {attempts: 2, initial: 1h}
  - name: slow
    path: /slow
    provider: github
    secret: SECRET
    rules:
      - name: sleeps
        run: 'echo started; exec sleep 600'
        concurrency: {key: one, limit: 1}
  - name: chat
    path: /chat
    verify: none
    rules: [{name: say, match: 'payload.text == "hello"', run: echo said}]
`

// site is a real daemon in this process with its pages.
type site struct {
	t      *testing.T
	dir    string
	daemon *daemon.Daemon
	client *admin.Client
	base   string // of the pages
	store  string // its URL
}

// serve runs the daemon on a configuration until the test ends.
func serve(t *testing.T, hooks string) *site {
	t.Helper()
	return serveOn(t, "", hooks)
}

// serveOn is serve on a store. before is what is done first to the folder that the store will be in.
func serveOn(t *testing.T, store, hooks string, before ...func(dir string)) *site {
	t.Helper()
	dir, err := os.MkdirTemp("", "site")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &site{t: t, dir: dir, store: cmp.Or(store, "sqlite:"+dir+"/t.db")}
	s.configure(hooks)
	for _, do := range before {
		do(dir)
	}
	d, err := daemon.New(t.Context(), daemon.Options{
		Config: config.Options{Path: filepath.Join(dir, "hooks.yaml")}, Log: slog.New(slog.DiscardHandler), Version: "v1.2.3",
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	quick, quickly := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx, quick) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		quickly() // jobs that sleep need not be waited for
		if err := <-done; err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	s.daemon, s.base = d, "http://"+d.AdminAddr().String()
	s.client = admin.NewClient(d.AdminAddr().String(), token)
	t.Cleanup(func() { _ = s.client.Close() })
	return s
}

// configure writes the file that the daemon reads.
func (s *site) configure(hooks string) {
	s.t.Helper()
	content := fmt.Sprintf("server: {listen: '127.0.0.1:0', drain: 1s}\nadmin: {listen: '127.0.0.1:0', token: %s, tokens: [{name: board, token: %s, scope: read}]}\nstore: {url: '%s'}\nworkers: 4\n", token, boardToken, s.store) +
		strings.ReplaceAll(hooks, "SECRET", secret)
	if err := os.WriteFile(filepath.Join(s.dir, "hooks.yaml"), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// payload is a delivery that a real sender sent.
type payload struct {
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

func readPayload(t *testing.T, name string) payload {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "payloads", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var p payload
	if err := json.Unmarshal(content, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// sent is the daemon's answer to a delivery.
type sent struct {
	Delivery string
	Jobs     []string
	Error    string
}

var deliveryNumber int

// push sends a payload, signed as GitHub signs.
func (s *site) push(path string, p payload) sent {
	s.t.Helper()
	request, err := http.NewRequest(http.MethodPost, "http://"+s.daemon.Addr().String()+path, strings.NewReader(p.Body))
	if err != nil {
		s.t.Fatal(err)
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(p.Body))
	deliveryNumber++
	request.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	request.Header.Set("X-GitHub-Delivery", "d"+strconv.Itoa(deliveryNumber))
	for name, value := range p.Headers {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	var got sent
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil {
		s.t.Fatal(err)
	}
	return got
}

// ended waits until a job is over.
func (s *site) ended(id string) admin.JobDetail {
	s.t.Helper()
	var j admin.JobDetail
	within(s.t, "job "+id+" to end", func() bool {
		var err error
		if j, err = s.client.Job(s.t.Context(), id); err != nil {
			s.t.Fatal(err)
		}
		return j.State.Terminal()
	})
	return j
}

// within polls until ok, for what another goroutine or process brings about.
func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
		<-tick.C
	}
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always marshals
	}
	return string(b)
}

// visitor is somebody without a browser, with the cookies of one.
type visitor struct {
	*site
	http *http.Client
}

func (s *site) visitor() *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	v := &visitor{s, &http.Client{Jar: secureJar{jar}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	s.t.Cleanup(v.http.CloseIdleConnections)
	return v
}

// secureJar hands Secure cookies to loopback over plain HTTP, as browsers do.
type secureJar struct{ *cookiejar.Jar }

func secured(u *url.URL) *url.URL {
	over := *u
	over.Scheme = "https"
	return &over
}

func (j secureJar) SetCookies(u *url.URL, c []*http.Cookie) { j.Jar.SetCookies(secured(u), c) }
func (j secureJar) Cookies(u *url.URL) []*http.Cookie       { return j.Jar.Cookies(secured(u)) }

// page is an answer with its body.
type page struct {
	*http.Response
	body string
}

func (v *visitor) do(method, path string, form url.Values, header ...string) page {
	v.t.Helper()
	request, err := http.NewRequest(method, v.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			request.Host = header[i+1]
			continue
		}
		request.Header.Set(header[i], header[i+1])
	}
	response, err := v.http.Do(request)
	if err != nil {
		v.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return page{response, string(body)}
}

func (v *visitor) logIn() {
	v.t.Helper()
	link, err := v.client.LoginLink(v.t.Context())
	if err != nil {
		v.t.Fatal(err)
	}
	_, key, _ := strings.Cut(link.Path, "link=")
	if p := v.do("POST", "/login", url.Values{"link": {key}}); p.StatusCode != http.StatusSeeOther {
		v.t.Fatalf("log in: %d %s", p.StatusCode, p.body)
	}
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// csrf is the token of the forms of this visitor's session.
func (v *visitor) csrf() string {
	v.t.Helper()
	found := csrfField.FindStringSubmatch(v.do("GET", "/config", nil).body)
	if found == nil {
		v.t.Fatal("the page has no form with a token")
	}
	return found[1]
}
