package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/tenterhook/tenterhook/internal/action"
	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/series"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/postgres"
)

// backend is the daemon as the admin side sees it.
type backend struct{ d *Daemon }

func (b backend) Delivery(ctx context.Context, id string) (job.Delivery, error) {
	d, err := b.d.store.Delivery(ctx, id)
	if err != nil {
		return d, err
	}
	held, err := b.d.store.Holding(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return d, nil
	}
	d.Held = &held
	return d, err
}

func (b backend) Deliveries(ctx context.Context, f store.Filter) ([]job.Delivery, error) {
	return b.d.store.Deliveries(ctx, f)
}

func (b backend) Job(ctx context.Context, id string) (job.Job, error) { return b.d.store.Job(ctx, id) }

func (b backend) Jobs(ctx context.Context, f store.Filter) ([]job.Job, error) {
	return b.d.store.Jobs(ctx, f)
}

func (b backend) Attempts(ctx context.Context, id string) ([]job.Attempt, error) {
	return b.d.store.Attempts(ctx, id)
}

func (b backend) Counts(context.Context) (map[job.State]int, error) { return b.d.pool.Counts(), nil }

func (b backend) Nodes(ctx context.Context, all bool) ([]store.Node, error) {
	if db, ok := b.d.store.(*postgres.Store); ok {
		return db.Nodes(ctx, all)
	}
	return nil, nil
}

func (b backend) Ready(ctx context.Context) error { return b.d.store.Ready(ctx) }

func (b backend) Output(id string) ([]byte, bool) { return b.d.pool.Output(id) }

func (b backend) Retry(ctx context.Context, id string) (job.Job, error) {
	return b.d.store.Requeue(ctx, id, "retried by a person", time.Now())
}

func (b backend) Cancel(ctx context.Context, id string) error {
	return b.d.pool.Cancel(ctx, id, "cancelled by a person")
}

func (b backend) Log(id string, attempt int) (io.ReadCloser, error) {
	if f := b.d.fleet(); f != nil {
		return f.OpenLog(id, attempt)
	}
	return b.d.openLog(id, attempt)
}

// openLog opens a log of this daemon.
func (d *Daemon) openLog(id string, attempt int) (*os.File, error) {
	if filepath.Base(id) != id { // another node may ask for anything
		return nil, fmt.Errorf("log of job %q: %w", id, store.ErrNotFound)
	}
	f, err := os.Open(action.LogPath(d.logDir(), id, attempt))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("log of attempt %d of job %s: %w", attempt, id, store.ErrNotFound)
	}
	return f, err
}

func (b backend) Replay(ctx context.Context, id string, which admin.ReplayOf) ([]job.Job, error) {
	return b.d.replay(ctx, id, anew{which: which})
}

func (b backend) Explain(ctx context.Context, q admin.ExplainRequest) (hook.Explanation, error) {
	return b.d.explain(ctx, q)
}

func (b backend) CountReplay(ctx context.Context, f job.ReplayFilter) (admin.ReplayCount, error) {
	return b.d.countReplay(ctx, f)
}

func (b backend) StartReplay(ctx context.Context, who string, q admin.ReplayRequest) (job.Replay, error) {
	return b.d.startReplay(ctx, who, q)
}

func (b backend) CancelReplay(ctx context.Context, id string) (job.Replay, error) {
	return b.d.cancelReplay(ctx, id)
}

func (b backend) CatchUp(ctx context.Context, hook, since string) (admin.Caught, error) {
	return b.d.askCatchUp(ctx, hook, since)
}

func (b backend) Replays() []job.Replay { return b.d.replays.list() }

func (b backend) Reports(ctx context.Context, id string) ([]job.Report, error) {
	return b.d.store.Reports(ctx, id)
}

func (b backend) FollowUps(ctx context.Context, id string) ([]job.FollowUp, error) {
	return b.d.store.FollowUps(ctx, id)
}

func (b backend) Rejects(ctx context.Context, f store.Filter) ([]job.Reject, error) {
	if b.d.fleet() != nil {
		return b.d.store.Rejects(ctx, f) // those of all nodes, as far as they are written down
	}
	return b.d.listRejects(f)
}

