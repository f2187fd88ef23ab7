package action

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// sink is a server that keeps what it was sent.
type sink struct {
	*httptest.Server
	hits   atomic.Int64
	mu     sync.Mutex
	method string
	path   string
	header http.Header
	body   string
}

func newSink(t *testing.T, answer http.HandlerFunc) *sink {
	t.Helper()
	s := &sink{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		s.mu.Lock() // of a request that was given up the handler may still run
		s.method, s.path, s.header, s.body = r.Method, r.URL.String(), r.Header, string(body)
		s.mu.Unlock()
		s.hits.Add(1)
		if answer != nil {
			answer(w, r)
		}
	}))
	t.Cleanup(func() {
		s.Close()
		for _, tr := range transports() {
			tr.(*http.Transport).CloseIdleConnections()
		}
		forgetTargets()
	})
	return s
}

// forgetTargets keeps what one test does to a target, which may be the same name or port, from
// the next.
func forgetTargets() {
	failing.mu.Lock()
	defer failing.mu.Unlock()
	clear(failing.by)
}

func sent(t *testing.T, rule string, secrets ...string) (Result, string) {
	t.Helper()
	a := compiled(t, rule, secrets...)
	out := NewOutput(a.OutputLimit())
	return prepared(t, a, facts(t)).Run(t.Context(), out), string(out.Bytes())
}

func TestHTTP_SendsTheDeliveryUnlessToldOtherwise(t *testing.T) {
	s := newSink(t, nil)
	r, out := sent(t, "http: {url: '"+s.URL+"/a', allow_private: true}")
	if r.Err != nil || r.Status != 200 {
		t.Fatalf("got %+v %s", r, out)
	}
	if s.method != "POST" || s.path != "/a" || s.body != sample || s.header.Get("Content-Type") != "application/json" || !strings.HasPrefix(s.header.Get("Idempotency-Key"), "job-") {
		t.Errorf("sent %s %s %v %q", s.method, s.path, s.header, s.body)
	}
}

func TestHTTP_RendersEveryPart(t *testing.T) {
	s := newSink(t, nil)
	r, _ := sent(t, `
http:
  url: "`+s.URL+`/n/${{ payload.n }}?q=1"
  method: PUT
  headers: {X-Name: "${{ payload.name }}", X-None: "${{ payload.nil }}", User-Agent: mine}
  json: {n: "${{ payload.n }}", text: "n is ${{ payload.n }}", list: "${{ payload.list }}", yes: true, one: 1, missing: "${{ payload.gone }}"}
  allow_private: true
`)
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	if s.method != "PUT" || s.path != "/n/9007199254740993?q=1" || s.header.Get("X-Name") != "O'Hara; rm -rf / $(id)" || s.header.Get("User-Agent") != "mine" {
		t.Errorf("sent %s %s %v", s.method, s.path, s.header)
	}
	if _, there := s.header["X-None"]; there {
		t.Error("a missing value made a header")
	}
	if want := `{"list":[1,"a"],"missing":null,"n":9007199254740993,"one":1,"text":"n is 9007199254740993","yes":true}`; s.body != want {
		t.Errorf("body %s\nwant %s", s.body, want)
	}
}

func TestHTTP_AValueCannotEndAHeader(t *testing.T) {
	a := compiled(t, `http: {url: "https://example.com/", headers: {X-A: "${{ payload.x }}"}}`)
	if _, err := a.Prepare(delivery(`{"x":"a\r\nX-B: c"}`), facts(t)); err == nil || !strings.Contains(err.Error(), "line break") {
		t.Errorf("got %v", err)
	}
}

func TestHTTP_TheAnswerDecides(t *testing.T) {
	for _, tt := range []struct {
		expect     string
		status     int
		retryAfter string
		ok, final  bool
		after      time.Duration
	}{
		{status: 200, ok: true},
		{status: 204, ok: true},
		{status: 302, final: true},
		{status: 400, final: true},
		{status: 404, final: true},
		{status: 408},
		{status: 425},
		{status: 429, retryAfter: "7", after: 7 * time.Second},
		{status: 500},
		{status: 503, retryAfter: "120", after: 2 * time.Minute},
		{status: 503, retryAfter: "-1"},
		{status: 503, retryAfter: "soon"},
		{status: 404, retryAfter: "7", final: true},
		{expect: "404", status: 404, ok: true},
		{expect: "404", status: 200, final: true},
		{expect: "200-299, 409", status: 409, ok: true},
	} {
		s := newSink(t, func(w http.ResponseWriter, _ *http.Request) {
			if tt.retryAfter != "" {
				w.Header().Set("Retry-After", tt.retryAfter)
			}
			w.WriteHeader(tt.status)
		})
		rule := "http: {url: '" + s.URL + "', allow_private: true"
		if tt.expect != "" {
			rule += ", expect: [" + tt.expect + "]"
		}
		r, _ := sent(t, rule+"}")
		if (r.Err == nil) != tt.ok || r.Final != tt.final || r.RetryAfter != tt.after || r.Status != tt.status {
			t.Errorf("%d (expect %q): %+v", tt.status, tt.expect, r)
		}
	}
}

func TestHTTP_RetryAfterMayBeADate(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"Fri, 02 Jan 2026 03:05:05 GMT": time.Minute,
		"Fri, 02 Jan 2026 03:03:05 GMT": 0,
		"":                              0,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

func TestHTTP_RedirectsAreFollowedOnlyWhenAsked(t *testing.T) {
	other := newSink(t, nil)
	s := newSink(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+"/there", http.StatusTemporaryRedirect)
	})
	rule := "http: {url: '" + s.URL + "', allow_private: true, headers: {Authorization: Bearer hunter2, X-Key: hunter2}"
	if r, _ := sent(t, rule+"}"); r.Status != 307 || r.Err == nil || other.hits.Load() != 0 {
		t.Errorf("without asking: %+v, %d hits", r, other.hits.Load())
	}
	if r, _ := sent(t, rule+", follow_redirects: 1}"); r.Err != nil || other.body != sample {
		t.Errorf("when asked: %+v, body %q", r, other.body)
	}
	if other.header.Get("Authorization") != "" || other.header.Get("X-Key") != "" {
		t.Errorf("a credential was taken to another host: %v", other.header)
	}
}

