package admin

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

func TestClient_SeesWhatTheBackendHas(t *testing.T) {
	b := sample()
	d := open(t, b, Options{Token: []byte("t0ken")})
	c := NewClient(d.addr, "t0ken")
	defer c.Close()
	ctx := t.Context()

	list, next, err := c.Deliveries(ctx, store.Filter{Limit: 1})
	if err != nil || len(list) != 1 || next != id(2) {
		t.Fatalf("deliveries: %v, next %q, %v", list, next, err)
	}
	list, next, err = c.Deliveries(ctx, store.Filter{Cursor: next})
	if err != nil || next != "" || len(list) != 1 || list[0].ID != id(1) || len(list[0].Jobs) != 2 {
		t.Errorf("next page: %v, next %q, %v", list, next, err)
	}
	one, err := c.Delivery(ctx, id(1))
	if err != nil || !cmp.Equal(one.Rules, newRuleVerdicts(b.deliveries[1].Verdicts), cmpopts.EquateEmpty()) || one.ReceivedAt.String() != "2026-01-02T11:59:00.123Z" {
		t.Errorf("delivery: %+v, %v", one, err)
	}
	if body, err := c.Body(ctx, id(1)); err != nil || string(body) != "<script>alert(1)</script>" {
		t.Errorf("body: %q, %v", body, err)
	}
	jobs, _, err := c.Jobs(ctx, store.Filter{State: job.Failed})
	if err != nil || len(jobs) != 2 || b.filter.State != job.Failed || *jobs[1].ExitCode != 1 || !jobs[0].FinishedAt.IsZero() {
		t.Errorf("jobs: %+v, %v", jobs, err)
	}
	if j, err := c.Job(ctx, id(11)); err != nil || len(j.Attempts) != 2 || j.Rule != "deploy" {
		t.Errorf("job: %+v, %v", j, err)
	}
	o, err := c.Output(ctx, id(12), 0)
	if diff := cmp.Diff(Output{Body: []byte("so far\n"), State: job.Running, Attempt: 1}, o); diff != "" || err != nil {
		t.Errorf("output: %v\n%s", err, diff)
	}
	if o, err := c.Output(ctx, id(11), 1); err != nil || string(o.Body) != "first\n" {
		t.Errorf("output of attempt 1: %q, %v", o.Body, err)
	}
	if j, err := c.Retry(ctx, id(11)); err != nil || j.State != job.Queued {
		t.Errorf("retry: %+v, %v", j, err)
	}
	if err := c.Cancel(ctx, id(12)); err != nil {
		t.Errorf("cancel: %v", err)
	}
	if r, err := c.Reload(ctx); err != nil || !r.Changed || r.Digest == "" {
		t.Errorf("reload: %+v, %v", r, err)
	}
	if s, err := c.Status(ctx); err != nil || s.Jobs[job.Queued] != 3 || !s.Ready {
		t.Errorf("status: %+v, %v", s, err)
	}
	if h, err := c.Hooks(ctx); err != nil || len(h) != 1 || h[0].Secrets != 2 {
		t.Errorf("hooks: %+v, %v", h, err)
	}
}

func TestClient_RefusalsAreProblems(t *testing.T) {
	b := sample()
	d := open(t, b, Options{})
	c := NewClient(d.addr, "")
	defer c.Close()
	_, err := c.Job(t.Context(), id(99))
	if !errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrFenced) {
		t.Errorf("no such job: %v", err)
	}
	b.reload.Problems = []config.Diagnostic{diagnostic(config.Problem)}
	_, err = c.Reload(t.Context())
	var p *Problem
	if !errors.As(err, &p) || p.Status != 422 || len(p.Problems) != 1 || p.Problems[0].Line != 4 {
		t.Errorf("reload: %#v", err)
	}
	b.err = store.ErrFenced
	if err := c.Cancel(t.Context(), id(11)); !errors.Is(err, store.ErrFenced) {
		t.Errorf("cancel of a job that moved on: %v", err)
	}
}

func TestClient_Unreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	for _, listen := range []string{l.Addr().String(), "unix:" + filepath.Join(t.TempDir(), "none")} {
		c := NewClient(listen, "s3cret-token")
		_, err := c.Status(t.Context())
		if !errors.Is(err, ErrUnreachable) || !Dead(err) {
			t.Errorf("%s: %v", listen, err)
		}
		if !strings.HasPrefix(err.Error(), "cannot reach the daemon at "+strings.TrimPrefix(listen, "unix:")+": ") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the error reads %q", err)
		}
	}
}

func TestClient_TellsWhatIsNotTheDaemon(t *testing.T) {
	for name, serve := range map[string]http.HandlerFunc{
		"another server": func(w http.ResponseWriter, _ *http.Request) { http.NotFound(w, nil) },
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		},
		"a page": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(serve)
			defer s.Close()
			c := NewClient(strings.TrimPrefix(s.URL, "http://"), "")
			defer c.Close()
			if _, err := c.Status(t.Context()); err == nil || errors.Is(err, ErrUnreachable) {
				t.Errorf("status: %v", err)
			}
		})
	}
}

func TestDialAddress(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:9001": "127.0.0.1:9001",
		":9001":          "127.0.0.1:9001",
		"0.0.0.0:9001":   "127.0.0.1:9001",
		"[::]:9001":      "[::1]:9001",
		"admin.lan:9001": "admin.lan:9001",
	} {
		if got := dialAddress(listen); got != want {
			t.Errorf("dialAddress(%q) = %q, want %q", listen, got, want)
		}
	}
}
