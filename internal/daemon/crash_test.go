package daemon_test

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store/postgres/postgrestest"
	"github.com/tenterhook/tenterhook/internal/store/sqlite"
)

// The program, built once for all tests that need a process of its own: as people run it, and with
// crash points.
var (
	plain    = sync.OnceValues(func() (string, error) { return compile("") })
	crashing = sync.OnceValues(func() (string, error) { return compile("crashpoint") })
	built    = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "tenterhook-test") })
)

func compile(tags string) (string, error) {
	dir, err := built()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "tenterhook"+tags)
	out, err := exec.Command("go", "build", "-tags", tags, "-o", path, "github.com/tenterhook/tenterhook/cmd/tenterhook").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return path, nil
}

// waiting is how many tests run at once unless -parallel says otherwise: most of them wait, for processes
// and for time to pass, which needs no processor.
const waiting = "8"

func TestMain(m *testing.M) {
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if !said {
		if err := flag.Set("test.parallel", waiting); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	postgrestest.Stop()
	if dir, err := built(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// build returns the program. TENTERHOOK_TEST_BUILT=skip skips the tests that need it: the race detector,
// for which .ci/run says so, is in this process and not in that program.
func build(t testing.TB) string {
	t.Helper()
	return unlessSkipped(t, plain)
}

// buildCrashing is build of the program with crash points.
func buildCrashing(t testing.TB) string {
	t.Helper()
	return unlessSkipped(t, crashing)
}

func unlessSkipped(t testing.TB, program func() (string, error)) string {
	t.Helper()
	needsBuilt(t)
	path, err := program()
	must(t, err)
	return path
}

func needsBuilt(t testing.TB) {
	t.Helper()
	if os.Getenv("TENTERHOOK_TEST_BUILT") == "skip" {
		t.Skip("needs the built program, which TENTERHOOK_TEST_BUILT=skip leaves out")
	}
}

// process is a daemon in a process of its own, which can be killed.
type process struct {
	cmd   *exec.Cmd
	url   string
	log   *lines
	exit  chan error
	ready chan string
}

// launch starts the binary in dir and waits until it says where it listens.
func launch(t testing.TB, dir string, env ...string) *process {
	t.Helper()
	cmd := exec.Command(build(t), "serve", "-c", filepath.Join(dir, "hooks.yaml"), "--log-format", "json")
	cmd.Env = env
	return launchCommand(t, dir, cmd)
}

// launchCommand starts a command that becomes the daemon.
func launchCommand(t testing.TB, dir string, cmd *exec.Cmd) *process {
	t.Helper()
	p := spawn(t, dir, cmd)
	select {
	case p.url = <-p.ready:
	case err := <-p.exit:
		t.Fatalf("daemon ended at start: %v\n%s", err, p.log)
	case <-time.After(30 * time.Second):
		p.kill()
		t.Fatalf("daemon did not say that it is ready\n%s", p.log)
	}
	return p
}

// spawn starts a command that becomes the daemon, unless it crashes before.
func spawn(t testing.TB, dir string, cmd *exec.Cmd) *process {
	t.Helper()
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}, cmd.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stderr, err := cmd.StderrPipe()
	must(t, err)
	must(t, cmd.Start())
	said := &lines{}
	p := &process{cmd: cmd, exit: make(chan error, 1), log: said, ready: make(chan string, 1)}
	go func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			_, _ = said.Write(append(lines.Bytes(), '\n'))
			var line struct{ Msg, Deliveries string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "ready" {
				p.ready <- "http://" + line.Deliveries
			}
		}
		_, _ = io.Copy(io.Discard, stderr)
		p.exit <- cmd.Wait()
	}()
	t.Cleanup(p.kill)
	return p
}

// end sends SIGTERM and waits for the daemon to have ended by itself.
func (p *process) end(t *testing.T) {
	t.Helper()
	must(t, p.cmd.Process.Signal(syscall.SIGTERM))
	p.wait(t)
}

func (p *process) wait(t *testing.T) {
	t.Helper()
	select {
	case err := <-p.exit:
		p.exit <- nil
		if err != nil {
			t.Errorf("daemon ended with %v\n%s", err, p.log)
		}
	case <-time.After(30 * time.Second):
		p.kill()
		t.Fatalf("daemon did not end\n%s", p.log)
	}
}

// kill ends the daemon as a crash does: it alone, its jobs' processes live on.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	select {
	case <-p.exit:
		p.exit <- nil
	case <-time.After(10 * time.Second):
	}
}

