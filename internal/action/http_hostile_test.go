package action

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/config"
)

func redirectTo(target string, status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", target)
		w.WriteHeader(status)
	}
}

func TestRedirect_TakesNothingSecretToAnotherHost(t *testing.T) {
	other := newSink(t, nil)
	s := newSink(t, redirectTo(other.URL+"/there", http.StatusPermanentRedirect))
	r, out := sent(t, "http: {url: '"+s.URL+"/services/hunter2?token=hunter2', allow_private: true, follow_redirects: 1, headers: {Authorization: Bearer hunter2, Cookie: hunter2, X-Key: hunter2, Accept: text/plain}}", "hunter2")
	if r.Err != nil || other.hits.Load() != 1 {
		t.Fatalf("got %+v %s", r, out)
	}
	var sent bytes.Buffer
	if err := other.header.Write(&sent); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(sent.String(), "hunter2") {
		t.Errorf("the other host was sent:\n%s", sent.String())
	}
	if other.header.Get("Accept") != "text/plain" || other.header.Get("Content-Type") != "application/json" {
		t.Errorf("what is not secret was lost:\n%s", sent.String())
	}
}

func TestRedirect_KeepsHeadersOnTheSameHost(t *testing.T) {
	s := newSink(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			redirectTo("/there", http.StatusTemporaryRedirect)(w, r)
		}
	})
	r, _ := sent(t, "http: {url: '"+s.URL+"/', allow_private: true, follow_redirects: 1, headers: {X-Key: hunter2}}")
	if r.Err != nil || s.path != "/there" || s.header.Get("X-Key") != "hunter2" || s.body != sample || s.method != "POST" {
		t.Errorf("got %+v, sent %s %s %v", r, s.method, s.path, s.header)
	}
}

func TestRedirect_IsNotFollowedWhenItWouldLoseTheBody(t *testing.T) {
	for _, status := range []int{301, 302, 303} {
		other := newSink(t, nil)
		s := newSink(t, redirectTo(other.URL, status))
		r, _ := sent(t, fmt.Sprintf("http: {url: '%s', allow_private: true, follow_redirects: 5}", s.URL))
		if r.Err == nil || r.Status != status || !r.Final || other.hits.Load() != 0 {
			t.Errorf("%d: got %+v, %d hits", status, r, other.hits.Load())
		}
		r, _ = sent(t, fmt.Sprintf("http: {url: '%s', method: GET, allow_private: true, follow_redirects: 5}", s.URL))
		if r.Err != nil || other.hits.Load() != 1 {
			t.Errorf("%d of a GET: got %+v, %d hits", status, r, other.hits.Load())
		}
	}
}

func TestRedirect_EndsAfterAsManyAsAllowed(t *testing.T) {
	for _, allowed := range []int64{0, 1, 3} {
		s := newSink(t, func(w http.ResponseWriter, r *http.Request) { redirectTo(r.URL.Path+"x", 307)(w, r) })
		r, _ := sent(t, fmt.Sprintf("http: {url: '%s/', allow_private: true, follow_redirects: %d}", s.URL, allowed))
		if r.Status != 307 || r.Err == nil || !r.Final || s.hits.Load() != allowed+1 {
			t.Errorf("%d allowed: %+v, %d requests", allowed, r, s.hits.Load())
		}
	}
}

func TestRedirect_IsGuardedLikeTheFirstRequest(t *testing.T) {
	target := newSink(t, nil)
	for _, to := range []string{target.URL, "http://localhost" + target.URL[strings.LastIndexByte(target.URL, ':'):], "http://[::ffff:127.0.0.1]" + target.URL[strings.LastIndexByte(target.URL, ':'):], "file:///etc/passwd", "gopher://127.0.0.1/"} {
		s := newSink(t, redirectTo(to, 307))
		// The first server stands for a public one: the guard lets it through, and nothing else.
		public := newTransport(func(network, address string, c syscall.RawConn) error {
			if "http://"+address == s.URL {
				return nil
			}
			return guardDial(network, address, c)
		}, nil)
		usual := transports()[false]
		transports()[false] = public
		r, _ := sent(t, "http: {url: '"+s.URL+"', follow_redirects: 3}")
		transports()[false] = usual
		public.CloseIdleConnections()
		if r.Err == nil || !r.Final || s.hits.Load() != 1 || target.hits.Load() != 0 {
			t.Errorf("%s: got %+v, hits %d and %d", to, r, s.hits.Load(), target.hits.Load())
		}
	}
}

