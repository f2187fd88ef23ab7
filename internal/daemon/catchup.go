package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/crashpoint"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/ingress"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/sender"
	"github.com/tenterhook/tenterhook/internal/store"
)

// catchups asks senders' APIs for what did not arrive. One is asked at a time.
type catchups struct {
	asking chan struct{} // holds one while somebody asks
	// Of who asks:
	apis map[target]sender.History // of one configuration, so that what they know of answers is used again
	of   string                    // its digest

	next map[string]round // of runCatchups alone, by hook
}

type target struct{ hook, name string }

// round is when a hook is caught up next, and from when on: zero is as far back as it goes.
type round struct {
	at, since time.Time
}

// from is where a round begins, in case that the clock was set, or the machine slept, since the one
// before: what of both clocks is the earlier.
func (r round) from() time.Time {
	if r.since.IsZero() {
		return r.since
	}
	return oldest(r.since.Round(0), time.Now().Add(-time.Since(r.since)).Round(0))
}

// The times of catching up.
const (
	// catchupLook is how often it is looked whether a hook's time has come.
	catchupLook = time.Second
	// catchupOverlap is how far behind the last round the next begins: a delivery is listed when its
	// try is over, which may have begun a while ago.
	catchupOverlap = 15 * time.Minute
	// catchupAgain is when a round is tried again that failed.
	catchupAgain = time.Minute
	// catchupAnswer bounds what one request of somebody waits for.
	catchupAnswer = 40 * time.Second
	// knownSlack is how much earlier than at the sender's something may have arrived by our clock.
	knownSlack = time.Hour
)

// runCatchups catches the hooks up that say so: at the start, and then every so often.
func (d *Daemon) runCatchups(ctx context.Context) {
	d.catchups.next = map[string]round{}
	atOnceAndEvery(ctx, catchupLook, nil, func() { d.catchupDue(ctx) })
}

// catchupDue catches the hooks up whose turn it is.
func (d *Daemon) catchupDue(ctx context.Context) {
	for _, h := range d.hooks().Hooks() {
		if !d.pool.Leads() {
			clear(d.catchups.next) // the node that leads does it for all; who leads next begins as at a start
			return
		}
		if h.Catchup == nil || !h.Enabled || time.Now().Before(d.catchups.next[h.Name].at) {
			continue
		}
		d.catchups.next[h.Name] = d.catchupRound(ctx, h, d.catchups.next[h.Name].from())
	}
}

// catchupRound catches one hook up and says when it is its turn again.
func (d *Daemon) catchupRound(ctx context.Context, h *hook.Hook, since time.Time) round {
	began := time.Now()
	if since.IsZero() {
		since = began.Add(-h.Catchup.Within)
	}
	caught, err := d.catchUp(ctx, h, since)
	var busy *sender.BusyError
	switch {
	case ctx.Err() != nil:
		return round{}
	case errors.As(err, &busy):
		d.log.Warn("catching up waits", "hook", h.Name, "until", busy.Until.UTC(), "taken", caught.Taken, "reason", err)
		d.pulls.polled(h, caught, err)
		return round{at: busy.Until, since: since}
	case err != nil:
		d.log.Warn("catching up failed", "hook", h.Name, "taken", caught.Taken, "error", err)
		d.pulls.polled(h, caught, err)
		return round{at: time.Now().Add(min(catchupAgain, h.Catchup.Every)), since: since}
	}
	if caught.Taken > 0 || caught.Lost > 0 {
		d.log.Info("caught up", "hook", h.Name, "listed", caught.Listed, "taken", caught.Taken, "lost", caught.Lost)
	}
	d.pulls.polled(h, caught, nil)
	return round{at: began.Add(h.Catchup.Every), since: began.Add(-catchupOverlap)}
}

// askCatchUp catches a hook up because somebody asks. When the time for an answer is over, More says
// that there is more to do.
func (d *Daemon) askCatchUp(ctx context.Context, name, since string) (admin.Caught, error) {
	h := d.hooks().Hook(name)
	if h == nil {
		return admin.Caught{}, fmt.Errorf("hook %q: %w", name, store.ErrNotFound)
	}
	now := time.Now()
	from, err := admin.ParseTime(since, now)
	if err != nil {
		return admin.Caught{}, fmt.Errorf("%w: since: %w", admin.ErrRefused, err)
	}
	if from.IsZero() {
		from = now.Add(-hook.CatchupWithin)
		if h.Catchup != nil {
			from = now.Add(-h.Catchup.Within)
		}
		if from, err = d.notBefore(ctx, from); err != nil {
			return admin.Caught{}, err
		}
	}
	within, cancel := context.WithTimeout(ctx, catchupAnswer)
	defer cancel()
	caught, err := d.catchUpFrom(within, h, from)
	switch {
	case ctx.Err() == nil && within.Err() != nil:
		caught.More = true
		return caught, nil
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, admin.ErrRefused):
		return caught, err
	case err != nil:
		return caught, fmt.Errorf("%w: %w", admin.ErrRefused, err)
	}
	return caught, nil
}

