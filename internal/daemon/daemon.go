package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/crashpoint"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/ingress"
	"github.com/tenterhook/tenterhook/internal/launch"
	"github.com/tenterhook/tenterhook/internal/relay"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/tracing"
	"github.com/tenterhook/tenterhook/internal/ui"
)

// Options are what a Daemon is started with.
type Options struct {
	Config  config.Options
	Log     *slog.Logger
	Version string
	// Sockets are listeners that were handed over (systemd socket activation): the first for
	// deliveries, the second, if any, for the admin side.
	Sockets []net.Listener
	// LastGood: when the configuration has problems, start with the last that worked.
	LastGood bool
	// Limits bounds the deliveries' connections.
	Limits ingress.Limits
}

// Daemon is the running program. Start one with New and Run; Run returns when it has stopped
// and everything it started has ended.
type Daemon struct {
	options Options
	log     *slog.Logger
	booted  Settings // of the configuration it started with
	exposed bool     // a handed-over socket that other machines reach
	started time.Time

	config   atomic.Pointer[Config] // what runs; replaced whole by reloadLoop
	reloaded atomic.Pointer[reloadState]
	planned  *planned // the last comparison for a reload; of reloadLoop alone
	reloads  chan reloadRequest
	version  atomic.Int64                        // of the store's configuration that was read last
	content  atomic.Pointer[store.Configuration] // that one
	pushed   chan struct{}                       // capacity 1: perhaps there is another one
	pushing  sync.Mutex

	store   opened
	pool    runner
	paused  pauses
	trying  sync.Mutex // held while a candidate is tried
	feed    *admin.Feed
	rejects *ingress.Rejects
	replays replays
	heard   *listened
	silence *silence
	pulls   *pulls
	holder  *relay.Relay
	untaken untaken
	// searches has an element for each search that runs.
	searches chan struct{}
	catchups catchups
	ingress  *ingress.Handler
	metrics  *metrics
	systemd  notifier
	trace    *tracing.Tracer // nil when no OTEL_* variable asks for spans

	deliveries net.Listener
	adminSide  net.Listener
	relaySide  net.Listener // nil when nobody takes
	challenges net.Listener // nil when HTTP-01 is not answered

	stops []stop // closed last to first
}

type stop struct {
	name string
	run  func() error
}

// New reads the configuration, opens the store and the listeners, and takes up what an earlier
// run left. It returns a *config.Diagnostics as its error when the configuration has problems.
// Whatever it had opened is closed when it fails.
func New(ctx context.Context, o Options) (*Daemon, error) {
	d := &Daemon{
		options: o, log: o.Log, started: time.Now(), feed: admin.NewFeed(), reloads: make(chan reloadRequest, 1), pushed: make(chan struct{}, 1),
		catchups: catchups{asking: make(chan struct{}, 1)}, searches: make(chan struct{}, mostSearches),
	}
	if err := d.setup(ctx); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *Daemon) onStop(name string, run func() error) { d.stops = append(d.stops, stop{name, run}) }

// close closes what was opened, last first, and goes on when a step fails.
func (d *Daemon) close() error {
	var errs []error
	for _, s := range slices.Backward(d.stops) {
		if err := s.run(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", s.name, err))
		}
	}
	d.stops = nil
	return errors.Join(errs...)
}

// Addr is where deliveries are taken.
func (d *Daemon) Addr() net.Addr { return d.deliveries.Addr() }

// AdminAddr is where the admin side listens.
func (d *Daemon) AdminAddr() net.Addr { return d.adminSide.Addr() }

// Config is the configuration in force.
func (d *Daemon) Config() *Config { return d.config.Load() }

func (d *Daemon) hooks() *hook.Set { return d.config.Load().Hooks }

// Run serves until ctx ends, then stops in order: no further request is taken, requests in
// flight are answered, nothing new is started, running jobs have until the drain deadline, what
// still runs is ended and recorded, the store is closed. When quick ends, the drain is cut
// short. It also returns, with an error, when the store is broken or a listener fails.
func (d *Daemon) Run(ctx, quick context.Context) error {
	defer runtime.KeepAlive(raiseHeapFloor())
	asked := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	fetch, endFetch := context.WithCancel(context.WithoutCancel(ctx))
	defer endFetch()
	work, endWork := context.WithCancel(context.WithoutCancel(ctx))
	defer endWork()

	var background sync.WaitGroup
	d.startBackground(ctx, cancel, &background)
	servers, err := d.serve(ctx, cancel, &background)
	if err != nil {
		cancel(err)
	}
	if err == nil {
		span := d.heard.begin(ctx)
		background.Go(func() { d.heard.beat(ctx, span) })
		background.Go(func() { d.silence.watch(ctx) })
		background.Go(func() { d.pulls.run(ctx) })
		background.Go(func() { d.countHeld(ctx) })
		background.Go(func() { d.runReports(ctx) })
	}
	pool := make(chan error, 1)
	go func() { pool <- d.pool.Run(fetch, work) }()
	d.notifyReady()
	background.Go(forgetStart)
	d.log.Info("ready", "deliveries", d.Addr().String(), "admin", d.AdminAddr().String(), "hooks", len(d.hooks().Hooks()), "digest", d.config.Load().File.Digest, "store", d.booted.Store, "workers", d.booted.Workers)

	d.keepLastGood()

	<-ctx.Done()
	crashpoint.Reach(crashpoint.DrainBegin)
	d.notifyStopping()
	d.log.Info("stopping", "reason", context.Cause(ctx), "drain", d.booted.Server.Drain.String())
	d.stopServers(servers, quick)
	endFetch()
	stopErr := d.drain(pool, quick, endWork)
	background.Wait()
	crashpoint.Reach(crashpoint.DrainEnd)
	var broken error
	if asked.Err() == nil {
		broken = context.Cause(ctx)
	}
	stopErr = errors.Join(broken, stopErr, d.close())
	d.log.Info("stopped", "clean", stopErr == nil)
	return stopErr
}