func TestHTTP_WhatTheGuardRefusesIsNotTriedAgain(t *testing.T) {
	s := newSink(t, nil)
	r, _ := sent(t, "http: {url: '"+s.URL+"'}")
	if r.Err == nil || !r.Final || !strings.Contains(r.Err.Error(), "allow_private") {
		t.Errorf("got %+v", r)
	}
}

func TestHTTP_RetryAfterIsBounded(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, value := range []string{"315360000", "9223372036854775807", "99999999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"} {
		if got := retryAfter(value, now); got != longestRetryAfter {
			t.Errorf("%q: %v, want %v", value, got, longestRetryAfter)
		}
	}
	for _, value := range []string{"", "0", "-5", "-99999999999999999999999", "5.5", "1e3", "0x10", "soon", "Fri, 02 Jan 2026 03:04:05 GMT", "Fri, 02 Jan 1970 03:04:05 GMT"} {
		if got := retryAfter(value, now); got != 0 {
			t.Errorf("%q: %v, want none", value, got)
		}
	}
}

func TestHTTP_AnAnswerCountsAlsoWhenItsRunIsCancelledMeanwhile(t *testing.T) {
	for status, final := range map[int]bool{200: false, 404: true} {
		ctx, cancel := context.WithCancelCause(t.Context())
		s := newSink(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		a := compiled(t, "http: {url: '"+s.URL+"', allow_private: true}")
		// The answer is there when its first line is written, and then the run is cancelled.
		out := writerFunc(func(p []byte) (int, error) { cancel(ErrStopping); return len(p), nil })
		r := prepared(t, a, facts(t)).Run(ctx, out)
		if (r.Err == nil) != (status == 200) || errors.Is(r.Err, ErrStopping) || r.Status != status || r.Final != final {
			t.Errorf("%d: got %+v", status, r)
		}
		cancel(nil)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestHTTP_ASlowBodyTimesOut(t *testing.T) {
	s := newSink(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "first ")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	r, out := sent(t, "http: {url: '"+s.URL+"', allow_private: true, timeout: 200ms}")
	if !r.TimedOut || r.Err == nil || r.Status != 200 || !strings.HasSuffix(out, "first ") {
		t.Errorf("got %+v %q", r, out)
	}
}

func TestHTTP_HostileAnswersAreBounded(t *testing.T) {
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		err    string
	}{
		"a gzip bomb": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			zeros := make([]byte, 1<<20)
			for range 64 {
				if _, err := z.Write(zeros); err != nil {
					return
				}
			}
			_ = z.Close()
		}, ""},
		"endless headers": {func(w http.ResponseWriter, _ *http.Request) {
			for i := range 5000 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 100))
			}
		}, "headers"},
		"a connection that is cut": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "ten bytes.")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, "read the answer: unexpected EOF"},
		"no answer at all": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
		"not HTTP": {func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = io.WriteString(c, "hunter2 is the password\r\n\r\n")
				_ = c.Close()
			}
		}, "malformed"},
		"a status with our secret": {func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = io.WriteString(c, "HTTP/1.1 500 hunter2\x1b[31m"+strings.Repeat("x", 10_000)+"\r\nContent-Length: 0\r\n\r\n")
				_ = c.Close()
			}
		}, "answered 500 Internal Server Error"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSink(t, tt.answer)
			r, out := sent(t, "http: {url: '"+s.URL+"', allow_private: true}", "hunter2")
			if tt.err == "" && r.Err != nil || tt.err != "" && (r.Err == nil || !strings.Contains(r.Err.Error(), tt.err)) {
				t.Errorf("got %v, want %q", r.Err, tt.err)
			}
			if len(out) > keptOutput || strings.Contains(out+fmt.Sprint(r.Err), "hunter2") || r.Err != nil && len(r.Err.Error()) > 300 {
				t.Errorf("%d bytes of output, %.300v", len(out), r.Err)
			}
		})
	}
}

func TestHTTP_KeepsNoCookies(t *testing.T) {
	s := newSink(t, func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "of another hook"})
	})
	for range 2 {
		if r, _ := sent(t, "http: {url: '"+s.URL+"', allow_private: true}"); r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	if got := s.header.Get("Cookie"); got != "" {
		t.Errorf("sent the cookie %s", got)
	}
}

func TestHTTP_ACertificateNobodyVouchesForIsRefused(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request arrived") }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	if r, _ := sent(t, "http: {url: '"+s.URL+"', allow_private: true}"); r.Err == nil || !strings.Contains(r.Err.Error(), "certificate") {
		t.Errorf("got %+v", r)
	}
}

