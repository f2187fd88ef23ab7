package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

func TestMain(m *testing.M) {
	if url := os.Getenv("TEST_GET_AS_OTHER_USER"); url != "" {
		os.Exit(getAsOtherUser(url))
	}
	// The server waits half a second before it closes a connection whose body it has not read.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 123456789, time.UTC)

// id returns the nth of a row of ids, later ones being newer.
func id(n int) string { return fmt.Sprintf("019c0000-0000-7000-8000-%012d", n) }

// fake is a backend in memory.
type fake struct {
	mu         sync.Mutex
	deliveries []job.Delivery // newest first
	jobs       []job.Job      // newest first
	attempts   map[string][]job.Attempt
	live       map[string][]byte
	ready      error
	err        error // of every read and change
	reload     ReloadResult
	filter     store.Filter // the last one asked with
	changes    []string
	rejects    []job.Reject // newest first
	audits     []job.AuditEntry
	replays    []job.Replay // newest first
}

func (f *fake) Delivery(_ context.Context, id string) (job.Delivery, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range f.deliveries {
		if d.ID == id {
			return d, f.err
		}
	}
	return job.Delivery{}, fmt.Errorf("delivery %s: %w", id, store.ErrNotFound)
}

func (f *fake) Search(ctx context.Context, filter store.Filter, s Search) (Found, error) {
	if s.Match == "brnch" {
		return Found{}, &MatchError{Source: s.Match, Message: "unknown name", Width: 5, Hints: []string{"branch"}}
	}
	list, err := f.Deliveries(ctx, filter)
	return Found{Deliveries: list, Scanned: 7, Total: 9, Next: list[len(list)-1].ID, Failed: 1, Failure: "ü is no number"}, err
}

func (f *fake) Deliveries(_ context.Context, filter store.Filter) ([]job.Delivery, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.filter = filter
	from := 0
	if filter.Cursor != "" {
		from = slices.IndexFunc(f.deliveries, func(d job.Delivery) bool { return d.ID < filter.Cursor })
		if from < 0 {
			return nil, f.err
		}
	}
	return f.deliveries[from:min(len(f.deliveries), from+filter.Limit)], f.err
}

func (f *fake) Job(_ context.Context, id string) (job.Job, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, j := range f.jobs {
		if j.ID == id {
			return j, f.err
		}
	}
	return job.Job{}, fmt.Errorf("job %s: %w", id, store.ErrNotFound)
}

func (f *fake) Jobs(_ context.Context, filter store.Filter) ([]job.Job, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.filter = filter
	return f.jobs[:min(len(f.jobs), filter.Limit)], f.err
}

func (f *fake) Replay(_ context.Context, id string, which ReplayOf) ([]job.Job, error) {
	f.changes = append(f.changes, "replay "+string(which)+" "+id)
	return f.jobs[:1], nil
}

func (f *fake) Log(string, int) (io.ReadCloser, error) { return nil, store.ErrNotFound }

func (f *fake) Reports(context.Context, string) ([]job.Report, error)     { return nil, nil }
func (f *fake) FollowUps(context.Context, string) ([]job.FollowUp, error) { return nil, nil }

func (f *fake) SetPause(_ context.Context, hook, rule string, on bool) error {
	if hook == "nope" {
		return store.ErrNotFound
	}
	f.changes = append(f.changes, fmt.Sprintf("%s/%s %t", hook, rule, on))
	return nil
}

func (f *fake) Rejects(_ context.Context, filter store.Filter) ([]job.Reject, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.filter = filter
	return f.rejects[:min(len(f.rejects), filter.Limit)], f.err
}

func (f *fake) AuditLog(_ context.Context, before int64, most int) (page []job.AuditEntry, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range slices.Backward(f.audits) {
		if (before == 0 || e.N < before) && len(page) < most {
			page = append(page, e)
		}
	}
	return page, f.err
}

func (f *fake) AuditAnchor(context.Context) (job.AuditAnchor, error) { return job.AuditAnchor{}, f.err }

func (f *fake) Audit(_ context.Context, e job.AuditEntry) (job.AuditEntry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var last job.AuditAnchor
	if n := len(f.audits); n > 0 {
		last = job.AuditAnchor{N: f.audits[n-1].N, Hash: f.audits[n-1].Hash}
	}
	e.Seal(last)
	f.audits = append(f.audits, e)
	return e, nil
}

func (f *fake) Explain(context.Context, ExplainRequest) (hook.Explanation, error) {
	return hook.Explanation{Hook: "site"}, f.err
}

func (f *fake) CountReplay(_ context.Context, filter job.ReplayFilter) (ReplayCount, error) {
	return ReplayCount{Deliveries: 3, Jobs: 2}, f.err
}

func (f *fake) StartReplay(_ context.Context, who string, q ReplayRequest) (job.Replay, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return job.Replay{}, f.err
	}
	r := job.Replay{ID: id(70 + len(f.replays)), Who: who, Asked: q.ReplayFilter, Rate: q.Rate, Status: job.ReplayRunning, CreatedAt: noon}
	f.replays = append([]job.Replay{r}, f.replays...)
	return r, nil
}

