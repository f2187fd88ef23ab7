package cli

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

func TestMain(m *testing.M) {
	time.Local = time.UTC
	testscript.Main(m, map[string]func(){
		"tenterhook": func() { os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ())) },
	})
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// id is a UUIDv7 that ends in n.
func id(n int) string { return fmt.Sprintf("019c0000-0000-7000-8000-%012d", n) }

// kept is a store in memory.
type kept struct {
	deliveries []job.Delivery // newest first
	jobs       []job.Job      // newest first
	attempts   map[string][]job.Attempt
	rejects    []job.Reject
}

func (k *kept) Close() error { return nil }

func (k *kept) Delivery(_ context.Context, id string) (job.Delivery, error) {
	if i := slices.IndexFunc(k.deliveries, func(d job.Delivery) bool { return d.ID == id }); i >= 0 {
		return k.deliveries[i], nil
	}
	return job.Delivery{}, fmt.Errorf("delivery %s: %w", id, store.ErrNotFound)
}

func (k *kept) Deliveries(_ context.Context, f store.Filter) ([]job.Delivery, error) {
	var list []job.Delivery
	for _, d := range k.deliveries {
		if (f.Event == "" || d.Event == f.Event) && len(list) < f.Limit {
			list = append(list, d)
		}
	}
	return list, nil
}

func (k *kept) ReadDeliveries(ctx context.Context, f store.Filter, _ int) ([]job.Delivery, error) {
	if f.Cursor != "" {
		return nil, nil // all fit on the first page
	}
	return k.Deliveries(ctx, f)
}

func (k *kept) Holding(context.Context, string) (job.Held, error) {
	return job.Held{}, store.ErrNotFound
}

func (k *kept) CountDeliveries(context.Context, store.Filter) (int, error) {
	return len(k.deliveries), nil
}

func (k *kept) Job(_ context.Context, id string) (job.Job, error) {
	if i := slices.IndexFunc(k.jobs, func(j job.Job) bool { return j.ID == id }); i >= 0 {
		return k.jobs[i], nil
	}
	return job.Job{}, fmt.Errorf("job %s: %w", id, store.ErrNotFound)
}

func (k *kept) Jobs(_ context.Context, f store.Filter) ([]job.Job, error) {
	var list []job.Job
	for _, j := range k.jobs {
		if (f.State == "" || j.State == f.State) && (f.Delivery == "" || j.Delivery == f.Delivery) && len(list) < f.Limit {
			list = append(list, j)
		}
	}
	return list, nil
}

func (k *kept) Reports(context.Context, string) ([]job.Report, error)     { return nil, nil }
func (k *kept) FollowUps(context.Context, string) ([]job.FollowUp, error) { return nil, nil }

func (k *kept) Attempts(_ context.Context, id string) ([]job.Attempt, error) {
	return k.attempts[id], nil
}

func (k *kept) Rejects(context.Context, store.Filter) ([]job.Reject, error) { return k.rejects, nil }

func (k *kept) AuditLog(context.Context, int64, int) ([]job.AuditEntry, error) { return nil, nil }

func (k *kept) AuditAnchor(context.Context) (job.AuditAnchor, error) { return job.AuditAnchor{}, nil }

func exit(n int) *int { return &n }

// sample has a delivery that made three jobs, and one from somebody hostile.
func sample() *kept {
	received := noon.Add(-90 * time.Second)
	return &kept{
		deliveries: []job.Delivery{
			{
				ID: id(2), Hook: "site", Event: "\x1b]0;owned\x07\u202eevil", Key: "k\n2", ReceivedAt: noon.Add(-3 * time.Second), Outcome: job.Ignored,
				Origin: "request", Method: "POST", Path: "/github", IP: "192.0.2.66", Size: 9, Secret: -1, Config: "0123456789ab",
				Header: http.Header{"X-Title": {"\x1b]0;owned\x07"}}, Body: []byte("a\x1b[2Jb\xff"),
			},
			{
				ID: id(1), Hook: "site", Event: "push", Key: "72d3162e", ReceivedAt: received, Outcome: job.Accepted, Origin: "request",
				Method: "POST", Path: "/github", Query: "v=1", IP: "192.0.2.1", Size: 2345, Secret: 1, Config: "0123456789ab",
				Header:   http.Header{"Content-Type": {"application/json"}, "Accept": {"*/*", "text/html"}},
				Withheld: []string{"X-Hub-Signature-256"},
				Body:     []byte(`{"ref":"refs/heads/main","n":12345678901234567890,"who":{"name":"Zoë"},"none":[]}`),
				Verdicts: []job.RuleVerdict{
					{Rule: "deploy", Verdict: job.Match},
					{Rule: "docs", Verdict: job.NoMatch},
					{Rule: "announce", Verdict: job.Error, Error: "no field \"tag\" in\nnil"},
				},
				JobIDs: []string{id(11), id(12), id(13)},
			},
		},
		jobs: []job.Job{
			{ID: id(13), Delivery: id(1), Hook: "site", Rule: "mail", State: job.Queued, CreatedAt: received, RunAt: received, Reason: "waits for its lane"},
			{ID: id(12), Delivery: id(1), Hook: "site", Rule: "build", State: job.Running, Attempt: 1, CreatedAt: received, StartedAt: received.Add(time.Second)},
			{
				ID: id(11), Delivery: id(1), Hook: "site", Rule: "deploy", State: job.Failed, Reason: "exit status 3", Attempt: 2, CreatedAt: received,
				StartedAt: received.Add(12 * time.Second), FinishedAt: received.Add(77 * time.Second), ExitCode: exit(3), Error: "exit status 3", ConcurrencyKey: "deploy-acme/site",
			},
		},
		attempts: map[string][]job.Attempt{
			id(11): {
				{N: 1, StartedAt: received.Add(time.Millisecond), FinishedAt: received.Add(251 * time.Millisecond), Signal: "killed", Output: []byte("first\n")},
				{
					N: 2, StartedAt: received.Add(12 * time.Second), FinishedAt: received.Add(77 * time.Second), ExitCode: exit(3), Error: "exit status 3",
					Output: []byte("building\r\n\x1b[31mbroken\x1b[0m \x1b]52;c;b3duZWQ=\x07\nbye\n"),
				},
			},
			id(12): {{N: 1, StartedAt: received.Add(time.Second)}},
		},
	}
}

// result is what one run of the command line left.
type result struct {
	status         int
	stdout, stderr string
}

// offline runs the command line with a configuration whose daemon is down and whose store is k.
func offline(t *testing.T, k *kept, args ...string) result {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "hooks.yaml")
	write(t, file, "admin:\n  listen: "+nobodyListens(t)+"\nstore:\n  url: sqlite:x.db\n")
	write(t, filepath.Join(dir, "x.db"), "")
	var stdout, stderr bytes.Buffer
	status := run(args, &env{
		ctx: t.Context(), stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr,
		environ: []string{"TENTERHOOK_CONFIG=" + file}, now: func() time.Time { return noon }, every: time.Millisecond,
		openStore: func(context.Context, string) (reader, error) { return k, nil },
	})
	said := strings.ReplaceAll(stderr.String(), "tenterhook: the daemon is not running, reading "+filepath.Join(dir, "x.db")+"\n", "")
	return result{status, stdout.String(), strings.ReplaceAll(said, dir, "DIR")}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// nobodyListens is an address that refuses connections.
func nobodyListens(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
