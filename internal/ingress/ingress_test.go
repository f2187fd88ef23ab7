package ingress

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
)

const openHook = `
  - {name: site, path: /site, verify: none, max_body: 1KiB, run: ":"}
  - {name: signed, path: /signed, provider: github, secret: 0123456789abcdef, run: ":"}
  - {name: near, path: /near, verify: none, allow_ips: [192.0.2.0/24], run: ":"}
`

func TestBody_IsNeverTruncated(t *testing.T) {
	g := newGate(t, openHook, nil)
	exact := strings.Repeat("x", 1024)
	if r, body := g.post(t, "/site", strings.NewReader(exact)); r.StatusCode != http.StatusAccepted {
		t.Errorf("the largest body was answered %s %s", r.Status, body)
	}
	for what, body := range map[string]io.Reader{
		"declared":   strings.NewReader(exact + "x"),
		"chunked":    io.MultiReader(strings.NewReader(exact), strings.NewReader("x")), // no length
		"far beyond": bytes.NewReader(make([]byte, 1<<20)),
	} {
		if r, answer := g.post(t, "/site", body); r.StatusCode != http.StatusRequestEntityTooLarge || answer != `{"error":"body_too_large","limit_bytes":1024}`+"\n" {
			t.Errorf("%s: answered %s %s", what, r.Status, answer)
		}
	}
	if len(g.store.kept) != 1 || string(g.store.kept[0].Body) != exact {
		t.Errorf("%d deliveries kept", len(g.store.kept))
	}
}

func TestBody_OneThatEndsEarlyIsRefused(t *testing.T) {
	g := newGate(t, openHook, nil)
	c, err := net.Dial("tcp", g.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, "POST /site HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc"); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusBadRequest || len(g.store.kept) != 0 {
		t.Errorf("answered %s, %d kept", answer.Status, len(g.store.kept))
	}
}

func TestBody_TheMemoryOfAllTogetherIsBounded(t *testing.T) {
	g := newGate(t, openHook, func(o *Options) { o.MemoryForBodies = 100 })
	if r, answer := g.post(t, "/site", strings.NewReader(strings.Repeat("x", 200))); r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
		t.Errorf("answered %s %s", r.Status, answer)
	}
	for range 5 { // what was refused or answered is given back
		if r, answer := g.post(t, "/site", strings.NewReader(strings.Repeat("y", 90))); r.StatusCode >= 300 {
			t.Errorf("answered %s %s", r.Status, answer)
		}
	}
}