// notBefore is a time, or when deliveries were first taken: what was sent before was for somebody
// else. A daemon that was started very often does not remember the first time, and has what it took.
func (d *Daemon) notBefore(ctx context.Context, t time.Time) (time.Time, error) {
	first, forgotten := d.heard.first()
	switch {
	case first.IsZero():
		return d.started, nil
	case !first.After(t):
		return t, nil
	case !forgotten:
		return first, nil
	}
	f := store.Filter{Since: t, Until: first, Limit: 500}
	for {
		page, err := d.store.Deliveries(ctx, f)
		if err != nil {
			return t, err
		}
		for i := range page {
			first = oldest(first, page[i].ReceivedAt)
		}
		if len(page) < f.Limit {
			return first, nil
		}
		f.Cursor = page[len(page)-1].ID
	}
}

func oldest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// catchUp takes in what a hook missed since a time, as far as anybody listened for it.
func (d *Daemon) catchUp(ctx context.Context, h *hook.Hook, since time.Time) (admin.Caught, error) {
	from, err := d.notBefore(ctx, since)
	if err != nil {
		return admin.Caught{}, err
	}
	return d.catchUpFrom(ctx, h, from)
}

func (d *Daemon) catchUpFrom(ctx context.Context, h *hook.Hook, since time.Time) (caught admin.Caught, err error) {
	caught.Hook, caught.Since = h.Name, admin.Time{Time: since}
	if err := d.canCatchUp(h); err != nil {
		return caught, fmt.Errorf("%w: %w", admin.ErrRefused, err)
	}
	select {
	case d.catchups.asking <- struct{}{}:
		defer func() { <-d.catchups.asking }()
	case <-ctx.Done():
		return caught, ctx.Err()
	}
	known, err := d.knownKeys(ctx, h, since)
	if err != nil {
		return caught, err
	}
	targets := h.API.Targets
	if h.API.Kind.Target == "" {
		targets = []string{""}
	}
	for _, name := range targets {
		api, err := d.catchups.open(h, name)
		if err != nil {
			return caught, err
		}
		if err := d.catchTarget(ctx, h, api, since, known, &caught); err != nil {
			return caught, err
		}
	}
	return caught, nil
}

// canCatchUp says what is missing.
func (d *Daemon) canCatchUp(h *hook.Hook) error {
	public := d.config.Load().Settings.Server.PublicURL
	if h.Pull != nil && h.Pull.Address != "" || h.Catchup != nil && h.Catchup.Poll {
		public = "-" // it is not known by that
	}
	switch {
	case h.API == nil || h.API.Kind.Deaf:
		return fmt.Errorf("the sender of hook %q has no API that tells what it sent", h.Name)
	case !h.API.Authorized():
		return fmt.Errorf("hook %q has no api.token", h.Name)
	case len(h.API.Targets) == 0 && h.API.Kind.Target != "":
		return fmt.Errorf("hook %q has no api.target: %s", h.Name, h.API.Kind.Target)
	case public == "":
		return errors.New("server.public_url is not set, by which the hook is known at its sender")
	case h.Dedupe.None:
		return fmt.Errorf("hook %q has dedupe: none, so nobody knows what is missing", h.Name)
	}
	return nil
}

// open is the API of a target, the same for as long as the configuration is.
func (c *catchups) open(h *hook.Hook, name string) (sender.History, error) {
	if c.of != h.Config {
		c.apis, c.of = map[target]sender.History{}, h.Config
	}
	if api := c.apis[target{h.Name, name}]; api != nil {
		return api, nil
	}
	o := h.Options(name)
	o.Patience = 20 * time.Second
	api, err := h.API.Kind.Open(o)
	if err != nil {
		return nil, err
	}
	history, ok := api.(sender.History)
	if !ok {
		return nil, fmt.Errorf("the API of %s does not tell what it sent", h.API.Kind.Title)
	}
	c.apis[target{h.Name, name}] = history
	return history, nil
}

// knownKeys are the keys of what arrived since a time, the hook's and the sender's own where headers
// have them. Those that are missing among them because retention took their deliveries are found
// when they are taken in.
func (d *Daemon) knownKeys(ctx context.Context, h *hook.Hook, since time.Time) (map[string]bool, error) {
	known := map[string]bool{}
	f := store.Filter{Hook: h.Name, Since: since.Add(-knownSlack), Limit: 500}
	for {
		page, err := d.store.Deliveries(ctx, f)
		if err != nil {
			return nil, err
		}
		for i := range page {
			known[page[i].Key] = true
			if key, err := h.Provider.Key(hook.Replay(&page[i])); err == nil && key != "" {
				known[key] = true
			}
		}
		if len(page) < f.Limit {
			return known, nil
		}
		f.Cursor = page[len(page)-1].ID
	}
}

