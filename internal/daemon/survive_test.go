package daemon_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
)

const surviveHooks = `hooks:
  - name: box
    path: /box
    verify: {scheme: bearer}
    secret: ` + secret + `
    survive: true
    timeout: %s
    grace: 1s
    concurrency: {}
    dir: %q
    env: {TOKEN: "${TOKEN}"}
    run: |
      echo "$HOOK_JOB $HOOK_ATTEMPT" >> began
      echo "first, with super-secret-token-value $(cat | wc -c)"
      touch waiting
      while [ -e hold ]; do sleep 0.02; done
      test -s "$HOOK_PAYLOAD_FILE"
      echo last
      exit 3
    on_failure: [{run: 'echo "told of $ERROR: $OUTPUT" > told', dir: %q, env: {ERROR: "${{ job.error }}", OUTPUT: "${{ job.output }}"}}]
`

// box is a daemon in a process of its own with one run that survives it.
type box struct {
	t      *testing.T
	dir    string
	p      *process
	client *admin.Client
	job    string
}

func newBox(t *testing.T, timeout string) *box {
	t.Helper()
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+fmt.Sprintf(surviveHooks, timeout, dir, dir))
	write(t, filepath.Join(dir, "hold"), "")
	b := &box{t: t, dir: dir, client: admin.NewClient("unix:"+dir+"/admin.sock", "")}
	b.start()
	a, err := send("POST", b.p.url+"/box", `{"a":"payload"}`, map[string]string{"Authorization": "Bearer " + secret, "Content-Type": "application/json"})
	must(t, err)
	b.job = a.json.Jobs[0]
	b.exists("waiting")
	return b
}

func (b *box) start() { b.p = launch(b.t, b.dir, "TOKEN=super-secret-token-value") }

func (b *box) exists(name string) {
	b.t.Helper()
	within(b.t, 30*time.Second, name+" to be there", func() bool {
		_, err := os.Stat(filepath.Join(b.dir, name))
		return err == nil
	})
}

func (b *box) becomes(want job.State) admin.JobDetail {
	b.t.Helper()
	var j admin.JobDetail
	within(b.t, 60*time.Second, "job to be "+string(want), func() bool {
		var err error
		j, err = b.client.Job(b.t.Context(), b.job)
		return err == nil && j.State == want
	})
	if began := read(b.t, filepath.Join(b.dir, "began")); strings.Count(began, "\n") != 1 {
		b.t.Errorf("began %q", began)
	}
	if j.State.Terminal() { // forgotten once that is recorded
		within(b.t, 30*time.Second, "the run's folder to be gone", func() bool {
			left, _ := filepath.Glob(filepath.Join(b.dir, "t.db.survive", "*"))
			return len(left) == 0
		})
	}
	return j
}

func (b *box) supervisor() int {
	b.t.Helper()
	found, err := filepath.Glob(filepath.Join(b.dir, "t.db.survive", "*", "supervisor"))
	must(b.t, err)
	var pid int
	if _, err := fmt.Sscanf(read(b.t, found[0]), `{"PID":%d`, &pid); err != nil {
		b.t.Fatal(err)
	}
	return pid
}

func TestSurvive_ARunGoesOnOverKillsAndStopsAndEndsAsItWouldHave(t *testing.T) {
	b := newBox(t, "10m")
	b.p.kill()
	b.start()
	b.becomes(job.Running)
	began := time.Now()
	b.p.end(t) // at once: what is running may be what stops it
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("the stop waited %s for the run", took)
	}
	must(t, os.Remove(filepath.Join(b.dir, "hold"))) // it ends while there is no daemon
	within(t, 30*time.Second, "the run to end", func() bool { return syscall.Kill(b.supervisorOrSelf(), 0) != nil })
	b.start()
	j := b.becomes(job.Failed)
	if j.Reason != "exit status 3" || *j.ExitCode != 3 || len(j.Attempts) != 1 {
		t.Errorf("ended as %+v", j)
	}
	if out := j.Attempts[0].Output; !strings.HasPrefix(out, "first, with ") || strings.Contains(out, "super-secret") || !strings.HasSuffix(out, " 15\nlast\n") {
		t.Errorf("output %q", out)
	}
	b.exists("told")
	if told := read(t, filepath.Join(b.dir, "told")); !strings.HasPrefix(told, "told of exit status 3: first, with ") {
		t.Errorf("told %q", told)
	}
	b.p.end(t)
}

// supervisorOrSelf is the supervisor's pid, or one that is not there when it is done.
func (b *box) supervisorOrSelf() int {
	if found, _ := filepath.Glob(filepath.Join(b.dir, "t.db.survive", "*", "result")); len(found) > 0 {
		return 1 << 30
	}
	return b.supervisor()
}

func TestSurvive_ARunIsEndedByACancelAfterARestart(t *testing.T) {
	b := newBox(t, "10m")
	b.p.kill()
	b.start()
	b.becomes(job.Running)
	must(t, b.client.Cancel(t.Context(), b.job))
	j := b.becomes(job.Cancelled)
	if len(j.Attempts) != 1 {
		t.Fatalf("ended as %+v", j.Attempts)
	}
	// The shell is ended by the signal, or sees first that its child was, and says so: 128 + 15.
	if a := j.Attempts[0]; a.Signal != "SIGTERM" && (a.ExitCode == nil || *a.ExitCode != 143) {
		t.Errorf("ended as %+v", a)
	}
	b.p.end(t)
}

func TestSurvive_ATimeoutHoldsWithoutADaemon(t *testing.T) {
	t.Parallel()
	b := newBox(t, "1500ms")
	b.p.kill()
	within(t, 30*time.Second, "the run to end", func() bool { return syscall.Kill(b.supervisorOrSelf(), 0) != nil })
	b.start()
	if j := b.becomes(job.TimedOut); !strings.HasPrefix(j.Reason, "timed out after 1.5s") {
		t.Errorf("reason %q", j.Reason)
	}
	b.p.end(t)
}

func TestSurvive_ARunWhoseSupervisorDiedWithTheDaemonWasInterrupted(t *testing.T) {
	b := newBox(t, "10m")
	supervisor := b.supervisor()
	b.p.kill()
	must(t, syscall.Kill(supervisor, syscall.SIGKILL)) // as a reboot does
	b.start()
	j := b.becomes(job.Interrupted)
	if !strings.HasPrefix(j.Reason, "its supervisor is gone") {
		t.Errorf("reason %q", j.Reason)
	}
	b.p.end(t)
}

func TestSurvive_TheNextOfTheLaneWaitsForTheRunThatWentOn(t *testing.T) {
	b := newBox(t, "10m")
	b.p.kill()
	b.start()
	first := b.job
	a, err := send("POST", b.p.url+"/box", `{"a":"second"}`, map[string]string{"Authorization": "Bearer " + secret, "Content-Type": "application/json"})
	must(t, err)
	next, err := b.client.Job(t.Context(), a.json.Jobs[0])
	must(t, err)
	if b.becomes(job.Running); next.State != job.Queued {
		t.Errorf("the next is %s", next.State)
	}
	must(t, os.Remove(filepath.Join(b.dir, "hold")))
	within(t, 30*time.Second, "the next to have run", func() bool {
		j, err := b.client.Job(t.Context(), a.json.Jobs[0])
		return err == nil && j.State == job.Failed
	})
	if began := strings.Fields(read(t, filepath.Join(b.dir, "began"))); len(began) != 4 || began[0] != first || began[2] != next.ID {
		t.Errorf("began %v", began)
	}
	b.p.end(t)
}