func TestHTTP_ASlowServerTimesOut(t *testing.T) {
	release := make(chan struct{})
	s := newSink(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	r, _ := sent(t, "http: {url: '"+s.URL+"', allow_private: true, timeout: 50ms}")
	if !r.TimedOut || r.Err == nil || r.Final {
		t.Errorf("got %+v", r)
	}
}

func TestHTTP_ACancelledRequestSaysByWhom(t *testing.T) {
	arrived := make(chan struct{})
	s := newSink(t, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() {
		<-arrived
		cancel(ErrStopping)
	}()
	a := compiled(t, "http: {url: '"+s.URL+"', allow_private: true}")
	if r := prepared(t, a, facts(t)).Run(ctx, NewOutput(1024)); !errors.Is(r.Err, ErrStopping) || r.TimedOut {
		t.Errorf("got %+v", r)
	}
}

func TestHTTP_AnEndlessAnswerIsCutAndMasked(t *testing.T) {
	closed := make(chan struct{})
	s := newSink(t, func(w http.ResponseWriter, _ *http.Request) {
		defer close(closed)
		for {
			if _, err := io.WriteString(w, strings.Repeat("hunter2 ", 1000)); err != nil {
				return
			}
		}
	})
	r, out := sent(t, "http: {url: '"+s.URL+"', allow_private: true}", "hunter2")
	if r.Err != nil || len(out) > keptOutput || strings.Contains(out, "hunter2") || !strings.Contains(out, redacted) {
		t.Errorf("%+v, %d bytes of output", r, len(out))
	}
	if !strings.HasSuffix(out, "\n[… the answer was read up to here …]\n") {
		t.Errorf("the output ends with %q", out[len(out)-100:])
	}
	<-closed // the server is told, and not left to write on
}

func TestHTTP_KeepsTheBeginningAndTheEndOfALongAnswer(t *testing.T) {
	s := newSink(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first line\n"+strings.Repeat("x", 4*keptResponse)+"\nthe reason\n")
	})
	r, out := sent(t, "http: {url: '"+s.URL+"', allow_private: true}")
	if r.Err != nil || !strings.HasPrefix(out, "HTTP/1.1 200 OK\nfirst line\n") || !strings.HasSuffix(out, "\nthe reason\n") ||
		!strings.Contains(out, "bytes left out") || strings.Contains(out, "read up to here") || len(out) > keptOutput {
		t.Errorf("%+v, %d bytes: %.60q … %.60q", r, len(out), out, out[max(0, len(out)-60):])
	}
}

// keptOutput is the most that is kept of an answer, with the line between its head and its tail.
const keptOutput = 2*keptResponse + 60

func TestHTTP_ErrorsHoldNoAddress(t *testing.T) {
	s := newSink(t, nil)
	address := s.URL
	s.Close()
	r, _ := sent(t, "http: {url: '"+address+"/?token=hunter2', allow_private: true}", "hunter2")
	if r.Err == nil || strings.Contains(r.Err.Error(), "token") || r.Final {
		t.Errorf("got %+v", r)
	}
}

func TestHTTP_TheProxyOfTheEnvironmentIsNotAsked(t *testing.T) {
	proxy, s := newSink(t, nil), newSink(t, nil)
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	if r, _ := sent(t, "http: {url: '"+s.URL+"', allow_private: true}"); r.Err != nil || proxy.hits.Load() != 0 || s.hits.Load() != 1 {
		t.Errorf("%+v, proxy %d, server %d", r, proxy.hits.Load(), s.hits.Load())
	}
}

func TestHTTP_TheLocalNetworkIsOutOfReach(t *testing.T) {
	s := newSink(t, nil)
	port := s.URL[strings.LastIndexByte(s.URL, ':'):]
	for _, host := range []string{"127.0.0.1", "localhost", "127.1", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "2130706433", "0x7f.1", "017700000001"} {
		r, _ := sent(t, "http: {url: 'http://"+host+port+"'}")
		if r.Err == nil {
			t.Errorf("%s was reached", host)
		}
	}
	if s.hits.Load() != 0 {
		t.Errorf("%d requests arrived", s.hits.Load())
	}
}

func TestGuard_NamesWhatIsNotPublic(t *testing.T) {
	for _, addr := range []string{
		"127.0.0.1", "127.255.255.254", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255",
		"::", "::1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "2001::1", "fc00::1", "fd00:ec2::254", "fe80::1", "ff02::1",
		"::ffff:0:127.0.0.1", "200::1", "4000::1", "168.63.129.16", "2002:7f00:1::1", "64:ff9b:1::1",
		"64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::a83f:8110", "64:ff9b::",
	} {
		if !isPrivate(netip.MustParseAddr(addr)) {
			t.Errorf("%s passes as public", addr)
		}
	}
	for _, addr := range []string{"1.1.1.1", "8.8.8.8", "172.15.0.1", "172.32.0.1", "100.63.255.255", "100.128.0.1", "193.0.0.1", "2606:4700:4700::1111", "2a00:1450:4001::1", "64:ff9b::101:101"} {
		if isPrivate(netip.MustParseAddr(addr)) {
			t.Errorf("%s passes as private", addr)
		}
	}
	if !isPrivate(netip.Addr{}) {
		t.Error("no address passes as public")
	}
}