func TestBody_AnnouncedOnesThatNeverComeTakeNothingFromTheOthers(t *testing.T) {
	g := newGate(t, `
  - {name: site, path: /site, verify: none, max_body: 64MiB, run: ":"}
`, func(o *Options) { o.MemoryForBodies = 1 << 20 })
	for range 20 {
		c, err := net.Dial("tcp", g.server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if _, err := io.WriteString(c, "POST /site HTTP/1.1\r\nHost: x\r\nContent-Length: 60000000\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 5 {
		if r, answer := g.post(t, "/site", strings.NewReader(strings.Repeat("y", 10_000)+fmt.Sprint(i))); r.StatusCode != http.StatusAccepted {
			t.Errorf("answered %s %s", r.Status, answer)
		}
	}
}

func TestToken_WhereverItComesItIsNotKept(t *testing.T) {
	g := newGate(t, `
  - {name: query, path: /query, verify: {scheme: token, query: token}, secret: 0123456789abcdef, run: ":"}
  - {name: field, path: /field, verify: {scheme: token, field: auth.token}, secret: 0123456789abcdef, run: ":"}
`, nil)
	for path, body := range map[string]string{"/query?a=1&token=0123456789abcdef&b=2": "{}", "/field": `{"auth":{"token":"0123456789abcdef"},"n":9007199254740993}`} {
		if r, answer := g.post(t, path, strings.NewReader(body), "Content-Type", "application/json"); r.StatusCode != http.StatusAccepted {
			t.Fatalf("%s: answered %s %s", path, r.Status, answer)
		}
	}
	for _, d := range g.store.kept {
		if strings.Contains(fmt.Sprintf("%+v %s", *d, d.Body), "0123456789abcdef") {
			t.Errorf("hook %s keeps its secret: query %q, body %s", d.Hook, d.Query, d.Body)
		}
		if d.Hook == "query" && d.Query != "a=1&b=2" || d.Hook == "field" && string(d.Body) != `{"auth":{"token":"[withheld]"},"n":9007199254740993}` {
			t.Errorf("hook %s keeps query %q, body %s", d.Hook, d.Query, d.Body)
		}
	}
}

func TestRefusal_TellsTheSenderNothingAndTheLogWhy(t *testing.T) {
	g := newGate(t, openHook, nil)
	for what, send := range map[string]func() (*http.Response, string){
		"no signature": func() (*http.Response, string) { return g.post(t, "/signed", strings.NewReader("{}")) },
		"wrong": func() (*http.Response, string) {
			return g.post(t, "/signed", strings.NewReader("{}"), "X-Hub-Signature-256", "sha256="+strings.Repeat("0", 64))
		},
		"unreadable": func() (*http.Response, string) {
			return g.post(t, "/signed", strings.NewReader("{}"), "X-Hub-Signature-256", "hunter2")
		},
		"sent twice": func() (*http.Response, string) {
			return g.post(t, "/signed", strings.NewReader("{}"), "X-Hub-Signature-256", "a", "X-Hub-Signature-256", "b")
		},
		"wrong address": func() (*http.Response, string) { return g.post(t, "/near", strings.NewReader("{}")) },
	} {
		if r, answer := send(); r.StatusCode != http.StatusUnauthorized || answer != `{"error":"verification_failed"}`+"\n" {
			t.Errorf("%s: answered %s %s", what, r.Status, answer)
		}
	}
	log := g.log.String()
	for _, want := range []string{"is missing", "does not match", "allow_ips"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %q:\n%s", want, log)
		}
	}
	if strings.Contains(log, "hunter2") {
		t.Error("the log repeats what the sender wrote")
	}
	if len(g.store.kept) != 0 || g.observe.refused["verification_failed"] != 5 || len(g.Rejects.List()) != 5 {
		t.Errorf("%d kept, counted %v, %d listed", len(g.store.kept), g.observe.refused, len(g.Rejects.List()))
	}
}

func TestRefusal_AFloodDoesNotFillTheLog(t *testing.T) {
	g := newGate(t, openHook, nil)
	for range 200 {
		g.post(t, "/signed", strings.NewReader("{}"))
	}
	if lines := strings.Count(g.log.String(), "request refused"); lines == 0 || lines > 100 {
		t.Errorf("%d lines for 200 refused requests", lines)
	}
}

func TestStore_WhatCannotBeStoredIsNotAcknowledged(t *testing.T) {
	g := newGate(t, openHook, nil)
	g.store.err = errors.New("disk full at /var/lib/secret")
	if r, answer := g.post(t, "/site", strings.NewReader("a")); r.StatusCode != http.StatusServiceUnavailable || answer != `{"error":"cannot_store"}`+"\n" || r.Header.Get("Retry-After") == "" {
		t.Errorf("answered %s %s", r.Status, answer)
	}
	g.store.err = nil
	if r, _ := g.post(t, "/site", strings.NewReader("a")); r.StatusCode != http.StatusAccepted {
		t.Errorf("afterwards answered %s", r.Status)
	}
}

func TestQueue_WhenItIsFullOnlyWhatMakesNoJobIsTaken(t *testing.T) {
	g := newGate(t, `
  - {name: site, path: /site, verify: none, run: ":"}
  - {name: nobody, path: /nobody, verify: none, match: "false", run: ":"}
`, func(o *Options) { o.Full = func() bool { return true } })
	if r, answer := g.post(t, "/site", strings.NewReader("a")); r.StatusCode != http.StatusServiceUnavailable || answer != `{"error":"queue_full"}`+"\n" || r.Header.Get("Retry-After") == "" {
		t.Errorf("answered %s %s", r.Status, answer)
	}
	if r, _ := g.post(t, "/nobody", strings.NewReader("a")); r.StatusCode != http.StatusOK {
		t.Errorf("a delivery without a job was answered %s", r.Status)
	}
}

func TestStop_FurtherDeliveriesAreToldToComeAgain(t *testing.T) {
	g := newGate(t, openHook, nil)
	g.Stop()
	if r, answer := g.post(t, "/site", strings.NewReader("a")); r.StatusCode != http.StatusServiceUnavailable || answer != `{"error":"stopping"}`+"\n" || r.Header.Get("Retry-After") == "" {
		t.Errorf("answered %s %s", r.Status, answer)
	}
}

func TestServer_HeadersAreBounded(t *testing.T) {
	g := newGate(t, openHook, nil)
	if r, _ := g.post(t, "/site", nil, "X-Large", strings.Repeat("x", 64<<10)); r.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("answered %s", r.Status)
	}
}