func TestHTTP_ValuesCannotLeaveTheirPlace(t *testing.T) {
	for name, tt := range map[string]struct{ rule, body, want string }{
		"a line break in a header":        {`headers: {X-A: "${{ payload.x }}"}`, `{"x":"a\nb"}`, "header X-A"},
		"a NUL byte in a header":          {`headers: {X-A: "${{ payload.x }}"}`, `{"x":"a\u0000b"}`, "header X-A"},
		"another control in a header":     {`headers: {X-A: "${{ payload.x }}"}`, `{"x":"a\u0001b"}`, "header X-A"},
		"a header beyond reason":          {`headers: {X-A: "${{ payload.x }}"}`, `{"x":"` + strings.Repeat("a", 100_000) + `"}`, "header X-A"},
		"a line break in the body's type": {`headers: {Content-Type: "${{ payload.x }}"}`, `{"x":"a\rb"}`, "header Content-Type"},
	} {
		t.Run(name, func(t *testing.T) {
			a := compiled(t, "http: {url: 'https://example.com/', "+tt.rule+"}")
			if _, err := a.Prepare(delivery(tt.body), facts(t)); err == nil || !strings.HasPrefix(err.Error(), tt.want) || len(err.Error()) > 200 {
				t.Errorf("got %.300v", err)
			}
		})
	}
	for _, value := range []string{"@evil.example/", "\\\\evil.example", "//evil.example", "..//evil.example", "?@evil.example", "#@evil.example", ":80@evil.example"} {
		p, err := compiled(t, `http: {url: "https://example.com/${{ payload.x }}"}`).Prepare(delivery(`{"x":"`+value+`"}`), facts(t))
		if err == nil && p.(*preparedRequest).url.Host != "example.com" {
			t.Errorf("%q leads to %s", value, p.(*preparedRequest).url.Host)
		}
	}
}

func TestHTTP_AValueIsOnePartOfAnAddress(t *testing.T) {
	const rule = `http: {url: "https://ci.example.com/projects/${{ payload.x }}/build?token=t&ref=${{ payload.x }}&last=1"}`
	for value, want := range map[string]string{
		"main":           "/projects/main/build?token=t&ref=main&last=1",
		"a b/c":          "/projects/a%20b%2Fc/build?token=t&ref=a+b%2Fc&last=1",
		"../../admin?x=": "/projects/..%2F..%2Fadmin%3Fx=/build?token=t&ref=..%2F..%2Fadmin%3Fx%3D&last=1",
		"..":             "/projects/%2E%2E/build?token=t&ref=..&last=1",
		"x&token=mine#":  "/projects/x&token=mine%23/build?token=t&ref=x%26token%3Dmine%23&last=1",
		"%2e%2e":         "/projects/%252e%252e/build?token=t&ref=%252e%252e&last=1",
		`\n\u0000`:       "/projects/%0A%00/build?token=t&ref=%0A%00&last=1",
	} {
		p, err := compiled(t, rule).Prepare(delivery(`{"x":"`+value+`"}`), facts(t))
		if err != nil {
			t.Errorf("%q: %v", value, err)
			continue
		}
		if got := p.(*preparedRequest).url.RequestURI(); got != want {
			t.Errorf("%q: asks for %s, want %s", value, got, want)
		}
	}
}

func TestHTTP_JSONKeepsDigitsAndTypes(t *testing.T) {
	s := newSink(t, nil)
	r, out := sent(t, `
http:
  url: '`+s.URL+`'
  allow_private: true
  json:
    large: 18446744073709551615
    larger: 123456789012345678901234567890
    negative: -5
    fraction: 1.5
    quoted: "5"
    word: no
    date: 2026-01-02
    nothing:
    empty: []
    none: {}
    deep: {list: [1, [true, {a: "${{ payload.n }}"}]]}
`)
	succeeded(t, r, out)
	want := `{"date":"2026-01-02","deep":{"list":[1,[true,{"a":9007199254740993}]]},"empty":[],"fraction":1.5,"large":18446744073709551615,"larger":123456789012345678901234567890,"negative":-5,"none":{},"nothing":null,"quoted":"5","word":"no"}`
	if s.body != want {
		t.Errorf("body %s\nwant %s", s.body, want)
	}
}

