package daemon_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/sqlite"
)

// flowKinds are the rules of the walk below, each with controls of its own and ten keys.
var flowKinds = map[string]string{
	"queue":    `concurrency: {key: "${{ payload.key }}", limit: 2, max_pending: 100000}`,
	"newest":   `concurrency: {key: "${{ payload.key }}", overflow: replace_pending}`,
	"cancel":   `concurrency: {key: "${{ payload.key }}", overflow: cancel_running}`,
	"skip":     `concurrency: {key: "${{ payload.key }}", overflow: skip}`,
	"burst":    `{debounce: {key: "${{ payload.key }}", quiet: 40ms, max_wait: 200ms, keep: all}, concurrency: {key: "${{ payload.key }}", max_pending: 100000}}`,
	"first":    `{debounce: {key: "${{ payload.key }}", quiet: 40ms, max_wait: 200ms, keep: first}, concurrency: {key: "${{ payload.key }}", max_pending: 100000}}`,
	"throttle": `{throttle: {key: "${{ payload.key }}", limit: 20, per: 1s, burst: 3}, concurrency: {key: "${{ payload.key }}", max_pending: 100000}}`,
	"rate":     `{rate_limit: {key: "${{ payload.key }}", limit: 10, per: 1s, burst: 5}, concurrency: {key: "${{ payload.key }}", max_pending: 100000}, priority: payload.n % 3}`,
	"sequence": `{sequence: {key: "${{ payload.key }}", by: payload.n}, concurrency: {key: "${{ payload.key }}", max_pending: 100000}}`,
	"once":     `{once: "${{ payload.group }}", concurrency: {key: "${{ payload.key }}", max_pending: 100000}}`,
}

// flowScript says that it begins, holds one of its lane's locks while anything of it lives, and
// sometimes fails. The kernel lets go of a lock when the last process that holds it is gone.
const flowScript = `
      exec 8>>"$LOCKS-a" 9>>"$LOCKS-b"
      flock -n 8 || { [ "$LIMIT" = 2 ] && flock -n 9; } || echo "overlap $KIND $HOOK_JOB" >> "$LEDGER"
      echo "begin $KIND $HOOK_JOB $HOOK_ATTEMPT $N" >> "$LEDGER"
      [ "$KIND" != burst ] || echo "burst $(cat)" >> "$LEDGER"
      sleep 0.00$PAUSE
      [ "$PAUSE" != 7 ] || [ "$HOOK_ATTEMPT" != 1 ]
`

func flowHooks(ledger string) string {
	var b strings.Builder
	b.WriteString("workers: 16\nhooks:\n")
	for kind, controls := range flowKinds {
		limit := 1
		if kind == "queue" {
			limit = 2
		}
		fmt.Fprintf(&b, "  - name: %s\n    path: /%s\n    provider: github\n    secret: %s\n", kind, kind, secret)
		for _, control := range splitControls(controls) {
			fmt.Fprintf(&b, "    %s\n", control)
		}
		fmt.Fprintf(&b, "    retry: {attempts: 100, initial: 5ms, max: 5ms}\n    grace: 1s\n    run: |%s", flowScript)
		fmt.Fprintf(&b, "    env: {LEDGER: %q, LOCKS: \"%s-lock-%s-${{ payload.key }}\", KIND: %s, LIMIT: \"%d\", N: \"${{ payload.n }}\", PAUSE: \"${{ payload.pause }}\"}\n", ledger, ledger, kind, kind, limit)
		for _, event := range []string{"on_success", "on_cancel"} {
			fmt.Fprintf(&b, "    %s: [{run: 'echo \"%s $HOOK_JOB\" >> \"$LEDGER\"', env: {LEDGER: %q}}]\n", event, event, ledger)
		}
	}
	return b.String()
}

// splitControls splits {a: {…}, b: {…}} into its parts; anything else is one part.
func splitControls(s string) (parts []string) {
	if !strings.HasPrefix(s, "{") {
		return []string{s}
	}
	s, depth, from := s[1:len(s)-1], 0, 0
	for i, c := range s {
		switch c {
		case '{':
			depth++
		case '}':
			depth--
		case ',':
			if depth == 0 {
				parts, from = append(parts, strings.TrimSpace(s[from:i])), i+1
			}
		}
	}
	return append(parts, strings.TrimSpace(s[from:]))
}

// TestCrash_EveryControlHoldsWhenTheDaemonIsKilled sends jobs to rules with all flow controls, a
// hundred keys in all, and kills the daemon again and again. At the end every acknowledged job
// has ended as its controls allow, and no lane had more running than its limit: not even with
// what a killed daemon left behind.
// TENTERHOOK_FLOW_KILLS and TENTERHOOK_FLOW_JOBS set how much.
func TestCrash_EveryControlHoldsWhenTheDaemonIsKilled(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	ledger := filepath.Join(dir, "ledger")
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+flowHooks(ledger))
	most, jobs, kills := count("TENTERHOOK_FLOW_KILLS", 5), count("TENTERHOOK_FLOW_JOBS", 500), 0
	w := &flowWalk{t: t}
	for i := range rounds(t, "TENTERHOOK_FLOW_KILLS", 5) {
		kills++
		p := launch(t, dir)
		ctx, cancel := context.WithCancel(t.Context())
		var senders sync.WaitGroup
		for range 4 {
			senders.Go(func() { w.hammer(ctx, p.url, int64(jobs*(i+1)/most)) })
		}
		<-time.After(time.Duration(50+rand.IntN(500)) * time.Millisecond) // the moment of the crash
		p.kill()
		cancel()
		senders.Wait()
	}
	p := launch(t, dir)
	defer p.kill()
	w.hammer(t.Context(), p.url, int64(jobs*kills/most))
	s, err := sqlite.OpenReader(t.Context(), filepath.Join(dir, "t.db"))
	must(t, err)
	defer func() { _ = s.Close() }()
	drained(t, s)
	w.check(s, read(t, ledger))
	t.Logf("%d kills, %d jobs acknowledged, %d requests with unknown outcome; ends: %v", kills, w.accepted.Load(), w.unknown.Load(), w.ends)
	none(t, w.accepted.Load(), "jobs under flow controls was lost, began twice or ran beyond its lane's limit in %d kills", kills)
}

