package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/ingress"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/pull"
)

// pulls runs a source for each hook that has one, and knows how it is with them. Its methods are
// safe for concurrent use, but for those of run.
type pulls struct {
	store positionStore
	hooks func() *hook.Set
	take  func(ctx context.Context, hook string, d *pull.Delivered) error
	leads func() bool // the one of many daemons that takes; the others would take the same
	log   *slog.Logger
	wake  chan struct{}

	mu        sync.Mutex
	running   map[string]*puller // by hook
	positions map[string]job.Position
	polls     map[string]pull.State // of hooks that are polled, which runCatchups does
}

// positionStore is what pulls needs of a store.
type positionStore interface {
	SetPosition(ctx context.Context, p job.Position, on bool) error
	Positions(ctx context.Context) ([]job.Position, error)
}

// puller is a source that runs.
type puller struct {
	of     *hook.Pull
	source pull.Source
	stop   context.CancelFunc
	done   chan struct{}
}

// pullLook is the pause between looks at what should run.
const pullLook = time.Second

// openPulls takes up what the store has.
func openPulls(ctx context.Context, p *pulls) (*pulls, error) {
	all, err := p.store.Positions(ctx)
	if err != nil {
		return nil, err
	}
	p.wake = make(chan struct{}, 1)
	p.running, p.positions, p.polls = map[string]*puller{}, map[string]job.Position{}, map[string]pull.State{}
	for _, at := range all {
		p.positions[at.Hook] = at
	}
	return p, nil
}

// changed is called when the configuration has changed.
func (p *pulls) changed() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run runs what the configuration says until ctx ends, and waits for what it started.
func (p *pulls) run(ctx context.Context) {
	atOnceAndEvery(ctx, pullLook, p.wake, func() { p.reconcile(ctx) })
	p.stopAll(func(string, *puller) bool { return true })
}

// reconcile stops what is not wanted any more, or is another now, waits for that, and starts what is
// missing.
func (p *pulls) reconcile(ctx context.Context) {
	wanted := map[string]*hook.Hook{}
	if p.leads() {
		for _, h := range p.hooks().Hooks() {
			if h.Enabled && h.Pull != nil && h.Pull.Kind != hook.PullPoll {
				wanted[h.Name] = h
			}
		}
	}
	p.stopAll(func(name string, one *puller) bool {
		return wanted[name] == nil || !wanted[name].Pull.Same(one.of)
	})
	for name, h := range wanted {
		p.start(ctx, name, h)
	}
	p.forget(ctx)
}

func (p *pulls) start(ctx context.Context, name string, h *hook.Hook) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running[name] != nil || ctx.Err() != nil {
		return
	}
	ctx, stop := context.WithCancel(ctx)
	one := &puller{of: h.Pull, source: p.open(ctx, name, h), stop: stop, done: make(chan struct{})}
	p.running[name] = one
	go func() {
		defer close(one.done)
		one.source.Run(ctx, func(ctx context.Context, d *pull.Delivered) error { return p.take(ctx, name, d) })
	}()
}

// open makes the source of a hook. p.mu is held.
func (p *pulls) open(ctx context.Context, name string, h *hook.Hook) pull.Source {
	log := p.log.With("hook", name, "source", h.Pull.Kind)
	if h.Pull.Kind == hook.PullTenterhook {
		return pull.NewRelay(pull.RelayOptions{URL: h.Pull.URL, Token: h.Pull.Token(), Hook: h.Pull.Hook, Roots: h.Pull.Roots, Log: log})
	}
	of := h.Pull.Source()
	o := pull.ChannelOptions{
		URL: h.Pull.URL, Gosmee: h.Pull.Kind == hook.PullGosmee, MaxBody: h.MaxBody, Roots: h.Pull.Roots, Log: log,
		Reached: func(place string) { p.reached(ctx, job.Position{Hook: name, Source: of, Place: place}) },
	}
	if at := p.positions[name]; at.Source == of {
		o.Position = at.Place
	}
	return pull.NewChannel(o)
}

// stopAll ends the sources that are to end, and waits until each has.
func (p *pulls) stopAll(which func(name string, one *puller) bool) {
	p.mu.Lock()
	var ending []*puller
	for name, one := range p.running {
		if which(name, one) {
			ending = append(ending, one)
			delete(p.running, name)
		}
	}
	p.mu.Unlock()
	for _, one := range ending {
		one.stop()
	}
	for _, one := range ending {
		<-one.done
	}
}

