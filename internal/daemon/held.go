package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/ingress"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/relay"
	"github.com/tenterhook/tenterhook/internal/store"
)

type relaySpec struct {
	Listen config.Text    `yaml:"listen" doc:"Address that takers reach, and nobody else needs to: host:port or unix:/path. With server.tls it speaks TLS. A change needs a restart."`
	Lease  *time.Duration `yaml:"lease" doc:"How long a taker may keep a delivery without saying what became of it, 5s to 1h." default:"1m"`
	Takers []takerSpec    `yaml:"takers" doc:"Who may take, each with a token for some hooks."`
}

type takerSpec struct {
	Name  config.Text   `yaml:"name,required" doc:"Who it is: status and the log say so."`
	Token config.Secret `yaml:"token,required" doc:"The token, at least 16 bytes. It can take deliveries of its hooks and acknowledge them, nothing else."`
	Hooks []config.Text `yaml:"hooks,required" doc:"The hooks it is for."`
}

const (
	defaultLease  = time.Minute
	shortestLease = 5 * time.Second
	longestLease  = time.Hour
	leastToken    = 16 // bytes
)

// readRelay reads relay:. The listener is reached from outside, so that it speaks TLS, or stays on this
// machine.
func readRelay(spec relaySpec, s Settings, file *config.File, d *config.Diagnostics) Relay {
	r := Relay{Listen: spec.Listen.Value, Lease: defaultLease}
	if path, ok := strings.CutPrefix(r.Listen, "unix:"); ok {
		r.Listen = "unix:" + beside(file, path)
	}
	set(&r.Lease, spec.Lease)
	if r.Lease < shortestLease || r.Lease > longestLease {
		d.Errorf(file.Root.Find("relay", "lease"), "lease is %s to %s", shortestLease, longestLease)
	}
	if checkListen(spec.Listen, d) && r.Listen != "" {
		encrypted := s.Server.Cert != "" || s.Server.ACME != nil
		if !admin.IsLocal(r.Listen) && !encrypted {
			d.Errorf(spec.Listen, "relay.listen %s is reachable from other machines and would not speak TLS: deliveries and tokens could be read on their way", r.Listen).
				Hint("server: {tls: {…}}, whose certificate it has too").
				Hint("or listen on 127.0.0.1 and let a reverse proxy speak TLS")
		}
		if (r.Listen == s.Server.Listen || r.Listen == s.Admin.Listen) && !strings.HasSuffix(r.Listen, ":0") {
			d.Errorf(spec.Listen, "relay cannot share the address %s with another listener", r.Listen)
		}
	}
	names := map[string]bool{}
	for i, t := range spec.Takers {
		if i >= mostTokens {
			d.Errorf(t.Name, "relay.takers has %d takers, at most %d can be", len(spec.Takers), mostTokens)
			break
		}
		if t.Name.Value == "" || len(t.Token.Reveal()) == 0 {
			continue // said already
		}
		r.Takers = append(r.Takers, readTaker(t, s, r.Takers, names, d))
	}
	return r
}

func readTaker(t takerSpec, s Settings, others []relay.Taker, names map[string]bool, d *config.Diagnostics) relay.Taker {
	one := relay.Taker{Name: t.Name.Value, Secret: t.Token.Reveal()}
	same := slices.ContainsFunc(others, func(o relay.Taker) bool { return string(o.Secret) == string(one.Secret) })
	ofAdmin := string(s.Admin.Token.Reveal()) == string(one.Secret) ||
		slices.ContainsFunc(s.Admin.Tokens, func(o admin.Token) bool { return string(o.Secret) == string(one.Secret) })
	switch {
	case names[one.Name]:
		d.Errorf(t.Name, "two takers have the name %q", one.Name)
	case same:
		d.Errorf(t.Token, "the token of %q is another taker's too: nobody could say whose it is", one.Name)
	case ofAdmin:
		d.Errorf(t.Token, "the token of %q is one of the admin side's: who takes deliveries could do more", one.Name)
	case len(one.Secret) < leastToken:
		d.Errorf(t.Token, "the token of %q is shorter than %d bytes, and anybody may try: it could be guessed", one.Name, leastToken).Hint("openssl rand -hex 32")
	}
	names[one.Name] = true
	for _, h := range t.Hooks {
		one.Hooks = append(one.Hooks, h.Value)
	}
	return one
}

// checkHeld wants every hook of a taker to be held, and every held one to have a taker.
func checkHeld(c *Config, spec relaySpec, file *config.File, d *config.Diagnostics) {
	taken := map[string]bool{}
	for _, t := range spec.Takers {
		for _, name := range t.Hooks {
			taken[name.Value] = true
			switch h := c.Hooks.Hook(name.Value); {
			case h == nil:
				d.Errorf(name, "there is no hook %q", name.Value)
			case h.Hold == nil:
				d.Errorf(name, "hook %q has no hold: nothing of it could be taken", name.Value).Hint("hold: true in the hook")
			}
		}
	}
	for _, h := range c.Hooks.Hooks() {
		if h.Hold != nil && h.Enabled && (!taken[h.Name] || c.Settings.Relay.Listen == "") {
			d.Warnf(file.Root.Find("hooks"), "hook %q holds deliveries that nobody can take: relay has no listen, or no taker for it", h.Name)
		}
	}
}

