// Package bench measures the real daemon from outside, beside the limits of the machine and
// beside a peer, in one run:
//
//	go test ./internal/bench -run '^$' -bench . -benchtime 5s
//
// Each line is closed-loop load over loopback from this process, on the same cores. Read the
// ratios, not the figures: both depend on the machine, the ratios less so. The peer is the
// `webhook` program (Debian's package of that name); without it its lines are skipped.
package bench

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const secret = "0123456789abcdef0123456789abcdef"

// payload is a push to main of about 2 kB, cut from GitHub's published example.
var payload = func() string {
	commit := `{"id":"%040d","message":"Update README.md","timestamp":"2019-05-15T11:20:30-04:00","author":{"name":"Codertocat","email":"21031067+Codertocat@users.noreply.github.com","username":"Codertocat"},"added":[],"removed":[],"modified":["README.md"]}`
	var commits []string
	for i := range 6 {
		commits = append(commits, fmt.Sprintf(commit, i))
	}
	return `{"ref":"refs/heads/main","before":"6113728f27ae82c7b1a177c8d03f9e96e0adf246","after":"ec26c3e57ca3a959ca5aad62de7213c562f8c821","repository":{"id":186853002,"full_name":"Codertocat/Hello-World","private":false},"pusher":{"name":"Codertocat"},"commits":[` + strings.Join(commits, ",") + `]}`
}()

func signature(body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

var connections = []int{1, 16, 64}

// BenchmarkFdatasync is the disk's own limit: one 4 kB overwrite and fdatasync after the other.
func BenchmarkFdatasync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "sync"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	page := make([]byte, 4096)
	if _, err := f.Write(page); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := f.WriteAt(page, 0); err != nil {
			b.Fatal(err)
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "syncs/s")
}

// BenchmarkAccept is the daemon: signature checked, rule evaluated, delivery and job on disk
// before the answer. The one worker is busy, so no processes are started.
func BenchmarkAccept(b *testing.B) {
	for _, n := range connections {
		// One daemon for each, since it takes no more than 100,000 jobs that wait.
		d := startDaemon(b, "event == \"push\" && branch == \"main\"")
		d.occupy(b)
		b.Run(fmt.Sprintf("job/conns=%d", n), func(b *testing.B) { load(b, d.addr, "/site", n, 202, true) })
	}
	other := startDaemon(b, "event == \"push\" && branch == \"other\"")
	for _, n := range connections {
		b.Run(fmt.Sprintf("no-match/conns=%d", n), func(b *testing.B) { load(b, other.addr, "/site", n, 200, true) })
	}
	for _, n := range connections {
		b.Run(fmt.Sprintf("duplicate/conns=%d", n), func(b *testing.B) { load(b, other.addr, "/site", n, 200, false) })
	}
}

// BenchmarkPeer is the peer on the same payload: signature checked, rule evaluated, nothing
// stored. With a rule that matches it also starts a process for each request.
func BenchmarkPeer(b *testing.B) {
	bin, err := exec.LookPath("webhook")
	if err != nil {
		b.Skip("the peer is not here: apt-get install webhook")
	}
	for _, kind := range []struct{ name, ref string }{{"no-match", "refs/heads/other"}, {"match-runs-true", "refs/heads/main"}} {
		addr := startPeer(b, bin, kind.ref)
		for _, n := range connections {
			b.Run(fmt.Sprintf("%s/conns=%d", kind.name, n), func(b *testing.B) { load(b, addr, "/hooks/site", n, 200, true) })
		}
	}
}