type flowWalk struct {
	t                         *testing.T
	serial, accepted, unknown atomic.Int64
	acked                     sync.Map // job id → its number
	ends                      map[job.State]int
	odd                       []string // jobs to look at
}

// hammer sends until so many jobs are acknowledged, ctx ends or the daemon is gone.
func (w *flowWalk) hammer(ctx context.Context, url string, upTo int64) {
	kinds := make([]string, 0, len(flowKinds))
	for kind := range flowKinds {
		kinds = append(kinds, kind)
	}
	for ctx.Err() == nil && w.accepted.Load() < upTo {
		n := w.serial.Add(1)
		kind := kinds[rand.IntN(len(kinds))]
		key := rand.IntN(10)
		body := fmt.Sprintf(`{"n":%d,"key":"%d","group":"%d-%d","pause":%d}`, n, key, key, n/40, rand.IntN(9))
		a, err := send("POST", url+"/"+kind, body, map[string]string{
			"X-Hub-Signature-256": sign(secret, body), "X-GitHub-Delivery": fmt.Sprint(n), "X-GitHub-Event": "push",
		})
		if err != nil {
			w.unknown.Add(1)
			return
		}
		if a.status == 202 {
			w.accepted.Add(1)
			w.acked.Store(a.json.Jobs[0], n)
		}
	}
}

// check holds every job and the scripts' own ledger to what the controls promise.
func (w *flowWalk) check(s interface {
	Jobs(ctx context.Context, f store.Filter) ([]job.Job, error)
}, ledger string,
) {
	jobs := map[string]job.Job{}
	for cursor := ""; ; {
		page, err := s.Jobs(w.t.Context(), store.Filter{Limit: 500, Cursor: cursor})
		must(w.t, err)
		for _, j := range page {
			jobs[j.ID], cursor = j, j.ID
		}
		if len(page) < 500 {
			break
		}
	}
	w.acked.Range(func(id, n any) bool {
		if _, ok := jobs[id.(string)]; !ok {
			w.t.Errorf("acknowledged job %s (%d) is lost", id, n)
		}
		return true
	})
	w.ends = map[job.State]int{}
	won := map[string]string{}
	for _, j := range jobs {
		w.ends[j.State]++
		w.checkEnd(j, jobs)
		if j.Rule == "once" && j.State == job.Succeeded {
			if other := won[j.Keys.Once]; other != "" {
				w.t.Errorf("jobs %s and %s both succeeded for %q", other, j.ID, j.Keys.Once)
			}
			won[j.Keys.Once] = j.ID
		}
	}
	w.checkLedger(ledger, jobs)
}

func (w *flowWalk) checkEnd(j job.Job, jobs map[string]job.Job) {
	by, known := jobs[j.SupersededBy]
	switch j.State {
	case job.Succeeded:
	case job.Superseded, job.Stale, job.Skipped:
		rated := j.State == job.Skipped && j.Rule == "rate"
		if !known && !rated {
			w.t.Errorf("%s job %s of %s names no successor: %s", j.State, j.ID, j.Rule, j.Reason)
		}
		if j.State == job.Superseded && j.Rule != "first" && by.Seq <= j.Seq {
			w.t.Errorf("job %s of %s was superseded by %s, which came before it", j.ID, j.Rule, by.ID)
		}
	default:
		w.t.Errorf("job %s of %s ended as %s: %s", j.ID, j.Rule, j.State, j.Reason)
	}
}

func (w *flowWalk) checkLedger(ledger string, jobs map[string]job.Job) {
	begun := map[string]int{}
	newest := map[string]int{} // of a sequence, by key
	inBurst := map[int]bool{}
	followed := map[string]int{}
	for line := range strings.Lines(ledger) {
		words := strings.Fields(line)
		switch words[0] {
		case "overlap":
			w.t.Errorf("a lane had more running than its limit: %s", line)
		case "begin":
			begun[words[2]+" "+words[3]]++
			if n, _ := strconv.Atoi(words[4]); words[1] == "sequence" {
				key := jobs[words[2]].Keys.Sequence
				if n < newest[key] {
					w.t.Errorf("%d of sequence %q began after %d", n, key, newest[key])
				}
				newest[key] = n
			}
		case "burst":
			var payloads []struct{ N int }
			must(w.t, json.Unmarshal([]byte(line[len("burst "):]), &payloads))
			for _, p := range payloads {
				inBurst[p.N] = true
			}
		case "on_success", "on_cancel":
			followed[words[0]+" "+words[1]]++
		}
	}
	for attempt, n := range begun {
		if n > 1 {
			w.t.Errorf("attempt %s began %d times", attempt, n)
			w.odd = append(w.odd, strings.Fields(attempt)[0])
		}
	}
	w.acked.Range(func(id, n any) bool {
		if jobs[id.(string)].Rule == "burst" && !inBurst[int(n.(int64))] {
			w.t.Errorf("delivery %d was in no burst", n)
		}
		return true
	})
	for what, n := range followed {
		_, id, _ := strings.Cut(what, " ")
		if strings.HasPrefix(what, "on_success") && (n > 1 || jobs[id].State != job.Succeeded) {
			w.t.Errorf("%s ran %d times, the job ended as %s", what, n, jobs[id].State)
		}
	}
}