// reached notes how far a source is, on disk: what a crash loses of it is taken again, and known by
// its key.
func (p *pulls) reached(ctx context.Context, at job.Position) {
	p.mu.Lock()
	p.positions[at.Hook] = at
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), heartbeatTime)
	defer cancel()
	if err := p.store.SetPosition(ctx, at, true); err != nil {
		p.log.Warn("position of a source not stored: it is taken from an earlier one after a restart", "hook", at.Hook, "error", err)
	}
}

// forget drops what is known of sources that no hook has any more.
func (p *pulls) forget(ctx context.Context) {
	hooks := p.hooks()
	var gone []job.Position
	p.mu.Lock()
	for name := range p.polls {
		if h := hooks.Hook(name); h == nil || h.Pull == nil || h.Pull.Kind != hook.PullPoll {
			delete(p.polls, name)
		}
	}
	for name, at := range p.positions {
		if h := hooks.Hook(name); h == nil || h.Pull == nil || h.Pull.Source() != at.Source {
			gone = append(gone, at)
		}
	}
	p.mu.Unlock()
	for _, at := range gone {
		if err := p.store.SetPosition(ctx, at, false); err != nil {
			continue // at the next look
		}
		p.mu.Lock()
		if p.positions[at.Hook] == at {
			delete(p.positions, at.Hook)
		}
		p.mu.Unlock()
	}
}

// polled notes what a round of a poll came to.
func (p *pulls) polled(h *hook.Hook, caught admin.Caught, err error) {
	if h.Pull == nil || h.Pull.Kind != hook.PullPoll {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.polls[h.Name]
	now := time.Now()
	if caught.Taken > 0 {
		s.Taken, s.Last = s.Taken+int64(caught.Taken), now
	}
	s.Refused += int64(caught.Lost)
	s.Held = -1
	switch {
	case err != nil:
		if !s.Connected.IsZero() {
			s.Losses++
		}
		s.Connected, s.Problem, s.Lost, s.LostAt = time.Time{}, err.Error(), err.Error(), now
	case s.Connected.IsZero():
		s.Connected, s.Problem = now, ""
	}
	p.polls[h.Name] = s
}

// stateOf is how it is with the source of a hook.
func (p *pulls) stateOf(h *hook.Hook) pull.State {
	p.mu.Lock()
	one, s := p.running[h.Name], p.polls[h.Name]
	p.mu.Unlock()
	switch {
	case one != nil:
		s = one.source.State()
	case h.Pull.Kind != hook.PullPoll || s.Held == 0:
		s.Held = -1
	}
	return s
}

// each calls with every hook that has a source, in the order of the file.
func (p *pulls) each(f func(h *hook.Hook, s pull.State)) {
	for _, h := range p.hooks().Hooks() {
		if h.Pull != nil && h.Enabled {
			f(h, p.stateOf(h))
		}
	}
}

// status is how it is with the sources.
func (p *pulls) status() []admin.Source {
	out := []admin.Source{}
	p.each(func(h *hook.Hook, s pull.State) {
		w := admin.Source{
			Hook: h.Name, Kind: h.Pull.Kind, ConnectedAt: admin.Time{Time: s.Connected}, LastAt: admin.Time{Time: s.Last},
			Taken: s.Taken, Refused: s.Refused, Problem: s.Problem, LostAt: admin.Time{Time: s.LostAt}, Lost: s.Lost, Elsewhere: !p.leads(),
		}
		if s.Held >= 0 {
			w.Held = &s.Held
		}
		out = append(out, w)
	})
	return out
}

// takePulled takes in what a source has for a hook, as the configuration is now.
func (d *Daemon) takePulled(ctx context.Context, name string, got *pull.Delivered) error {
	h := d.hooks().Hook(name)
	if h == nil || !h.Enabled {
		return fmt.Errorf("hook %q is no longer configured", name) // its source is about to end
	}
	ip, _ := netip.ParseAddr(got.IP)
	sent := got.At
	if sent.IsZero() {
		sent = time.Now()
	}
	header := got.Header
	if header == nil {
		header = http.Header{}
	}
	_, err := d.ingress.Pulled(ctx, h, ingress.Pulled{
		Method: got.Method, Scheme: got.Scheme, Host: got.Host, Path: got.Path, RawPath: got.RawPath, Query: got.Query,
		Header: header, IP: ip, Bodies: got.Forms, Sent: sent,
	})
	if errors.Is(err, ingress.ErrNotTaken) {
		reason := strings.ReplaceAll(err.Error(), "\n", ": ")
		return &pull.RefusedError{Reason: strings.TrimPrefix(reason, ingress.ErrNotTaken.Error()+": ")}
	}
	if err != nil && ctx.Err() == nil {
		d.log.Warn("pulled delivery not stored, tried again", "hook", name, "error", err)
	}
	return err
}