// startBackground starts what looks after the daemon from now until ctx ends, whoever can reach it.
func (d *Daemon) startBackground(ctx context.Context, cancel context.CancelCauseFunc, background *sync.WaitGroup) {
	background.Go(func() { d.reloadLoop(ctx) })
	background.Go(func() { d.watchFiles(ctx) })
	background.Go(func() { d.watchSignals(ctx) })
	background.Go(func() { launch.BuryOrphans(ctx, time.Second) })
	background.Go(func() { d.watchdog(ctx) })
	background.Go(func() { d.seedSeries(ctx) })
	background.Go(func() { d.prune(ctx) })
	background.Go(func() { d.writeRejects(ctx) })
	background.Go(func() { d.runReplays(ctx) })
	background.Go(func() { d.runCatchups(ctx) })
	background.Go(func() { d.relay(ctx) })
	background.Go(func() { d.watchStored(ctx) })
	background.Go(func() { d.watchStore(ctx, cancel) })
}

// serve starts the two HTTP servers. One that fails ends the daemon.
func (d *Daemon) serve(ctx context.Context, cancel context.CancelCauseFunc, background *sync.WaitGroup) (*servers, error) {
	deliveries := ingress.NewServer(d.ingress, slog.NewLogLogger(d.log.Handler(), slog.LevelDebug))
	tlsConfig, err := d.certify(ctx, background)
	if err != nil {
		return &servers{}, err
	}
	deliveries.TLSConfig = tlsConfig.Clone() // net/http extends it while it serves, and the relay's is another
	adminServer := admin.NewServer(admin.Handler(backend{d}, admin.Options{
		Listen: d.AdminAddr().String(), Token: d.booted.Admin.Token.Reveal(), Tokens: d.booted.Admin.Tokens, Hosts: d.booted.Admin.Hosts,
		Metrics: d.metrics.handler(), Feed: d.feed, Log: d.log, Panicked: d.metrics.panicked("api"),
		Pages: func(door admin.Door) admin.Pages {
			return ui.New(backend{d}, ui.Options{Door: door, Log: d.log, Panicked: d.metrics.panicked("page")})
		},
	}), d.log)
	bound := ingress.Bound(d.deliveries, d.options.Limits, d.booted.Server.Proxies)
	s := &servers{deliveries: deliveries, admin: adminServer, bound: bound}
	s.start(&s.accepting, cancel, "deliveries", func() error {
		if deliveries.TLSConfig != nil {
			return deliveries.ServeTLS(bound, "", "")
		}
		return deliveries.Serve(bound)
	})
	s.start(&s.running, cancel, "admin", func() error { return adminServer.Serve(d.adminSide) })
	d.serveRelay(s, tlsConfig, cancel)
	return s, nil
}

// servers are HTTP servers and the goroutines that serve.
type servers struct {
	deliveries, admin *http.Server
	relay             *http.Server           // nil when nobody takes
	bound             *ingress.BoundListener // what deliveries accepts from
	accepting         sync.WaitGroup         // the loop that accepts deliveries' connections
	running           sync.WaitGroup         // and the admin side's
}

func (s *servers) start(loop *sync.WaitGroup, cancel context.CancelCauseFunc, name string, serve func() error) {
	loop.Go(func() {
		if err := serve(); !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
			cancel(fmt.Errorf("serve %s: %w", name, err))
		}
	})
}

// answerTime is how long a stop waits for requests in flight to be answered.
const answerTime = 10 * time.Second

// stopServers takes no further connection and lets the requests of those it has be answered.
func (d *Daemon) stopServers(s *servers, quick context.Context) {
	ctx, cancel := context.WithTimeout(quick, answerTime)
	defer cancel()
	if err := s.bound.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		d.log.Warn("close listener", "error", err)
	}
	d.holder.Close()   // as those who wait for a held delivery
	d.feed.Close()     // its streams are requests that do not end by themselves
	s.accepting.Wait() // from here on every connection there is has been counted
	s.finishRequests(ctx)
	for _, server := range []*http.Server{s.deliveries, s.admin} {
		if err := server.Shutdown(ctx); err != nil {
			_ = server.Close() // the requests that are left are cut
		}
	}
	s.stopRelay(ctx)
	d.ingress.Stop()
	s.running.Wait()
}

// finishRequests answers what comes over the connections that are open, closes each after its
// answer, and waits for that until ctx ends. Shutdown alone cuts a connection that was accepted
// and whose first request had not been read when it was called.
func (s *servers) finishRequests(ctx context.Context) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		s.deliveries.SetKeepAlivesEnabled(false) // each call also closes those that are idle
		if s.bound.Open() == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// drain waits for running jobs until the deadline or quick, then ends them, and waits for their
// records.
func (d *Daemon) drain(pool <-chan error, quick context.Context, endWork func()) error {
	deadline := time.NewTimer(d.booted.Server.Drain)
	defer deadline.Stop()
	select {
	case err := <-pool:
		return err
	case <-quick.Done():
		d.log.Warn("ending running jobs at once")
	case <-deadline.C:
		d.log.Warn("ending running jobs, the drain time is over")
	}
	endWork()
	return <-pool
}

// watchStore ends the daemon when the store can no longer be trusted: only a restart, which
// recovers the file, can.
func (d *Daemon) watchStore(ctx context.Context, cancel context.CancelCauseFunc) {
	select {
	case <-ctx.Done():
	case err := <-d.store.Broken():
		cancel(fmt.Errorf("store is broken, restart to recover: %w", err))
	case err := <-d.pool.Broken():
		cancel(err)
	}
}