func (b backend) AuditLog(ctx context.Context, before int64, most int) ([]job.AuditEntry, error) {
	return b.d.store.AuditLog(ctx, before, most)
}

func (b backend) AuditAnchor(ctx context.Context) (job.AuditAnchor, error) {
	return b.d.store.AuditAnchor(ctx)
}

func (b backend) Audit(ctx context.Context, e job.AuditEntry) (job.AuditEntry, error) {
	return b.d.audit(ctx, e)
}

func (b backend) SetPause(ctx context.Context, hook, rule string, on bool) error {
	return b.d.setPause(ctx, hook, rule, on)
}

func (b backend) Reload(ctx context.Context) (admin.ReloadResult, error) {
	return b.d.Reload(ctx, triggerAdmin)
}

func (b backend) Wait(id string) (job.Wait, bool) { return b.d.pool.Wait(id) }

func (b backend) Oldest() (job.Job, bool) { return b.d.pool.Oldest() }

func (b backend) Series(hook string, span series.Span) series.Series {
	return b.d.Series(hook, span)
}

func (b backend) LastDelivery(hook string) time.Time { return b.d.metrics.book.Last(hook) }

func (b backend) ExplainStored(_ context.Context, d *job.Delivery) (hook.Explanation, error) {
	h := b.d.hooks().Hook(d.Hook)
	if h == nil {
		return hook.Explanation{}, fmt.Errorf("hook %q is no longer configured: %w", d.Hook, store.ErrNotFound)
	}
	return h.ExplainStored(d), nil
}

func (b backend) Hooks() []admin.HookInfo {
	var out []admin.HookInfo
	for _, h := range b.d.hooks().Hooks() {
		paused := func(rule string) bool { return b.d.paused.has(h.Name, rule) }
		info := admin.HookInfo{
			Name: h.Name, Path: h.Path, Scheme: h.Scheme, Methods: h.Methods, MaxBody: h.MaxBody,
			Enabled: h.Enabled, Open: h.Open, Secrets: h.SecretCount(),
			Paused: paused(""),
		}
		if h.Provider != nil {
			info.Provider = h.Provider.Name
		}
		for _, r := range h.Rules {
			limit := 0
			if r.Concurrency != nil {
				limit = r.Concurrency.Limit
			}
			info.Rules = append(info.Rules, admin.RuleInfo{
				Name: r.Name, Match: r.Match, Action: r.Action.Kind(), Timeout: r.Action.Timeout().Seconds(),
				Attempts: r.Retry.Attempts, Concurrency: limit, On: r.On.String(),
				Paused: paused("") || paused(r.Name),
			})
		}
		out = append(out, info)
	}
	return out
}

func (b backend) Status() admin.Status {
	d := b.d
	running, last := d.config.Load(), d.reloaded.Load()
	secrets := []admin.SecretStatus{}
	for _, h := range running.Hooks.Hooks() {
		for i := range h.SecretCount() {
			secrets = append(secrets, admin.SecretStatus{
				Hook: h.Name, Position: i, Of: h.SecretCount(), LastMatch: admin.Time{Time: d.metrics.lastMatch(h.Name, i)},
			})
		}
	}
	return admin.Status{
		Secrets: secrets, Paused: d.paused.list(), Traffic: d.metrics.traffic.status(),
		Version: d.options.Version, PID: os.Getpid(), StartedAt: admin.Time{Time: d.started},
		LastRunAt: admin.Time{Time: d.heard.lastRun()}, Gaps: d.heard.status(), Expected: d.silence.status(d.silence.now()), Sources: d.pulls.status(), Held: d.held(),
		Listen: []string{d.Addr().String()}, Store: d.booted.Store, Node: d.booted.Node.Name, Fleet: d.fleet() != nil, Hooks: len(running.Hooks.Hooks()), Workers: d.booted.Workers,
		Config: admin.ConfigStatus{
			Files: running.File.Files, Digest: running.File.Digest, LastReloadAt: admin.Time{Time: last.At},
			LoadedAt: admin.Time{Time: running.Loaded}, LastReloadOK: last.OK,
			Problems: admin.NewDiagnostics(last.Result.Problems), NeedsRestart: last.Result.NeedsRestart,
		},
	}
}