func TestServer_APanicIsOneFailedRequest(t *testing.T) {
	var panicked atomic.Int64
	var quiet atomic.Bool
	g := newGate(t, openHook, func(o *Options) {
		hooks := o.Hooks
		o.Panicked = func() { panicked.Add(1) }
		o.Hooks = func() *hook.Set {
			if !quiet.Load() {
				panic("a payload's s3cret")
			}
			return hooks()
		}
	})
	for range 20 {
		r, answer := g.post(t, "/site", strings.NewReader("a"))
		if r.StatusCode != http.StatusInternalServerError || answer != `{"error":"internal_error"}`+"\n" || !r.Close {
			t.Fatalf("answered %s %s, connection closed: %v", r.Status, answer, r.Close)
		}
	}
	if n, refused := panicked.Load(), g.observe.refused[internalError]; n != 20 || refused != 20 {
		t.Errorf("%d panics counted, %d refusals", n, refused)
	}
	log := g.log.String()
	if lines := strings.Count(log, "by a fault of this program"); lines == 0 || lines > 5 {
		t.Errorf("%d lines of 20 panics", lines)
	}
	if !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "ingress_test.go") || strings.Contains(log, "s3cret") {
		t.Errorf("want errors with the stack and without the value: %s", log)
	}
	if kept := g.Rejects.List(); len(kept) != 1 || kept[0].Status != http.StatusInternalServerError {
		t.Errorf("listed: %+v", kept)
	}
	quiet.Store(true)
	if r, _ := g.post(t, "/site", strings.NewReader("a")); r.StatusCode != http.StatusAccepted {
		t.Errorf("the next one was answered %s", r.Status)
	}
}

// TestServer_APanicBehindTheStoreLosesNothing has the fault where the delivery is stored already:
// the sender's next try is its duplicate.
func TestServer_APanicBehindTheStoreLosesNothing(t *testing.T) {
	g := newGate(t, openHook, func(o *Options) { o.Observe = &faultyTally{tally: o.Observe.(*tally)} })
	if response, err := g.server.Client().Post(g.server.URL+"/site", "text/plain", strings.NewReader("a")); err == nil {
		_ = response.Body.Close()
		t.Errorf("answered %s after half an answer", response.Status)
	}
	if r, answer := g.post(t, "/site", strings.NewReader("a")); r.StatusCode != http.StatusOK || !strings.Contains(answer, "duplicate") {
		t.Errorf("the next one was answered %s %s", r.Status, answer)
	}
	if len(g.store.kept) != 1 {
		t.Errorf("%d deliveries are stored", len(g.store.kept))
	}
}

// faultyTally panics the first time a delivery is counted, which is when it was answered.
type faultyTally struct {
	*tally
	did atomic.Bool
}