func TestHTTP_JSONTakesReferencesForWhatTheyAre(t *testing.T) {
	s := newSink(t, nil)
	file, d := config.Parse("hooks.yaml", []byte(`
http:
  url: '`+s.URL+`'
  allow_private: true
  json:
    number: "${N}"
    plain: ${N}
    zeros: ${ZEROS}
    exponent: ${EXPONENT}
    word: ${WORD}
    yes: ${TRUE}
`), config.Options{Environ: []string{"N=42", "ZEROS=007", "EXPONENT=1e5", "WORD=word", "TRUE=true"}})
	if d.Err() != nil {
		t.Fatal(d)
	}
	a := Compile(file.Root.Map(d), file.Root, Context{Dir: t.TempDir(), Diagnostics: d})
	if r := prepared(t, a, facts(t)).Run(t.Context(), NewOutput(1024)); r.Err != nil {
		t.Fatal(r.Err)
	}
	if want := `{"exponent":"1e5","number":"42","plain":42,"word":"word","yes":true,"zeros":"007"}`; s.body != want {
		t.Errorf("body %s\nwant %s", s.body, want)
	}
}

func TestHTTP_AnAttemptSendsItsRequestOnce(t *testing.T) {
	var cut atomic.Bool
	s := newSink(t, func(http.ResponseWriter, *http.Request) {
		if cut.Load() {
			panic(http.ErrAbortHandler) // after it acted
		}
	})
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		for _, more := range []string{"", ", body: ''", ", headers: {Idempotency-Key: mine}"} {
			rule := "http: {url: '" + s.URL + "', allow_private: true, method: " + method + more + "}"
			cut.Store(false)
			if r, out := sent(t, rule); r.Err != nil { // its connection is kept, and used again
				t.Fatalf("%+v %s", r, out)
			}
			cut.Store(true)
			before := s.hits.Load()
			if r, _ := sent(t, rule); r.Err == nil || r.Final || s.hits.Load() != before+1 {
				t.Errorf("%s: %d requests, %+v", rule, s.hits.Load()-before, r)
			}
		}
	}
}

// TestHTTP_H2_ATargetThatIsNotThereIsTriedAgain has nobody at the address, nobody who knows the
// name, nobody who says whether there is one, and nobody who takes the connection.
func TestHTTP_H2_ATargetThatIsNotThereIsTriedAgain(t *testing.T) {
	gone := newSink(t, nil)
	port := portOf(gone)
	gone.Close()
	silent := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		if t.Context().Err() != nil {
			return nil, t.Context().Err()
		}
		ours, theirs := net.Pipe() // a name server that reads and never answers
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		context.AfterFunc(t.Context(), func() { _ = theirs.Close() })
		return ours, nil
	}}
	for name, tt := range map[string]struct {
		url      string
		resolver *net.Resolver
		err      string
	}{
		"refused":               {"http://127.0.0.1:" + port, nil, "refused"},
		"a name nobody has":     {"http://nobody.test:" + port, newResolver(t), "no such host"},
		"no answer to the name": {"http://slow.test:" + port, silent, "timed out"},
		"a full queue":          {"http://" + crowded(t), nil, "timed out"},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.resolver != nil {
				useTransport(t, true, newTransport(nil, tt.resolver))
			}
			defer forgetTargets()
			began := time.Now()
			r, _ := sent(t, "http: {url: '"+tt.url+"', allow_private: true, timeout: 300ms}")
			if r.Err == nil || r.Final || r.Status != 0 || !strings.Contains(r.Err.Error(), tt.err) || time.Since(began) > 20*time.Second {
				t.Errorf("got %+v after %v, want %q and a further attempt", r, time.Since(began), tt.err)
			}
		})
	}
}

// crowded is the address of a server that accepts nothing and whose queue is full, so that the
// kernel drops what comes.
func crowded(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for range 4 {
		c, err := net.DialTimeout("tcp", addr, 100*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Skip("the queue of a server does not fill here")
	return ""
}

// TestRedirect_H5_LeadsToNoOtherScheme has a server point at files and other protocols.
func TestRedirect_H5_LeadsToNoOtherScheme(t *testing.T) {
	for _, to := range []string{"file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1:25/x", "javascript:alert(1)", "data:text/plain,x", "unix:///run/x.sock"} {
		s := newSink(t, redirectTo(to, http.StatusTemporaryRedirect))
		r, out := sent(t, "http: {url: '"+s.URL+"', allow_private: true, follow_redirects: 3}")
		if r.Err == nil || strings.Contains(out, "root:") || s.hits.Load() != 1 {
			t.Errorf("%s: %+v, %d requests", to, r, s.hits.Load())
		}
		forgetTargets()
	}
}