const crashHooks = `workers: 8
hooks:
  - name: once
    path: /once
    provider: github
    secret: ` + secret + `
    run: |
      echo "$HOOK_JOB $HOOK_ATTEMPT" >> "$LEDGER"
      sleep 0.00$PAUSE
    env: {LEDGER: "%[1]s", PAUSE: "${{ payload.pause }}"}
  - name: again
    path: /again
    provider: github
    secret: ` + secret + `
    run: |
      echo "$HOOK_JOB $HOOK_ATTEMPT" >> "$LEDGER"
      sleep 0.00$PAUSE
    env: {LEDGER: "%[1]s", PAUSE: "${{ payload.pause }}"}
    retry: {attempts: 100, initial: 0s, jitter: none}
`

// TestCrash_AcknowledgedIsNeverLostAndNoAttemptStartsTwice kills the daemon at random moments
// under load and then lets it finish: every acknowledged delivery's jobs are there and have
// ended, and the scripts' own ledger shows no attempt twice.
// TENTERHOOK_KILLS sets how many kills.
func TestCrash_AcknowledgedIsNeverLostAndNoAttemptStartsTwice(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	ledger := filepath.Join(dir, "ledger")
	keepsAll := strings.Replace(header(dir), "store: {", "store: {retention: {deliveries: 100000000}, ", 1)
	write(t, filepath.Join(dir, "hooks.yaml"), keepsAll+fmt.Sprintf(crashHooks, ledger))
	var acked sync.Map // job id → hook
	var accepted, unknown atomic.Int64
	var serial atomic.Int64
	kills := 0
	for range rounds(t, "TENTERHOOK_KILLS", 6) {
		kills++
		p := launch(t, dir)
		ctx, cancel := context.WithCancel(t.Context())
		var senders sync.WaitGroup
		for range 8 {
			senders.Go(func() { hammer(ctx, p.url, &serial, &acked, &accepted, &unknown) })
		}
		<-time.After(time.Duration(20+rand.IntN(600)) * time.Millisecond) // the moment of the crash
		p.kill()
		cancel()
		senders.Wait()
	}
	p := launch(t, dir)
	defer p.kill()
	checkLedger(t, dir, ledger, &acked)
	t.Logf("%d kills, %d deliveries acknowledged, %d requests with unknown outcome", kills, accepted.Load(), unknown.Load())
	none(t, accepted.Load(), "acknowledged deliveries was lost in %d kills", kills)
	if accepted.Load() == 0 {
		t.Error("nothing was acknowledged, nothing was shown")
	}
}

// hammer sends deliveries one after the other until ctx ends or the daemon is gone.
func hammer(ctx context.Context, url string, serial *atomic.Int64, acked *sync.Map, accepted, unknown *atomic.Int64) {
	for ctx.Err() == nil {
		n := serial.Add(1)
		path := []string{"/once", "/again"}[n%2]
		body := fmt.Sprintf(`{"n":%d,"pause":%d}`, n, rand.IntN(9))
		a, err := send("POST", url+path, body, map[string]string{
			"X-Hub-Signature-256": sign(secret, body), "X-GitHub-Delivery": fmt.Sprint(n), "X-GitHub-Event": "push",
		})
		if err != nil {
			unknown.Add(1)
			return
		}
		if a.status == 202 {
			accepted.Add(1)
			for _, id := range a.json.Jobs {
				acked.Store(id, path)
			}
		}
	}
}

func checkLedger(t *testing.T, dir, ledger string, acked *sync.Map) {
	t.Helper()
	s, err := sqlite.OpenReader(t.Context(), filepath.Join(dir, "t.db"))
	must(t, err)
	defer func() { _ = s.Close() }()
	drained(t, s)
	interrupted := 0
	acked.Range(func(id, path any) bool {
		j, err := s.Job(t.Context(), id.(string))
		switch {
		case err != nil:
			t.Errorf("acknowledged job %s of %s is lost: %v", id, path, err)
		case path == "/once" && j.State == job.Interrupted && j.Attempt == 1:
			interrupted++
		case j.State != job.Succeeded:
			t.Errorf("job %s of %s ended as %s: %s", id, path, j.State, j.Reason)
		}
		return true
	})
	starts := map[string]int{}
	for line := range strings.Lines(read(t, ledger)) {
		starts[line]++
	}
	for line, n := range starts {
		if n > 1 {
			t.Errorf("attempt started %d times: %s", n, line)
		}
	}
	t.Logf("%d jobs interrupted", interrupted)
	none(t, int64(len(starts)), "attempts that the scripts wrote down began twice")
}

func total(counts map[job.State]int) int {
	n := 0
	for _, c := range counts {
		n += c
	}
	return n
}