func (f *fake) CatchUp(_ context.Context, hook, since string) (Caught, error) {
	if hook != "site" {
		return Caught{}, store.ErrNotFound
	}
	return Caught{Hook: hook, Listed: 3, Known: 1, Taken: 2, More: since == "7d"}, f.err
}

func (f *fake) CancelReplay(_ context.Context, id string) (job.Replay, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.replays {
		if f.replays[i].ID == id {
			f.replays[i].Status = job.ReplayCancelled
			return f.replays[i], f.err
		}
	}
	return job.Replay{}, store.ErrNotFound
}

func (f *fake) Replays() []job.Replay {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.replays)
}

func (f *fake) Attempts(_ context.Context, id string) ([]job.Attempt, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.attempts[id]), f.err
}

func (f *fake) Counts(context.Context) (map[job.State]int, error) {
	return map[job.State]int{job.Queued: 3, job.Running: 1}, f.err
}

func (f *fake) Ready(context.Context) error { return f.ready }

func (f *fake) Output(id string) ([]byte, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out, ok := f.live[id]
	return out, ok
}

func (f *fake) Retry(ctx context.Context, id string) (job.Job, error) {
	j, err := f.Job(ctx, id)
	f.changed("retry "+id, err)
	j.State = job.Queued
	return j, err
}

func (f *fake) Cancel(ctx context.Context, id string) error {
	_, err := f.Job(ctx, id)
	f.changed("cancel "+id, err)
	return err
}

func (f *fake) Reload(context.Context) (ReloadResult, error) {
	f.changed("reload", f.err)
	return f.reload, f.err
}

func (f *fake) changed(what string, err error) {
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changes = append(f.changes, what)
}

func (f *fake) Nodes(context.Context, bool) ([]store.Node, error) { return nil, nil }

func (f *fake) Hooks() []HookInfo { return []HookInfo{{Name: "site", Path: "/github", Secrets: 2}} }

func (f *fake) Status() Status {
	return Status{Version: "v1", PID: 7, StartedAt: Time{noon}, Config: ConfigStatus{Digest: "0123456789ab", LastReloadOK: true}, Hooks: 1}
}

// change changes what the backend has.
func (f *fake) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

func (f *fake) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.changes)
}