func (o *faultyTally) Delivered(string, job.Outcome, time.Duration) {
	if !o.did.Swap(true) {
		panic("a fault")
	}
}

func TestBound_OneAddressCannotHoldEveryConnection(t *testing.T) {
	inner := &addresses{}
	l := Bound(inner, Limits{Connections: 10, PerAddress: 2}, nil)
	defer func() { _ = l.Close() }()
	inner.next = []string{"192.0.2.1:1", "192.0.2.1:2", "192.0.2.1:3", "192.0.2.1:4", "192.0.2.2:1"}
	var held []net.Conn
	for range 3 {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	if got := held[2].RemoteAddr().String(); got != "192.0.2.2:1" || l.Open() != 3 {
		t.Errorf("the third connection is from %s, %d open", got, l.Open())
	}
	if len(inner.closed) != 2 {
		t.Errorf("%d were turned away", len(inner.closed))
	}
	_ = held[0].Close()
	_ = held[0].Close() // a second time frees nothing more
	six := Bound(&addresses{next: []string{"[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3]:1", "[2001:db8:0:1::1]:1"}}, Limits{Connections: 10, PerAddress: 2}, nil)
	for _, want := range []string{"[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8:0:1::1]:1"} {
		if c, err := six.Accept(); err != nil || c.RemoteAddr().String() != want {
			t.Errorf("of one IPv6 network: accepted %v, %v; want %s", c, err, want)
		}
	}
	inner.next = []string{"192.0.2.1:5", "192.0.2.1:6", "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}
	for _, want := range []string{"192.0.2.1:5", "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"} {
		c, err := l.Accept()
		if err != nil || c.RemoteAddr().String() != want {
			t.Errorf("accepted %v, %v; want %s", c.RemoteAddr(), err, want)
		}
	}
}

// addresses is a listener of connections that come from given addresses.
type addresses struct {
	next   []string
	closed []string
}

func (a *addresses) Accept() (net.Conn, error) {
	if len(a.next) == 0 {
		return nil, net.ErrClosed
	}
	from := a.next[0]
	a.next = a.next[1:]
	return &addressed{from: from, of: a}, nil
}

func (*addresses) Close() error   { return nil }
func (*addresses) Addr() net.Addr { return &net.TCPAddr{} }

type addressed struct {
	net.Conn
	from string
	of   *addresses
}

func (c *addressed) RemoteAddr() net.Addr {
	addr, err := net.ResolveTCPAddr("tcp", c.from)
	if err != nil {
		panic(err)
	}
	return addr
}

func (c *addressed) Close() error {
	c.of.closed = append(c.of.closed, c.from)
	return nil
}

func TestSampler_SaysHowManyItLeftOut(t *testing.T) {
	s := newSampler(2, time.Second)
	now := time.Unix(1000, 0)
	for i, want := range []bool{true, true, false, false} {
		if ok, _ := s.allow(now); ok != want {
			t.Errorf("line %d: %t", i, ok)
		}
	}
	if ok, left := s.allow(now.Add(time.Second)); !ok || left != 2 {
		t.Errorf("a second later: %t, %d left out", ok, left)
	}
}

// TestServer_D3_WhoDoesNotReadItsAnswerIsCut has an answer that fits no buffer, and a sender that reads
// nothing of it.
func TestServer_D3_WhoDoesNotReadItsAnswerIsCut(t *testing.T) {
	wrote := make(chan error, 1)
	server := NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		piece := make([]byte, 1<<20)
		for range 64 {
			if _, err := w.Write(piece); err != nil {
				wrote <- err
				return
			}
		}
		wrote <- nil
	}), nil)
	if server.WriteTimeout <= 0 || server.WriteTimeout > 2*time.Minute {
		t.Errorf("an answer may take %v", server.WriteTimeout)
	}
	server.WriteTimeout = 300 * time.Millisecond
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(l) }()
	defer func() { _ = server.Close() }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-wrote:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the answer ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("who reads nothing holds its answer for ever")
	}
}
