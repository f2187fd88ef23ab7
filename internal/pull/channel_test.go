package pull_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/pull"
	"github.com/tenterhook/tenterhook/internal/pull/pulltest"
)

// taken collects what a source gives.
type taken struct {
	mu  sync.Mutex
	all []*pull.Delivered
	say func(d *pull.Delivered) error
}

func (k *taken) take(_ context.Context, d *pull.Delivered) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = append(k.all, d)
	if k.say != nil {
		return k.say(d)
	}
	return nil
}

func (k *taken) bodies() (all []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, d := range k.all {
		all = append(all, string(d.Body))
	}
	return all
}

func run(t *testing.T, o pull.ChannelOptions, k *taken) (c *pull.Channel, stop func()) {
	t.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	if o.MaxBody == 0 {
		o.MaxBody = 1 << 20
	}
	c = pull.NewChannel(o)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { c.Run(ctx, k.take); close(done) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return c, stop
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
		<-tick.C
	}
}

func post(t *testing.T, url, body string) {
	t.Helper()
	req, _ := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-GitHub-Event", "push")
	response, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
}

func TestChannel_HandsOnWhatSmeeAndGosmeeSend(t *testing.T) {
	t.Parallel()
	for name, gosmee := range map[string]bool{"smee": false, "gosmee": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := pulltest.New(gosmee)
			defer server.Close()
			k := &taken{}
			c, stop := run(t, pull.ChannelOptions{URL: server.ChannelURL(), Gosmee: gosmee}, k)
			until(t, "a listener", func() bool { return server.Listeners() == 1 })
			const body = `{"b":1.5,"a":"<é/\u003c>","n":{}}`
			post(t, server.ChannelURL(), body)
			until(t, "a delivery", func() bool { return len(k.bodies()) == 1 })
			d := k.all[0]
			if string(d.Body) != body || d.Rewritten == gosmee || d.Header.Get("X-GitHub-Event") != "push" || d.Header.Get("Content-Type") != "application/json" || d.Header.Get("Host") != "" {
				t.Errorf("delivery %+v", d)
			}
			if s := c.State(); s.Connected.IsZero() || s.Taken != 1 || s.Last.IsZero() || s.Held != -1 {
				t.Errorf("state %+v", s)
			}
			stop()
			if s := c.State(); !s.Connected.IsZero() {
				t.Errorf("state after the end %+v", s)
			}
		})
	}
}

// TestChannel_GoesOnWhereItWas: gosmee with Redis keeps what came while nobody was connected; what
// could not be stored is given again before what follows it.
func TestChannel_GoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	server := pulltest.New(true)
	defer server.Close()
	server.Durable = true
	place, failed := "", false
	k := &taken{}
	k.say = func(d *pull.Delivered) error {
		if string(d.Body) == "2" && !failed {
			failed = true
			return errors.New("the disk is full")
		}
		return nil
	}
	o := pull.ChannelOptions{URL: server.ChannelURL(), Gosmee: true, Reached: func(at string) { place = at }}
	_, stop := run(t, o, k)
	until(t, "a listener", func() bool { return server.Listeners() == 1 })
	post(t, server.ChannelURL(), "1")
	until(t, "the first", func() bool { return len(k.bodies()) == 1 })
	stop()
	post(t, server.ChannelURL(), "2")
	post(t, server.ChannelURL(), "3")
	o.Position = place
	_, stop = run(t, o, k)
	until(t, "the others", func() bool { return len(k.bodies()) == 4 })
	stop()
	if got := k.bodies(); !slices.Equal(got, []string{"1", "2", "2", "3"}) {
		t.Errorf("taken %q", got)
	}
	if d := k.all[3]; time.Since(d.At) > time.Minute {
		t.Errorf("received at %v", d.At)
	}
}

// TestChannel_ConnectsAgainWhenTheServerFallsSilent.
func TestChannel_ConnectsAgainWhenTheServerFallsSilent(t *testing.T) {
	t.Parallel()
	server := pulltest.New(false)
	defer server.Close()
	server.Mute = true
	c, _ := run(t, pull.ChannelOptions{URL: server.ChannelURL(), Silence: 200 * time.Millisecond}, &taken{})
	until(t, "another connection", func() bool { return len(server.Connections()) >= 2 })
	until(t, "the reason", func() bool {
		return strings.Contains(c.State().Problem, "sign of life") || len(server.Connections()) >= 3
	})
	for _, h := range server.Connections() {
		if h.Get("Last-Event-ID") != "" {
			t.Error("smee's numbers are of one connection alone")
		}
	}
}