// load sends b.N requests over n connections, each with a delivery id of its own unless unique
// is false, and reports the rate and the latencies.
func load(b *testing.B, addr, path string, n, status int, unique bool) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(b.N))
	var all sync.WaitGroup
	latencies := make([][]time.Duration, n)
	errs := make(chan error, n)
	b.ResetTimer()
	for i := range n {
		all.Go(func() {
			var err error
			if latencies[i], err = client(addr, path, status, unique, &left); err != nil {
				errs <- err
			}
		})
	}
	all.Wait()
	b.StopTimer()
	close(errs)
	for err := range errs {
		b.Fatal(err)
	}
	sorted := slices.Concat(latencies...)
	slices.Sort(sorted)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
	b.ReportMetric(float64(sorted[len(sorted)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(sorted[len(sorted)*99/100].Microseconds())/1000, "p99-ms")
}

var serial atomic.Int64

// client sends requests over one connection until none is left.
func client(addr, path string, status int, unique bool, left *atomic.Int64) ([]time.Duration, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	r := bufio.NewReader(c)
	head := "POST " + path + " HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nX-GitHub-Event: push\r\nX-Hub-Signature-256: sha256=" +
		signature(payload) + "\r\nContent-Length: " + strconv.Itoa(len(payload)) + "\r\nX-GitHub-Delivery: "
	var took []time.Duration
	buf := make([]byte, 0, len(head)+len(payload)+64)
	for left.Add(-1) >= 0 {
		id := int64(0)
		if unique {
			id = serial.Add(1)
		}
		buf = append(append(strconv.AppendInt(append(buf[:0], head...), id, 10), "\r\n\r\n"...), payload...)
		began := time.Now()
		if _, err := c.Write(buf); err != nil {
			return took, err
		}
		if err := answer(r, status); err != nil {
			return took, err
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

// answer reads one response and checks its status.
func answer(r *bufio.Reader, status int) error {
	line, err := r.ReadString('\n')
	if err != nil {
		return err
	}
	first := line
	length := 0
	for strings.TrimSpace(line) != "" {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(name, "Content-Length") {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return err
			}
		}
		if line, err = r.ReadString('\n'); err != nil {
			return err
		}
	}
	if strings.Contains(first, " "+strconv.Itoa(status)+" ") {
		_, err = r.Discard(length)
		return err
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return err
	}
	return fmt.Errorf("answer %q %s, want %d", strings.TrimSpace(first), body, status)
}

type server struct{ addr string }

// program builds the program once, into a folder that TestMain removes.
var program = sync.OnceValues(func() (string, error) {
	bin := filepath.Join(programDir, "tenterhook")
	out, err := exec.Command("go", "build", "-o", bin, "github.com/tenterhook/tenterhook/cmd/tenterhook").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return bin, nil
})

var programDir string

func TestMain(m *testing.M) {
	var err error
	if programDir, err = os.MkdirTemp("", "tenterhook-bench"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(programDir)
	os.Exit(code)
}

// startDaemon builds and starts the program on a configuration with one rule.
func startDaemon(b *testing.B, match string) server {
	b.Helper()
	return startConfigured(b, fmt.Sprintf(`server: {listen: '127.0.0.1:0', drain: 1s}
admin: {listen: '127.0.0.1:0'}
workers: 1
hooks:
  - {name: site, path: /site, provider: github, secret: %s, match: '%s', run: "exec sleep 600"}
`, secret, match))
}

// startConfigured builds and starts the program on a configuration.
func startConfigured(b *testing.B, config string) server {
	b.Helper()
	bin, err := program()
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	file := filepath.Join(dir, "hooks.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(bin, "serve", "-c", file, "--log-format", "json")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	ready := make(chan string, 1)
	var reading sync.WaitGroup
	reading.Go(func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			var line struct{ Msg, Deliveries string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "ready" {
				ready <- line.Deliveries
				break
			}
		}
		_, _ = io.Copy(io.Discard, stderr)
	})
	b.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		reading.Wait()
		_ = cmd.Wait()
	})
	select {
	case addr := <-ready:
		return server{addr}
	case <-time.After(30 * time.Second):
		b.Fatal("the daemon did not say that it is ready")
	}
	return server{}
}

// occupy gives the one worker something to do for the whole run.
func (s server) occupy(b *testing.B) {
	b.Helper()
	var one atomic.Int64
	one.Store(1)
	if _, err := client(s.addr, "/site", 202, true, &one); err != nil {
		b.Fatal(err)
	}
}

// startPeer starts the peer with the same check and one rule on the ref.
func startPeer(b *testing.B, bin, ref string) string {
	b.Helper()
	hooks := fmt.Sprintf(`[{"id":"site","execute-command":"/bin/true","trigger-rule":{"and":[
{"match":{"type":"payload-hmac-sha256","secret":"%s","parameter":{"source":"header","name":"X-Hub-Signature-256"}}},
{"match":{"type":"value","value":"%s","parameter":{"source":"payload","name":"ref"}}}]}}]`, secret, ref)
	file := filepath.Join(b.TempDir(), "hooks.json")
	if err := os.WriteFile(file, []byte(hooks), 0o600); err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close() // the peer cannot take a listener over; nobody else takes ports here
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command(bin, "-hooks", file, "-ip", "127.0.0.1", "-port", port)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			return addr
		}
	}
	b.Fatal("the peer does not listen")
	return ""
}