// openRelay makes what hands out held deliveries, also where nobody can take them: they are counted.
func (d *Daemon) openRelay(ctx context.Context) (err error) {
	d.holder, err = relay.New(ctx, relay.Options{
		Store: d.store, Hooks: d.hooks, Log: d.log, Panicked: d.metrics.panicked("relay"), Shared: d.fleet() != nil,
		Takers: func() []relay.Taker { return d.config.Load().Settings.Relay.Takers },
		Lease:  func() time.Duration { return d.config.Load().Settings.Relay.Lease },
	})
	if err != nil || d.booted.Relay.Listen == "" {
		return err
	}
	l, err := admin.Open(d.booted.Relay.Listen)
	if err != nil {
		return fmt.Errorf("listen for takers: %w", err)
	}
	d.relaySide = l
	d.onStop("relay listener", ignoreClosed(l.Close))
	return nil
}

// serveRelay starts the listener of takers, with the certificate of the deliveries' one.
func (d *Daemon) serveRelay(s *servers, certified *tls.Config, cancel context.CancelCauseFunc) {
	if d.relaySide == nil {
		return
	}
	s.relay = ingress.NewServer(d.holder, slog.NewLogLogger(d.log.Handler(), slog.LevelDebug))
	if certified != nil {
		s.relay.TLSConfig = certified.Clone()
	}
	bound := ingress.Bound(d.relaySide, d.options.Limits, nil)
	s.start(&s.running, cancel, "relay", func() error {
		if certified != nil { // not the server's own, which net/http sets without being asked
			return s.relay.ServeTLS(bound, "", "")
		}
		return s.relay.Serve(bound)
	})
	d.log.Info("held deliveries can be taken", "relay", d.relaySide.Addr().String(), "tls", certified != nil)
}

// RelayAddr is where takers reach the daemon; "" when they cannot.
func (d *Daemon) RelayAddr() string {
	if d.relaySide == nil {
		return ""
	}
	return d.relaySide.Addr().String()
}

// countHeld counts what is held anew until ctx ends.
func (d *Daemon) countHeld(ctx context.Context) {
	every(ctx, countHeldEvery, nil, func() { d.countHeldNow(ctx) })
}

func (d *Daemon) countHeldNow(ctx context.Context) {
	if err := d.holder.Count(ctx); err != nil && ctx.Err() == nil {
		d.log.Warn("held deliveries not counted", "error", err)
	}
}

const countHeldEvery = 10 * time.Second

// held is how it is with hooks that hold deliveries, in the order of the file.
func (d *Daemon) held() []admin.HeldStatus {
	out := []admin.HeldStatus{}
	conf := d.config.Load()
	for _, h := range conf.Hooks.Hooks() {
		if h.Hold == nil || !h.Enabled {
			continue
		}
		c := d.holder.Counts(h.Name)
		one := admin.HeldStatus{
			Hook: h.Name, Waiting: c.Waiting, Taken: c.Taken(), Refused: c.Refused, Most: h.Hold.Most, OldestAt: admin.Time{Time: c.Oldest},
			Lost: d.untaken.number(h.Name, job.HeldWaiting) + d.untaken.number(h.Name, job.HeldRefused), Takers: []admin.TakerStatus{},
		}
		for _, t := range conf.Settings.Relay.Takers {
			if slices.Contains(t.Hooks, h.Name) {
				tally := d.holder.Tally(t.Name, h.Name)
				one.Takers = append(one.Takers, admin.TakerStatus{
					Name: t.Name, SeenAt: admin.Time{Time: tally.Seen}, Has: c.With[t.Name], Taken: tally.Taken, Refused: tally.Refused,
				})
			}
		}
		out = append(out, one)
	}
	return out
}

// untaken counts the held deliveries that retention deleted before a taker had them, in this run. It is
// safe for concurrent use.
type untaken struct {
	mu     sync.Mutex
	counts map[ofHeld]int64
}

type ofHeld struct {
	hook  string
	state job.HeldState
}

func (u *untaken) add(all []store.Untaken) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.counts == nil {
		u.counts = map[ofHeld]int64{}
	}
	for _, one := range all {
		u.counts[ofHeld{one.Hook, one.State}] += int64(one.Number)
	}
}

func (u *untaken) number(hook string, state job.HeldState) int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.counts[ofHeld{hook, state}]
}

// handOutAgain is what replaying a held delivery means: a taker gets it once more.
func (d *Daemon) handOutAgain(ctx context.Context, h *hook.Hook, delivery *job.Delivery) error {
	if _, err := d.store.Holding(ctx, delivery.ID); err != nil {
		return fmt.Errorf("%w: delivery %s was not held", admin.ErrRefused, delivery.ID)
	}
	return d.holder.Again(ctx, h.Name, delivery.ID)
}

// stopRelay ends the requests of takers.
func (s *servers) stopRelay(ctx context.Context) {
	if s.relay == nil {
		return
	}
	if err := s.relay.Shutdown(ctx); err != nil && !errors.Is(err, http.ErrServerClosed) {
		_ = s.relay.Close()
	}
}