// TestChannel_HostileServer: what a server sends is bounded, and what is no delivery is passed over.
func TestChannel_HostileServer(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, data := range []string{"[]", "null", "{", `{"body":{}}`, `{"x-a":"b"}`, `{"x-a":"b","bodyB":"%"}`, `{"x-a\r\nEvil":"b","body":1}`, `{"message":"ready"}`, `{"encrypted":true,"version":1,"epk":"a","nonce":"b","ciphertext":"c"}`} {
			fmt.Fprintf(w, "data: %s\n\n", data)
		}
		fmt.Fprintf(w, "data: {\"x-a\":\"b\",\"body\":\"%s\"}\n\n", strings.Repeat("x", 5<<20))
		for range 5 << 10 {
			fmt.Fprintf(w, "data: %s\n", strings.Repeat("y", 1<<10))
		}
		fmt.Fprint(w, "\n: comment\n\nevent: ping\ndata: {}\n\nid: 7\r\ndata: {\"x-a\":\"b\",\r\n: between\r\ndata: \"body\":{\"ok\":1}}\r\n\r\n")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-over:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(over)
	k := &taken{}
	c, _ := run(t, pull.ChannelOptions{URL: server.URL + "/x"}, k)
	until(t, "the good one", func() bool { return len(k.bodies()) == 1 })
	if got := k.bodies(); got[0] != `{"ok":1}` {
		t.Errorf("taken %q", got)
	}
	if s := c.State(); s.Refused != 10 {
		t.Errorf("state %+v", s)
	}
}

// TestChannel_SaysThatAnEncryptedOneIsNotSupported: a gosmee server hides it from who has no key.
func TestChannel_SaysThatAnEncryptedOneIsNotSupported(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	c, _ := run(t, pull.ChannelOptions{URL: server.URL + "/x", Gosmee: true}, &taken{})
	until(t, "a problem", func() bool { return strings.Contains(c.State().Problem, "an encrypted one") })
}

// TestChannel_ErrorsDoNotTellTheAddress: who knows it may listen and send.
func TestChannel_ErrorsDoNotTellTheAddress(t *testing.T) {
	t.Parallel()
	server := pulltest.New(false)
	address := server.ChannelURL()
	server.Close()
	c, _ := run(t, pull.ChannelOptions{URL: address}, &taken{})
	until(t, "a problem", func() bool { return c.State().Problem != "" })
	if p := c.State().Problem; strings.Contains(p, pulltest.Channel) {
		t.Errorf("problem %q", p)
	}
}

func TestForms_AreTheWaysSendersWriteJSON(t *testing.T) {
	d := pull.Delivered{Rewritten: true, Header: http.Header{}, Body: []byte(`{"a":"é<b>&/😀\n\"x: y\"","n":[1,{}]}`)}
	forms := map[string]bool{}
	for body := range d.Forms {
		forms[string(body)] = true
	}
	for _, want := range []string{
		`{"a":"é<b>&/😀\n\"x: y\"","n":[1,{}]}`,
		`{"a":"é\u003cb\u003e\u0026/😀\n\"x: y\"","n":[1,{}]}`,
		`{"a": "\u00e9<b>&/\ud83d\ude00\n\"x: y\"", "n": [1, {}]}`,
		`{"a":"\u00e9<b>&\/\ud83d\ude00\n\"x: y\"","n":[1,{}]}`,
		"{\n  \"a\": \"é\\u003cb\\u003e\\u0026/😀\\n\\\"x: y\\\"\",\n  \"n\": [\n    1,\n    {}\n  ]\n}",
	} {
		if !forms[want] {
			t.Errorf("not among the forms: %s", want)
		}
	}
	exact := pull.Delivered{Body: []byte("x"), Header: http.Header{}}
	n := 0
	for range exact.Forms {
		n++
	}
	if n != 1 {
		t.Errorf("%d forms of a body that is as it was sent", n)
	}
	form := pull.Delivered{Rewritten: true, Body: []byte(`{"payload":"{\"a\":1}"}`), Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}}
	for body := range form.Forms {
		if string(body) != "payload=%7B%22a%22%3A1%7D" {
			t.Errorf("form %s", body)
		}
	}
}