// sample is a backend with two deliveries and two jobs: one failed, one running.
func sample() *fake {
	one := 1
	return &fake{
		deliveries: []job.Delivery{
			{ID: id(2), Hook: "site", Key: "k2", Event: "ping", ReceivedAt: noon, Outcome: job.Ignored, Origin: "request", Method: "POST", Path: "/github", IP: "192.0.2.1", Secret: -1, Config: "0123456789ab"},
			{
				ID: id(1), Hook: "site", Key: "k1", Event: "push", ReceivedAt: noon.Add(-time.Minute), Outcome: job.Accepted, Origin: "request",
				Method: "POST", Path: "/github", Query: "a=b", IP: "192.0.2.1", Size: 25, Config: "0123456789ab", JobIDs: []string{id(11), id(12)},
				Header: http.Header{"Content-Type": {"text/html"}}, Withheld: []string{"X-Hub-Signature-256"},
				Body:     []byte("<script>alert(1)</script>"),
				Verdicts: []job.RuleVerdict{{Rule: "deploy", Verdict: job.Match}, {Rule: "announce", Verdict: job.Error, Error: "nil"}},
			},
		},
		jobs: []job.Job{
			{ID: id(12), Delivery: id(1), Hook: "site", Rule: "announce", State: job.Running, Attempt: 1, RunAt: noon, CreatedAt: noon, StartedAt: noon},
			{ID: id(11), Delivery: id(1), Hook: "site", Rule: "deploy", State: job.Failed, Reason: "exit status 1", Attempt: 2, RunAt: noon, CreatedAt: noon, StartedAt: noon, FinishedAt: noon.Add(time.Second), ExitCode: &one, Error: "exit status 1"},
		},
		attempts: map[string][]job.Attempt{
			id(11): {
				{N: 1, StartedAt: noon, FinishedAt: noon.Add(time.Second), Signal: "killed", Output: []byte("first\n")},
				{N: 2, StartedAt: noon, FinishedAt: noon.Add(time.Second), ExitCode: &one, Error: "exit status 1", Output: []byte("se\xffcond\n")},
			},
			id(12): {{N: 1, StartedAt: noon}},
		},
		live:   map[string][]byte{id(12): []byte("so far\n")},
		reload: ReloadResult{Changed: true, Digest: "0123456789ab", NeedsRestart: []string{"server.listen"}},
	}
}

// door is a running admin listener.
type door struct {
	*fake
	t    *testing.T
	addr string
	log  *lockedBuffer
}

// open serves b at listen ("127.0.0.1:0" when "") until the test ends.
func open(t *testing.T, b *fake, o Options) *door {
	t.Helper()
	return openWith(t, b, o, func(*http.Server) {})
}

// openWith is open with a server that is changed before it serves.
func openWith(t *testing.T, b *fake, o Options, change func(*http.Server)) *door {
	t.Helper()
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	l, err := Listen(o.Listen)
	if err != nil {
		t.Fatal(err)
	}
	log := &lockedBuffer{}
	o.Log = slog.New(slog.NewTextHandler(log, nil))
	s := NewServer(Handler(b, o), nil)
	change(s)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
	return &door{fake: b, t: t, addr: l.Addr().String(), log: log}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends one request on its own connection; header lines are "Name: value", "Host: …" among
// them.
func (d *door) ask(method, path string, header ...string) answer {
	d.t.Helper()
	return d.send(method, path, "", header...)
}

func (d *door) send(method, path, body string, header ...string) answer {
	d.t.Helper()
	req, err := http.NewRequest(method, "http://"+d.addr+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Close = true
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			req.Host = value
			continue
		}
		req.Header.Add(name, value)
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", d.addr)
	}}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(got)}
}

func diagnostic(severity config.Severity) config.Diagnostic {
	return config.Diagnostic{
		Severity: severity, Pos: config.Pos{File: "hooks.yaml", Line: 4, Col: 14},
		Message: `unknown name "boddy"`, Hints: []string{`did you mean "body"?`},
	}
}

func (f *fake) Push(context.Context, string, PushRequest) (Pushed, error) { return Pushed{}, nil }

func (f *fake) Configurations(context.Context) ([]store.Configuration, error) { return nil, nil }

func (f *fake) Configuration(context.Context, int64) (store.Configuration, error) {
	return store.Configuration{}, store.ErrNotFound
}
