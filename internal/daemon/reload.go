package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/crashpoint"
)

// reloadState is what the last reload came to. It is replaced whole.
type reloadState struct {
	At     time.Time
	OK     bool
	Result admin.ReloadResult
}

type reloadRequest struct {
	trigger string
	done    chan admin.ReloadResult // nil when nobody waits
}

// Reload makes the files' current content the running hooks and waits for the outcome.
func (d *Daemon) Reload(ctx context.Context, trigger string) (admin.ReloadResult, error) {
	done := make(chan admin.ReloadResult, 1)
	select {
	case d.reloads <- reloadRequest{trigger: trigger, done: done}:
	case <-ctx.Done():
		return admin.ReloadResult{}, fmt.Errorf("reload: %w", ctx.Err())
	}
	select {
	case result := <-done:
		return result, nil
	case <-ctx.Done():
		return admin.ReloadResult{}, fmt.Errorf("reload: %w", ctx.Err())
	}
}

// poke asks for a reload and does not wait. One that is asked for while another waits its turn
// is the same one.
func (d *Daemon) poke(trigger string) {
	select {
	case d.reloads <- reloadRequest{trigger: trigger}:
	default:
	}
}

// reloadLoop is the one goroutine that replaces the running configuration.
func (d *Daemon) reloadLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case request := <-d.reloads:
			d.notifyReloading()
			result := d.reload(ctx, request.trigger)
			d.notifyReady()
			if request.done != nil {
				request.done <- result
			}
		}
	}
}

// reload loads and compiles everything before it touches what runs: a file with a problem
// changes nothing. What is in flight keeps the set it started with.
func (d *Daemon) reload(ctx context.Context, trigger string) admin.ReloadResult {
	running := d.config.Load()
	if trigger == triggerWatch && d.unchanged(running) {
		return d.reloaded.Load().Result
	}
	next, diagnostics := Load(d.next(ctx), d.reachable())
	result := admin.ReloadResult{Digest: running.File.Digest, Problems: diagnostics.All()}
	if diagnostics.Err() == nil && next.TestsRequired {
		if failed := next.failedTests(d.options.Config, time.Now()); failed.Err() != nil {
			diagnostics, result.Problems = failed, failed.All()
		}
	}
	if diagnostics.Err() == nil && next.Plan.NoLost && next.File.Fingerprint != running.File.Fingerprint {
		if lost := d.lostMatches(ctx, trigger, running, next); lost.Err() != nil {
			diagnostics, result.Problems = lost, lost.All()
		}
	}
	if diagnostics.Err() != nil {
		d.reloadFailed(trigger, running, diagnostics)
		return result
	}
	result.NeedsRestart = d.booted.needRestart(next.Settings)
	result.Changed = next.File.Fingerprint != running.File.Fingerprint
	if result.Changed {
		result.Digest = next.File.Digest
		crashpoint.Reach(crashpoint.ReloadValidated)
		d.config.Store(next)
		d.pool.Move()
		crashpoint.Reach(crashpoint.ReloadSwapped)
		d.pulls.changed()
		d.keepSeries()
		d.keepLastGood()
		for _, name := range result.NeedsRestart {
			d.log.Warn("changed on disk, needs a restart", "setting", name)
		}
		d.log.Info("hooks reloaded", "file", d.options.Config.Path, "hooks", len(next.Hooks.Hooks()), "digest", result.Digest, "trigger", trigger)
	}
	last := d.reloaded.Swap(&reloadState{At: time.Now(), OK: true, Result: result})
	if !result.Changed && !last.OK {
		d.log.Info("configuration is good again", "digest", result.Digest, "trigger", trigger)
	}
	d.metrics.reload(true)
	d.metrics.know(d.hooks().Hooks())
	if result.Changed || !last.OK || trigger != triggerWatch {
		d.tellReload(trigger, true, result)
	}
	return result
}

// unchanged reports whether the files say what runs, to the letter, and what runs was taken up
// without a problem. The watch looks often and mostly finds this; compiling thousands of hooks
// to find it would cost more than running them.
func (d *Daemon) unchanged(running *Config) bool {
	if last := d.reloaded.Load(); last == nil || !last.OK {
		return false
	}
	file, diagnostics := config.Load(d.known())
	return file != nil && diagnostics.Err() == nil && file.Fingerprint == running.File.Fingerprint
}

// reachable reports whether other machines reach the listener that is open, whatever a file says
// that has changed since.
func (d *Daemon) reachable() bool {
	return d.exposed || d.Addr().Network() != "unix" && !admin.IsLocal(d.Addr().String())
}

// reloadFailed reports a refused file once: the watch looks again and again, and the same
// problems are not news.
func (d *Daemon) reloadFailed(trigger string, running *Config, diagnostics *config.Diagnostics) {
	result := admin.ReloadResult{Digest: running.File.Digest, Problems: diagnostics.All()}
	last := d.reloaded.Swap(&reloadState{At: time.Now(), Result: result})
	d.metrics.reload(false)
	if !last.OK && sameProblems(last.Result.Problems, result.Problems) && trigger == triggerWatch {
		return
	}
	d.tellReload(trigger, false, result)
	logProblems(d.log, "reload refused", diagnostics, running.File.Digest, trigger)
}

// logProblems writes a line for each problem.
func logProblems(log *slog.Logger, message string, diagnostics *config.Diagnostics, running, trigger string) {
	for _, p := range diagnostics.All() {
		if p.Severity == config.Problem {
			log.Error(message, "at", fmt.Sprintf("%s:%d:%d", p.Pos.File, p.Pos.Line, p.Pos.Col), "problem", p.Message, "running", running, "trigger", trigger)
		}
	}
}

func sameProblems(a, b []config.Diagnostic) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Pos != b[i].Pos || a[i].Message != b[i].Message {
			return false
		}
	}
	return true
}

// The triggers of a reload, as they are logged.
const (
	triggerWatch  = "watch"
	triggerSignal = "sighup"
	triggerAdmin  = "admin"
	triggerStore  = "store"
)
