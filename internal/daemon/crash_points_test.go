package daemon_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/crashpoint"
)

// crashPoints are the points by what brings the daemon there. One that is not listed here fails
// TestCrashPoints.
var crashPoints = map[crashpoint.Point]func(*walk, crashpoint.Point, int){
	crashpoint.Migration:       (*walk).atFirstStart,
	crashpoint.MidPurge:        (*walk).atRetention,
	crashpoint.RecoveryRead:    (*walk).atRecovery,
	crashpoint.RecoverySwept:   (*walk).atRecovery,
	crashpoint.RecoveryCutOff:  (*walk).atRecovery,
	crashpoint.ReloadValidated: (*walk).atReload,
	crashpoint.ReloadSwapped:   (*walk).atReload,
	crashpoint.DrainBegin:      (*walk).atStop,
	crashpoint.DrainEnd:        (*walk).atStop,
	crashpoint.MidCheckpoint:   (*walk).atStop,
}

// TestCrashPoints_NothingIsLostAndNothingRunsTwice ends the daemon at each named point, lets it
// take up its work, sends again what has no answer, and holds the scripts' own ledger against what
// was acknowledged: each delivery made one job, each attempt began once, every job ended.
// TENTERHOOK_POINT_REPEATS sets how often for each point.
func TestCrashPoints_NothingIsLostAndNothingRunsTwice(t *testing.T) {
	t.Parallel()
	buildCrashing(t)
	var crashes, acked atomic.Int64
	t.Run("at", func(t *testing.T) {
		for _, point := range crashpoint.All {
			t.Run(string(point), func(t *testing.T) {
				t.Parallel()
				bring := crashPoints[point]
				if bring == nil {
					bring = (*walk).underLoad
				}
				w := newWalk(t)
				for i := range rounds(t, "TENTERHOOK_POINT_REPEATS", 1) {
					bring(w, point, i)
					crashes.Add(1)
				}
				w.finish()
				acked.Add(w.acked)
			})
		}
	})
	none(t, crashes.Load(), "crashes at %d points lost one of %d acknowledged deliveries, or began an attempt twice", len(crashpoint.All), acked.Load())
}

func (w *walk) command(point string) *exec.Cmd {
	cmd := exec.Command(buildCrashing(w.t), "serve", "-c", filepath.Join(w.dir, "hooks.yaml"), "--log-format", "json")
	cmd.Env = []string{"TENTERHOOK_CRASH=" + point}
	return cmd
}

// crashed waits for the daemon's end by SIGKILL, its own.
func (w *walk) crashed(p *process, point crashpoint.Point) {
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

func (w *walk) underLoad(point crashpoint.Point, i int) {
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

func (w *walk) atStop(point crashpoint.Point, i int) {
	p := launchCommand(w.t, w.dir, w.command(fmt.Sprintf("%s:%d", point, 1)))
	stop := w.load(p)
	w.until(20 * (i + 1))
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	w.crashed(p, point)
	stop()
}

func (w *walk) atReload(point crashpoint.Point, i int) {
	p := launchCommand(w.t, w.dir, w.command(string(point)))
	defer w.load(p)()
	w.until(20 * (i + 1))
	w.configure(fmt.Sprintf("retention: {deliveries: %d}", 100_000+i))
	w.crashed(p, point)
}

// atRecovery crashes while jobs run, and again when they are taken up.
func (w *walk) atRecovery(point crashpoint.Point, _ int) {
	w.underLoad(crashpoint.AfterStartRecord, 1)
	p := spawn(w.t, w.dir, w.command(string(point)))
	w.crashed(p, point)
}

// atFirstStart crashes after each step that makes the schema.
func (w *walk) atFirstStart(point crashpoint.Point, i int) {
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
func (w *walk) atRetention(point crashpoint.Point, i int) {
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
