package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/tenterhook/tenterhook/internal/action"
	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/ingress"
	"github.com/tenterhook/tenterhook/internal/launch"
	"github.com/tenterhook/tenterhook/internal/store/postgres"
	"github.com/tenterhook/tenterhook/internal/worker"
)

// setup runs its steps in dependency order: nearly each needs what those before it made, and what was
// opened is closed by the stack, even half-way.
func (d *Daemon) setup(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		d.takeOver, d.readConfig, d.openStore, d.loadStored, d.openWatches, d.restoreRejects, d.readReplays,
		d.listen, d.openRelay, d.openIngress, d.readPauses, d.recover,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// takeOver takes what the process was given: its files, the processes of a run before, sockets, and
// control groups, of which reading the configuration asks what limits can be held.
func (d *Daemon) takeOver(context.Context) error {
	launch.OwnFiles()
	if err := launch.Adopt(); err != nil {
		d.log.Debug("left-over processes are not adopted", "error", err)
	}
	for _, l := range d.options.Sockets {
		d.onStop("socket", ignoreClosed(l.Close))
	}
	if len(d.options.Sockets) > 0 {
		addr := d.options.Sockets[0].Addr()
		d.exposed = addr.Network() != "unix" && !admin.IsLocal(addr.String())
	}
	_, _ = launch.Take() // recover says why there are none
	return nil
}

// readConfig reads the configuration to start with, and makes what counts and traces from then on.
func (d *Daemon) readConfig(ctx context.Context) error {
	conf, diagnostics, broken := d.loadFirst()
	if diagnostics.Err() != nil {
		return diagnostics
	}
	d.config.Store(conf)
	d.booted = conf.Settings
	d.reloaded.Store(firstState(d.started, conf, diagnostics, broken))
	d.metrics = newMetrics(d)
	d.metrics.reload(broken == nil)
	d.metrics.know(conf.Hooks.Hooks())
	d.trace = d.openTracer(ctx)
	return nil
}

// openStore opens the store and the pool, which the store's writer tells of what it committed.
func (d *Daemon) openStore(ctx context.Context) error {
	s, err := openStore(ctx, d.booted, d.told, d.log)
	if err != nil {
		return err
	}
	d.store = s
	d.onStop("store", s.Close)
	d.runTracer(s)
	runDir, err := runFolder(d.booted.Files)
	if err != nil {
		return err
	}
	action.ClearShared(d.booted.Files)
	d.onStop("run directories", func() error { return os.RemoveAll(runDir) })
	o := worker.Options{
		Workers: d.booted.Workers, Store: watched{opened: s, feed: d.feed}, Rules: d.rules, Log: d.log, Node: d.booted.Node.Name,
		Dirs:    action.Dirs{Run: runDir, Survive: d.surviveDir(), Log: d.logDir()},
		Observe: d.metrics, Trace: d.trace, Panicked: d.metrics.panicked("job"), Sweep: action.Sweep,
	}
	if db, ok := s.(*postgres.Store); ok {
		d.pool = d.newFleet(db, o)
	} else {
		d.pool = alone{worker.New(o), o.Node}
	}
	return nil
}

// openWatches opens what watches over hooks: when the daemon listened, who is silent, where a hook pulls from.
func (d *Daemon) openWatches(ctx context.Context) (err error) {
	clock := watched{opened: d.store}.now
	if d.heard, err = openListened(ctx, d.store, clock, d.log); err != nil {
		return err
	}
	d.silence, err = openSilence(ctx, &silence{
		store: watched{opened: d.store, feed: d.feed}, hooks: d.hooks, gaps: d.heard.Gaps, now: clock, log: d.log, trace: d.trace,
	})
	if err != nil {
		return err
	}
	d.pulls, err = openPulls(ctx, &pulls{store: d.store, hooks: d.hooks, take: d.takePulled, leads: d.pool.Leads, log: d.log})
	if err != nil {
		return err
	}
	d.metrics.registry.MustRegister(d.heard, d.silence, d.pulls, heldCollector{d})
	return nil
}

func (d *Daemon) listen(context.Context) error {
	if err := d.openChallenges(); err != nil {
		return err
	}
	sockets := d.options.Sockets
	if len(sockets) > 0 {
		d.deliveries = sockets[0]
	} else {
		l, err := admin.Open(d.booted.Server.Listen) // ingress.Bound bounds it
		if err != nil {
			return fmt.Errorf("listen for deliveries: %w", err)
		}
		d.deliveries = l
		d.onStop("deliveries listener", ignoreClosed(l.Close))
	}
	if len(sockets) > 1 {
		d.adminSide = sockets[1]
		return nil
	}
	l, err := admin.Listen(d.booted.Admin.Listen)
	if err != nil {
		return fmt.Errorf("listen for the admin side: %w", err)
	}
	d.adminSide = l
	d.onStop("admin listener", ignoreClosed(l.Close))
	return nil
}

func ignoreClosed(f func() error) func() error {
	return func() error {
		if err := f(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
}

func (d *Daemon) openIngress(context.Context) error {
	d.ingress = ingress.New(ingress.Options{
		Hooks: d.hooks, Store: watched{d.store, d.feed, d.silence, d.holder}, HoldFull: d.holder.Full, Rejects: d.rejects,
		Await: awaiter{d.pool}, Full: d.pool.Full, Spread: d.pool.Spread, Proxies: d.booted.Server.Proxies, Log: d.log,
		Observe: d.metrics, Trace: d.trace, Panicked: d.metrics.panicked("delivery"),
	})
	return nil
}

// recover ends the processes that a run before left, and takes up its jobs.
func (d *Daemon) recover(ctx context.Context) error {
	if groups, why := launch.Take(); groups != nil {
		d.log.Info("runs have control groups", "processes_ended", groups.Sweep(surviving(d.surviveDir())))
	} else {
		d.log.Debug("runs have no control groups", "reason", why)
	}
	report, err := d.pool.Recover(ctx)
	if err != nil {
		return fmt.Errorf("take up the jobs of the run before: %w", err)
	}
	d.log.Info("jobs taken up", "waiting", report.Waiting, "interrupted", report.Interrupted, "rerun", report.Requeued, "survived", report.Survived, "processes_ended", report.Swept)
	return nil
}
