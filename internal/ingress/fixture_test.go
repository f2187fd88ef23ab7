package ingress

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// shelf is a store in memory that can fail.
type shelf struct {
	mu   sync.Mutex
	kept []*job.Delivery
	keys map[string]string
	err  error
}

func (s *shelf) Accept(_ context.Context, d *job.Delivery, jobs []job.Job) (store.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return store.Receipt{}, s.err
	}
	if first, ok := s.keys[d.Key]; ok {
		return store.Receipt{Delivery: first, Duplicate: true}, nil
	}
	if s.keys == nil {
		s.keys = map[string]string{}
	}
	s.keys[d.Key] = d.ID
	s.kept = append(s.kept, d)
	return store.Receipt{Delivery: d.ID, Jobs: jobs}, nil
}

// tally counts refusals by word.
type tally struct {
	mu      sync.Mutex
	refused map[string]int
}

func (*tally) Delivered(string, job.Outcome, time.Duration) {}
func (*tally) Collected(string, job.Outcome)                {}
func (*tally) SecretMatched(string, int)                    {}
func (*tally) RuleFailed(string, string)                    {}

func (o *tally) Refused(_, reason string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.refused == nil {
		o.refused = map[string]int{}
	}
	o.refused[reason]++
}

// gate is a Handler on a real server, with what is behind it.
type gate struct {
	*Handler
	store   *shelf
	observe *tally
	log     *strings.Builder
	server  *httptest.Server
}

func newGate(t *testing.T, hooks string, change func(*Options)) *gate {
	t.Helper()
	set := compiled(t, hooks)
	g := &gate{store: &shelf{}, observe: &tally{}, log: &strings.Builder{}}
	o := Options{
		Hooks: func() *hook.Set { return set }, Store: g.store, Full: func() bool { return false },
		Log: slog.New(slog.NewTextHandler(&locked{w: g.log}, nil)), Observe: g.observe,
	}
	if change != nil {
		change(&o)
	}
	g.Handler = New(o)
	g.server = httptest.NewUnstartedServer(g.Handler)
	g.server.Config = NewServer(g.Handler, slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug))
	g.server.Start()
	t.Cleanup(g.server.Close)
	return g
}

func compiled(t testing.TB, hooks string) *hook.Set {
	t.Helper()
	file, d := config.Parse(t.TempDir()+"/hooks.yaml", []byte("hooks:\n"+hooks), config.Options{})
	set := &hook.Set{}
	if d.Err() == nil {
		set = hook.Compile(file.Root.Find("hooks"), hook.Context{Dir: t.TempDir(), Digest: "digest"}, d)
	}
	if d.Err() != nil {
		var text strings.Builder
		d.Print(&text, false)
		t.Fatal(text.String())
	}
	return set
}

type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// post sends a body and returns the answer.
func (g *gate) post(t *testing.T, path string, body io.Reader, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest("POST", g.server.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	response, err := g.server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(answer)
}
