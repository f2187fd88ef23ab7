package daemon_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/daemon"
)

const secret = "0123456789abcdef0123456789abcdef"

// running is a real daemon in this process, on ports of its own, in a folder of its own.
type running struct {
	t      *testing.T
	dir    string
	daemon *daemon.Daemon
	client *admin.Client
	log    *lines
	stop   func() error // stops it as SIGTERM does, and waits; the second call does nothing
	quick  func()
}

// header is the part of every test's configuration that keeps it to itself.
func header(dir string) string {
	return fmt.Sprintf("server: {listen: '127.0.0.1:0', drain: 10s}\nadmin: {listen: 'unix:%s/admin.sock'}\nstore: {url: 'sqlite:%s/t.db'}\n", dir, dir)
}

// start writes hooks.yaml and runs the daemon on it until the test ends.
func start(t *testing.T, hooks string) *running {
	t.Helper()
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+hooks)
	return startIn(t, dir)
}

// shortDir is a temporary folder whose path is short enough for a unix socket.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "th")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func startIn(t *testing.T, dir string) *running {
	t.Helper()
	return startWith(t, dir, config.Options{Path: filepath.Join(dir, "hooks.yaml")})
}

// run starts the daemon and ends it with the test.
func (r *running) run(o daemon.Options) {
	t := r.t
	t.Helper()
	d, err := daemon.New(t.Context(), o)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	quick, quickly := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx, quick) }()
	r.daemon, r.quick = d, quickly
	r.client = admin.NewClient("unix:"+r.dir+"/admin.sock", "")
	r.stop = sync.OnceValue(func() error {
		http.DefaultClient.CloseIdleConnections() // one that never sent anything would be waited for
		cancel()
		defer quickly()
		return <-done
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
		if t.Failed() {
			log := strings.Split(r.log.String(), "\n")
			t.Logf("end of the daemon's log:\n%s", strings.Join(log[max(0, len(log)-25):], "\n"))
		}
	})
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (r *running) url(path string) string { return "http://" + r.daemon.Addr().String() + path }

// answer is what a sender sees.
type answer struct {
	status int
	header http.Header
	body   string
	json   struct {
		Status, Delivery, Error string
		Jobs                    []string
	}
}

// push sends body as GitHub would: signed, with a delivery id and an event.
func (r *running) push(path, id, event, body string) answer {
	r.t.Helper()
	return r.send("POST", path, body, map[string]string{
		"X-Hub-Signature-256": sign(secret, body), "X-GitHub-Delivery": id, "X-GitHub-Event": event, "Content-Type": "application/json",
	})
}

func sign(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func (r *running) send(method, path, body string, header map[string]string) answer {
	r.t.Helper()
	a, err := send(method, r.url(path), body, header)
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

func send(method, url, body string, header map[string]string) (answer, error) {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	return sendRequest(req)
}

func sendRequest(req *http.Request) (answer, error) {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(b)}
	_ = json.Unmarshal(b, &a.json) // not every answer is JSON
	return a, nil
}

// job waits until the job has ended and returns it with its attempts.
func (r *running) job(id string) admin.JobDetail {
	r.t.Helper()
	var j admin.JobDetail
	r.eventually("job "+id+" to end", func() bool {
		var err error
		if j, err = r.client.Job(r.t.Context(), id); err != nil {
			r.t.Fatal(err)
		}
		return j.State.Terminal()
	})
	return j
}

// eventually polls until ok, for what another goroutine or process brings about.
func (r *running) eventually(what string, ok func() bool) {
	r.t.Helper()
	eventually(r.t, what, ok)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	within(t, 30*time.Second, what, ok)
}

func within(t *testing.T, most time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(most)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
		<-tick.C
	}
}

func (r *running) status() admin.Status {
	r.t.Helper()
	s, err := r.client.Status(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// lines is a log that can be read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// admin asks the admin side's API.
func (r *running) admin(path string) (status int, body string) {
	r.t.Helper()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", r.dir+"/admin.sock")
	}, DisableKeepAlives: true}}
	response, err := client.Get("http://localhost/api/v1/" + path)
	must(r.t, err)
	defer func() { _ = response.Body.Close() }()
	b, err := io.ReadAll(response.Body)
	must(r.t, err)
	return response.StatusCode, string(b)
}