// catchTarget takes in what the registrations of a target missed, the oldest first.
func (d *Daemon) catchTarget(ctx context.Context, h *hook.Hook, api sender.History, since time.Time, known map[string]bool, caught *admin.Caught) error {
	registered, err := d.registered(ctx, h, api)
	if err != nil {
		return err
	}
	for _, at := range registered {
		for pass, more := 1, true; more; pass++ {
			if more, err = d.catchPass(ctx, h, api, at, since, known, pass == 1, caught); err != nil {
				return err
			}
		}
	}
	return nil
}

// catchPass takes in what a registration missed, as much as is held at once. What is listed is counted by
// the first pass: the next ones are told of it again.
func (d *Daemon) catchPass(ctx context.Context, h *hook.Hook, api sender.History, at registeredAs, since time.Time, known map[string]bool, first bool, caught *admin.Caught) (more bool, err error) {
	missing, more, err := api.Sent(ctx, at.Registered, since, func(s *sender.Sent) bool {
		if first {
			caught.Listed++
		}
		if known[s.Key] && first {
			caught.Known++
		}
		return !known[s.Key]
	})
	if err != nil {
		return false, err
	}
	for _, s := range slices.Backward(missing) {
		if err := d.catchOne(ctx, h, api, at.Registered, s, at.path, caught); err != nil {
			return false, err
		}
		known[s.Key] = true
	}
	return more, nil
}

// registeredAs is a hook as its sender has it, and the path that it is called by.
type registeredAs struct {
	sender.Registered
	path string
}

// registered are the registrations of a hook at its sender. Of Stripe's events it needs none when
// they are polled: they are the account's.
func (d *Daemon) registered(ctx context.Context, h *hook.Hook, api sender.History) (all []registeredAs, err error) {
	if h.Catchup != nil && h.Catchup.Poll && h.API.Kind.Target == "" {
		return []registeredAs{{sender.Registered{Events: []string{"*"}}, h.Path}}, nil
	}
	hooks, err := api.Hooks(ctx)
	if err != nil {
		return nil, err
	}
	config := d.config.Load()
	for _, r := range hooks {
		if ours, path := config.HookAt("", r.URL); ours != nil && ours.Name == h.Name {
			all = append(all, registeredAs{r, path})
		} else if h.Pull != nil && sender.SameURL(r.URL, h.Pull.Address) {
			all = append(all, registeredAs{r, h.Path})
		}
	}
	if all == nil {
		address := config.Settings.Server.PublicURL + h.Path
		if h.Pull != nil && h.Pull.Address != "" {
			address = "its pull.address, or channel"
		}
		return nil, fmt.Errorf("hook %q is not registered there as %s: \"tenterhook register\" does that", h.Name, address)
	}
	return all, nil
}

// catchOne takes one delivery in. One that cannot be read, or that the sender has no more of, is lost:
// the others are not. What ends the round is the error.
func (d *Daemon) catchOne(ctx context.Context, h *hook.Hook, api sender.History, r sender.Registered, s *sender.Sent, path string, caught *admin.Caught) error {
	if s.Body == nil {
		if err := api.Fetch(ctx, r, s); err != nil {
			return d.lost(ctx, h, s, err, caught)
		}
	}
	origin := job.OriginCatchup
	if h.Catchup != nil && h.Catchup.Poll {
		origin = job.OriginPull
	}
	receipt, err := d.ingress.Collect(ctx, h, origin, path, s.Header, s.Body)
	s.Body = nil // not needed any more, and the list is long
	switch {
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, ingress.ErrFull):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil: // it cannot be decided on
		d.notCaught(h, s, err, caught)
	case receipt.Duplicate:
		caught.Known++
	default:
		caught.Taken++
		crashpoint.Reach(crashpoint.MidCatchup)
	}
	return nil
}

// lost decides what a failure to get a delivery means: of it alone, or of the round.
func (d *Daemon) lost(ctx context.Context, h *hook.Hook, s *sender.Sent, err error, caught *admin.Caught) error {
	var no *sender.Error
	if gone := errors.As(err, &no) && no.Status == http.StatusNotFound; ctx.Err() != nil || !gone && !errors.Is(err, sender.ErrUnusable) {
		return err
	}
	d.notCaught(h, s, err, caught)
	return nil
}

func (d *Daemon) notCaught(h *hook.Hook, s *sender.Sent, err error, caught *admin.Caught) {
	caught.Lost++
	d.log.Warn("delivery not caught up", "hook", h.Name, "key", s.Key, "error", err)
}
