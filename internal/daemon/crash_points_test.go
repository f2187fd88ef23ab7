package daemon_test

import (
	"context"
	"errors"
	"fmt"
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

	"github.com/tenterhook/tenterhook/internal/crashpoint"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/sqlite"
)

// pointHooks have every way a job can go: once and never again, with further attempts that some
// need, and with follow-ups.
const pointHooks = `workers: 4
hooks:
  - name: once
    path: /once
    provider: github
    secret: ` + secret + `
    run: |
      echo "run $HOOK_JOB $HOOK_ATTEMPT $N" >> "$LEDGER"
      echo began; sleep 0.00$PAUSE
    env: {LEDGER: "%[1]s", PAUSE: "${{ payload.pause }}", N: "${{ payload.n }}"}
  - name: again
    path: /again
    provider: github
    secret: ` + secret + `
    run: |
      echo "run $HOOK_JOB $HOOK_ATTEMPT $N" >> "$LEDGER"
      echo began; sleep 0.00$PAUSE
      [ "$PAUSE" != 1 ] || [ "$HOOK_ATTEMPT" != 1 ]
    env: {LEDGER: "%[1]s", PAUSE: "${{ payload.pause }}", N: "${{ payload.n }}"}
    retry: {attempts: 100, initial: 0s, jitter: none}
    on_success: [{run: 'echo "after $HOOK_JOB" >> "$LEDGER"', env: {LEDGER: "%[1]s"}, retry: {attempts: 100, initial: 0s}}]
`

// crashPoints are the points by what brings the daemon there. One that is not listed here fails
// TestCrashPoints.
var crashPoints = map[crashpoint.Point]func(*pointWalk, crashpoint.Point, int){
	crashpoint.Migration:       (*pointWalk).atFirstStart,
	crashpoint.MidPurge:        (*pointWalk).atRetention,
	crashpoint.RecoveryRead:    (*pointWalk).atRecovery,
	crashpoint.RecoverySwept:   (*pointWalk).atRecovery,
	crashpoint.RecoveryCutOff:  (*pointWalk).atRecovery,
	crashpoint.ReloadValidated: (*pointWalk).atReload,
	crashpoint.ReloadSwapped:   (*pointWalk).atReload,
	crashpoint.DrainBegin:      (*pointWalk).atStop,
	crashpoint.DrainEnd:        (*pointWalk).atStop,
	crashpoint.MidCheckpoint:   (*pointWalk).atStop,
}

// TestCrashPoints_NothingIsLostAndNothingRunsTwice ends the daemon at each named point, lets it
// take up its work, sends again what has no answer, and holds the scripts' own ledger against what
// was acknowledged: each delivery made one job, each attempt began once, every job ended.
// TENTERHOOK_POINT_REPEATS sets how often for each point.
func TestCrashPoints_NothingIsLostAndNothingRunsTwice(t *testing.T) {
	if _, err := crashing(); err != nil {
		t.Fatal(err)
	}
	var crashes, acked atomic.Int64
	t.Run("at", func(t *testing.T) {
		for _, point := range crashpoint.All {
			t.Run(string(point), func(t *testing.T) {
				t.Parallel()
				bring := crashPoints[point]
				if bring == nil {
					bring = (*pointWalk).underLoad
				}
				w := newPointWalk(t)
				for i := range count("TENTERHOOK_POINT_REPEATS", 1) {
					bring(w, point, i)
					crashes.Add(1)
				}
				w.finish()
				acked.Add(w.acked)
			})
		}
	})
	t.Logf("%d crashes at %d points, %d deliveries acknowledged", crashes.Load(), len(crashpoint.All), acked.Load())
}

// pointWalk is one store and its ledger through all crashes of one point.
type pointWalk struct {
	t      *testing.T
	dir    string
	ledger string
	serial atomic.Int64

	mu      sync.Mutex
	jobs    map[string]int64 // acknowledged
	unknown map[int64]string // requests that have no answer, to be sent again
	acked   int64
}

