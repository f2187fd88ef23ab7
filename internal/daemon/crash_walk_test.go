package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/sqlite"
)

// walkHooks have every way a job can go: once and never again, with further attempts that some
// need, and with follow-ups.
const walkHooks = `workers: 4
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

// walk is one store and its ledger through crashes and faults. The ledger is outside: what was
// acknowledged as the senders saw it, what ran as the scripts wrote it down.
type walk struct {
	t      *testing.T
	dir    string // of the configuration and the ledger
	disk   string // of the store
	ledger string
	serial atomic.Int64

	mu      sync.Mutex
	dark    bool             // the power is off: what is answered now is no answer
	jobs    map[string]int64 // acknowledged
	unknown map[int64]string // requests that have no answer, to be sent again
	acked   int64
	resent  int
}

func newWalk(t *testing.T) *walk {
	dir := shortDir(t)
	return newWalkOn(t, dir, dir)
}

// newWalkOn has the store in a folder of its own.
func newWalkOn(t *testing.T, dir, disk string) *walk {
	w := &walk{t: t, dir: dir, disk: disk, jobs: map[string]int64{}, unknown: map[int64]string{}}
	w.ledger = filepath.Join(w.dir, "ledger")
	w.configure("")
	return w
}

func (w *walk) configure(more string) {
	text := strings.Replace(header(w.dir), "sqlite:"+w.dir, "sqlite:"+w.disk, 1) + fmt.Sprintf(walkHooks, w.ledger)
	if more != "" {
		text = strings.Replace(text, "store: {", "store: {"+more+", ", 1)
	}
	write(w.t, filepath.Join(w.dir, "hooks.yaml"), text)
}

// load sends deliveries until the returned function is called or the daemon is gone.
func (w *walk) load(p *process) (stop func()) {
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
func (w *walk) until(n int) {
	eventually(w.t, "acknowledgements", func() bool { return w.count() >= int64(n) })
}

// send sends delivery n, as it was made before if it was, and notes what is known of it.
func (w *walk) send(url string, n int64, body string) error {
	if body == "" {
		body = fmt.Sprintf(`{"n":%d,"pause":%d}`, n, rand.IntN(4))
	}
	_, err := w.post(url, n, body)
	return err
}

// post is send with the answer, when it is an acknowledgement.
func (w *walk) post(url string, n int64, body string) (answer, error) {
	a, err := send("POST", url+[]string{"/once", "/again"}[n%2], body, map[string]string{
		"X-Hub-Signature-256": sign(secret, body), "X-GitHub-Delivery": fmt.Sprint(n), "X-GitHub-Event": "push",
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil || w.dark || a.status != 202 && a.json.Status != "duplicate" {
		w.unknown[n] = body
		if err == nil {
			err = fmt.Errorf("answered %d", a.status)
		}
		return a, err
	}
	delete(w.unknown, n)
	w.acked++
	for _, id := range a.json.Jobs {
		w.jobs[id] = n
	}
	return a, nil
}

// count is how many acknowledgements there were.
func (w *walk) count() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.acked
}

// finish lets the daemon end its work without a crash and checks it.
func (w *walk) finish() {
	w.configure("")
	p := launch(w.t, w.dir)
	unanswered := w.unknown
	w.unknown, w.resent = map[int64]string{}, len(w.unknown)
	for n, body := range unanswered {
		if err := w.send(p.url, n, body); err != nil {
			w.t.Errorf("delivery %d, sent again: %v", n, err)
		}
	}
	if w.acked == 0 { // a crash before any delivery: it must take them now
		must(w.t, w.send(p.url, w.serial.Add(1), ""))
	}
	s, err := sqlite.OpenReader(w.t.Context(), filepath.Join(w.disk, "t.db"))
	must(w.t, err)
	defer func() { _ = s.Close() }()
	drained(w.t, s)
	p.end(w.t)
	w.check(s)
}

// drained waits until every job has ended, for as long as some do: how long it takes is the
// machine's business, that it goes on is the daemon's.
func drained(t *testing.T, s *sqlite.Reader) {
	t.Helper()
	left, since := -1, time.Now()
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		counts, err := s.Counts(t.Context())
		if n := total(counts); err == nil && n != left {
			left, since = n, time.Now()
		}
		if left == 0 {
			tick.Stop()
			return
		}
		if time.Since(since) > 2*time.Minute {
			t.Fatalf("no job has ended for 2 minutes (%v), %d are left: %s", err, left, unended(t, s))
		}
	}
}

// unended describes the jobs that wait or run.
func unended(t *testing.T, s *sqlite.Reader) string {
	var all strings.Builder
	for _, state := range []job.State{job.Scheduled, job.Queued, job.Running} {
		jobs, err := s.Jobs(t.Context(), store.Filter{State: state, Limit: 20})
		fmt.Fprintf(&all, "%s: %d %v\n", state, len(jobs), err)
		for _, j := range jobs {
			fmt.Fprintf(&all, "  %+v\n", j)
		}
	}
	return all.String()
}

func (w *walk) check(s *sqlite.Reader) {
	ran := w.checkLedger(s)
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
func (w *walk) checkLedger(s *sqlite.Reader) (ran map[string]bool) {
	ran = map[string]bool{}
	attempts, jobOf := map[string]int{}, map[string]string{}
	text, err := os.ReadFile(w.ledger)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		w.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if words[0] == "perhaps" { // it may have begun after the power was off
			ran[words[2]] = true
			continue
		}
		if words[0] != "run" {
			continue
		}
		id, n := words[1], words[3]
		ran[id] = true
		if attempts[line]++; attempts[line] > 1 {
			kept, err := s.Attempts(w.t.Context(), id)
			w.t.Errorf("attempt began %d times: %s; the store has %+v, %v", attempts[line], line, kept, err)
		}
		if other := jobOf[n]; other != "" && other != id {
			w.t.Errorf("delivery %s made two jobs: %s and %s", n, other, id)
		}
		jobOf[n] = id
	}
	return ran
}