func newPointWalk(t *testing.T) *pointWalk {
	w := &pointWalk{t: t, dir: shortDir(t), jobs: map[string]int64{}, unknown: map[int64]string{}}
	w.ledger = filepath.Join(w.dir, "ledger")
	w.configure("")
	return w
}

func (w *pointWalk) configure(more string) {
	text := header(w.dir) + fmt.Sprintf(pointHooks, w.ledger)
	if more != "" {
		text = strings.Replace(text, "store: {", "store: {"+more+", ", 1)
	}
	write(w.t, filepath.Join(w.dir, "hooks.yaml"), text)
}

func (w *pointWalk) command(point string) *exec.Cmd {
	path, err := crashing()
	must(w.t, err)
	cmd := exec.Command(path, "serve", "-c", filepath.Join(w.dir, "hooks.yaml"), "--log-format", "json")
	cmd.Env = []string{"TENTERHOOK_CRASH=" + point}
	return cmd
}

// crashed waits for the daemon's end by SIGKILL, its own.
func (w *pointWalk) crashed(p *process, point crashpoint.Point) {
	w.t.Helper()
	select {
	case err := <-p.exit:
		p.exit <- nil
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			w.t.Fatalf("daemon ended with %v instead of a crash at %s\n%s", err, point, p.log)
		}
	case <-time.After(60 * time.Second):
		p.kill()
		w.t.Fatalf("%s was not reached\n%s", point, p.log)
	}
}

// passes is how often a point is passed before the crash: not at all the first time.
func passes(i, most int) int {
	if i == 0 {
		return 1
	}
	return 1 + rand.IntN(most)
}

func (w *pointWalk) underLoad(point crashpoint.Point, i int) {
	most := 20
	if point == crashpoint.AfterAccept {
		most = 3 // connections are kept
	}
	p := spawn(w.t, w.dir, w.command(fmt.Sprintf("%s:%d", point, passes(i, most))))
	select {
	case p.url = <-p.ready:
		defer w.load(p)()
	case err := <-p.exit: // what the crash before left brought it there
		p.exit <- err
	}
	w.crashed(p, point)
}

func (w *pointWalk) atStop(point crashpoint.Point, i int) {
	p := launchCommand(w.t, w.dir, w.command(fmt.Sprintf("%s:%d", point, 1)))
	stop := w.load(p)
	w.until(20 * (i + 1))
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	w.crashed(p, point)
	stop()
}

func (w *pointWalk) atReload(point crashpoint.Point, i int) {
	p := launchCommand(w.t, w.dir, w.command(string(point)))
	defer w.load(p)()
	w.until(20 * (i + 1))
	w.configure(fmt.Sprintf("retention: {deliveries: %d}", 100_000+i))
	w.crashed(p, point)
}

// atRecovery crashes while jobs run, and again when they are taken up.
func (w *pointWalk) atRecovery(point crashpoint.Point, _ int) {
	w.underLoad(crashpoint.AfterStartRecord, 1)
	p := spawn(w.t, w.dir, w.command(string(point)))
	w.crashed(p, point)
}

// atFirstStart crashes after each step that makes the schema.
func (w *pointWalk) atFirstStart(point crashpoint.Point, i int) {
	if i > 0 {
		return // there is one first start
	}
	steps, err := filepath.Glob("../store/sqlite/schema/*.sql")
	must(w.t, err)
	for step := range steps {
		p := spawn(w.t, w.dir, w.command(fmt.Sprintf("%s:%d", point, step+1)))
		w.crashed(p, point)
	}
}

// atRetention crashes while what is too much is deleted.
func (w *pointWalk) atRetention(point crashpoint.Point, i int) {
	w.configure("")
	p := launchCommand(w.t, w.dir, w.command(""))
	stop := w.load(p)
	w.until(100 * (i + 1))
	stop()
	p.end(w.t)
	w.configure(fmt.Sprintf("retention: {deliveries: %d}", 10))
	p = spawn(w.t, w.dir, w.command(fmt.Sprintf("%s:%d", point, passes(i, 100))))
	w.crashed(p, point)
}

// load sends deliveries until the returned function is called or the daemon is gone.
func (w *pointWalk) load(p *process) (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for ctx.Err() == nil && w.send(p.url, w.serial.Add(1), "") == nil {
			}
		})
	}
	return func() { cancel(); senders.Wait() }
}

// until waits for so many acknowledgements.
func (w *pointWalk) until(n int) {
	eventually(w.t, "acknowledgements", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.acked >= int64(n)
	})
}

// send sends delivery n, as it was made before if it was, and notes what is known of it.
func (w *pointWalk) send(url string, n int64, body string) error {
	if body == "" {
		body = fmt.Sprintf(`{"n":%d,"pause":%d}`, n, rand.IntN(4))
	}
	a, err := send("POST", url+[]string{"/once", "/again"}[n%2], body, map[string]string{
		"X-Hub-Signature-256": sign(secret, body), "X-GitHub-Delivery": fmt.Sprint(n), "X-GitHub-Event": "push",
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil || a.status != 202 && a.json.Status != "duplicate" {
		w.unknown[n] = body
		if err == nil {
			err = fmt.Errorf("answered %d", a.status)
		}
		return err
	}
	delete(w.unknown, n)
	w.acked++
	for _, id := range a.json.Jobs {
		w.jobs[id] = n
	}
	return nil
}

// finish lets the daemon end its work without a crash and checks it.
func (w *pointWalk) finish() {
	w.configure("")
	p := launchCommand(w.t, w.dir, w.command(""))
	unanswered := w.unknown
	w.unknown = map[int64]string{}
	for n, body := range unanswered {
		if err := w.send(p.url, n, body); err != nil {
			w.t.Errorf("delivery %d, sent again: %v", n, err)
		}
	}
	if w.acked == 0 { // a crash before any delivery: it must take them now
		must(w.t, w.send(p.url, w.serial.Add(1), ""))
	}
	s, err := sqlite.OpenReader(w.t.Context(), filepath.Join(w.dir, "t.db"))
	must(w.t, err)
	defer func() { _ = s.Close() }()
	within(w.t, time.Minute, "every job to end", func() bool {
		counts, err := s.Counts(w.t.Context())
		return err == nil && total(counts) == 0
	})
	p.end(w.t)
	w.check(s)
}

func (w *pointWalk) check(s *sqlite.Reader) {
	ran := w.checkLedger()
	for id, n := range w.jobs {
		j, err := s.Job(w.t.Context(), id)
		switch {
		case errors.Is(err, store.ErrNotFound) && ran[id]:
			continue // retention took it, after it ran
		case err != nil:
			w.t.Errorf("acknowledged job %s of delivery %d is lost: %v", id, n, err)
		case j.Rule == "once" && j.State == job.Interrupted && j.Attempt == 1:
		case j.State != job.Succeeded:
			w.t.Errorf("job %s of %s ended as %s: %s", id, j.Rule, j.State, j.Reason)
		case !ran[id]:
			w.t.Errorf("job %s of %s succeeded and its script did not run", id, j.Rule)
		}
	}
}

// checkLedger returns which jobs ran.
func (w *pointWalk) checkLedger() (ran map[string]bool) {
	ran = map[string]bool{}
	attempts, jobOf := map[string]int{}, map[string]string{}
	text, err := os.ReadFile(w.ledger)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		w.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if words[0] != "run" {
			continue
		}
		id, n := words[1], words[3]
		ran[id] = true
		if attempts[line]++; attempts[line] > 1 {
			w.t.Errorf("attempt began %d times: %s", attempts[line], line)
		}
		if other := jobOf[n]; other != "" && other != id {
			w.t.Errorf("delivery %s made two jobs: %s and %s", n, other, id)
		}
		jobOf[n] = id
	}
	return ran
}
