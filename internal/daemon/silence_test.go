package daemon

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/sqlite"
)

// watching is a silence over a real store, on a clock of its own.
type watching struct {
	t       *testing.T
	path    string
	set     atomic.Pointer[hook.Set]
	db      *sqlite.Store
	heard   *listened
	silence *silence
	stop    func()
	ahead   atomic.Int64 // by which the clock was set forward since the begin
}

// now is what the clock says.
func (w *watching) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())).Round(0) }

// backups expects a delivery whose payload has ok each hour.
const backups = `hooks:
  - name: backup
    path: /backup
    verify: none
    expect: {every: 1h, grace: 5m, match: payload.ok, on_missing: [{run: "echo missing"}, {run: "echo also"}], on_back: [{run: "echo back"}]}
    run: echo hi
`

func watchOver(t *testing.T, path string, set *hook.Set) *watching {
	t.Helper()
	w := &watching{t: t, path: path}
	w.set.Store(set)
	w.start()
	return w
}

// start begins what a daemon does.
func (w *watching) start() {
	w.t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	var err error
	if w.db, err = sqlite.Open(context.Background(), w.path, sqlite.Options{Log: log}); err != nil {
		w.t.Fatal(err)
	}
	if w.heard, err = openListened(context.Background(), w.db, w.now, log); err != nil {
		w.t.Fatal(err)
	}
	if w.silence, err = openSilence(context.Background(), &silence{store: w.db, hooks: w.set.Load, gaps: w.heard.Gaps, now: w.now, log: log}); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{}, 2)
	span := w.heard.begin(ctx)
	go func() { w.heard.beat(ctx, span); done <- struct{}{} }()
	go func() { w.silence.watch(ctx); done <- struct{}{} }()
	w.stop = func() {
		cancel()
		<-done
		<-done
		if err := w.db.Close(); err != nil {
			w.t.Error(err)
		}
	}
}

// deliver stores what a sender sent; noticed is false when the daemon dies before it notes it.
func (w *watching) deliver(body string, noticed bool) {
	w.t.Helper()
	d := &job.Delivery{
		ID: job.NewID(), Hook: "backup", Key: job.NewID(), Window: time.Hour, ReceivedAt: w.now(), Outcome: job.Ignored, Origin: "request",
		Method: "POST", Path: "/backup", Header: map[string][]string{"Content-Type": {"application/json"}}, Body: []byte(body), Size: len(body), Secret: -1, Config: "x",
	}
	var accept interface {
		Accept(context.Context, *job.Delivery, []job.Job) (store.Receipt, error)
	} = w.db
	if noticed {
		accept = watchedAccept{w}
	}
	if _, err := accept.Accept(context.Background(), d, nil); err != nil {
		w.t.Fatal(err)
	}
}

type watchedAccept struct{ w *watching }

func (a watchedAccept) Accept(ctx context.Context, d *job.Delivery, jobs []job.Job) (store.Receipt, error) {
	r, err := a.w.db.Accept(ctx, d, jobs)
	a.w.silence.seen(d)
	return r, err
}

// told is what was said so far, oldest first, with its jobs' rules.
func (w *watching) told() string {
	w.t.Helper()
	all, err := w.db.Deliveries(context.Background(), store.Filter{Limit: 500})
	if err != nil {
		w.t.Fatal(err)
	}
	var lines []string
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Origin != job.OriginExpect {
			continue
		}
		line := all[i].Event
		for _, id := range all[i].JobIDs {
			j, err := w.db.Job(context.Background(), id)
			if err != nil {
				w.t.Fatal(err)
			}
			line += " " + j.Rule
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, ", ")
}

// after lets time pass and says what was told by then.
func (w *watching) after(d time.Duration, want string) {
	w.t.Helper()
	time.Sleep(d)
	synctest.Wait()
	if got := w.told(); got != want {
		w.t.Fatalf("at %s: told %q, want %q", time.Now().UTC().Format("Jan 2 15:04"), got, want)
	}
}

// compiled is the set of a file's text.
func compiled(t *testing.T, text string) *hook.Set {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hooks.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, diagnostics := Load(config.Options{Path: path}, false)
	if err := diagnostics.Err(); err != nil {
		t.Fatal(err)
	}
	return c.Hooks
}

func simulate(t *testing.T, text string, run func(w *watching)) {
	t.Helper()
	set, path := compiled(t, text), filepath.Join(t.TempDir(), "t.db")
	synctest.Test(t, func(t *testing.T) {
		w := watchOver(t, path, set)
		defer func() { w.stop() }()
		run(w)
	})
}

const (
	missing = "missing on_missing on_missing-2"
	back    = "back on_back"
)

func TestSilence_IsToldOnceAndSoIsItsEnd(t *testing.T) {
	simulate(t, backups, func(w *watching) {
		w.after(64*time.Minute, "") // the clock begins when it is first seen
		w.deliver(`{"ok":false}`, true)
		w.after(2*time.Minute, missing) // what does not match is not expected
		w.after(4*time.Hour, missing)
		w.deliver(`{"ok":true}`, true)
		w.after(time.Second, missing+", "+back)
		w.after(time.Hour, missing+", "+back)
		w.deliver(`{"ok":true}`, true)
		w.after(time.Hour, missing+", "+back)
		w.after(6*time.Minute, missing+", "+back+", "+missing)
	})
}

func TestSilence_ARestartChangesNothing(t *testing.T) {
	simulate(t, backups, func(w *watching) {
		for range 12 { // one that looked only at its own run would never tell
			w.after(5*time.Minute, "")
			w.stop()
			w.start()
		}
		w.after(6*time.Minute, missing)
		w.stop()
		w.start()
		w.after(time.Hour, missing)
		w.deliver(`{"ok":true}`, true)
		w.after(time.Second, missing+", "+back)
		w.stop()
		w.start()
		w.after(time.Hour, missing+", "+back)
	})
}

func TestSilence_TimeInWhichNobodyListenedIsNotTheSenders(t *testing.T) {
	simulate(t, backups, func(w *watching) {
		w.after(50*time.Minute, "")
		w.stop()
		time.Sleep(5 * time.Hour)
		w.start()
		w.after(14*time.Minute, "")
		w.after(2*time.Minute, missing)
	})
}

func TestSilence_ADeliveryThatACrashKeptFromBeingNotedCounts(t *testing.T) {
	simulate(t, backups, func(w *watching) {
		w.after(50*time.Minute, "")
		w.deliver(`{"ok":true}`, false)
		w.stop()
		w.start()
		w.after(64*time.Minute, "")
		w.after(2*time.Minute, missing)
		w.deliver(`{"ok":true}`, false)
		w.stop()
		w.start()
		w.after(time.Second, missing+", "+back)
	})
}

func TestSilence_AHookThatExpectsAgainHasANewClock(t *testing.T) {
	nothing := compiled(t, strings.ReplaceAll(backups, "expect:", "let: {x: '1'} #"))
	simulate(t, backups, func(w *watching) {
		w.after(50*time.Minute, "")
		expecting := w.set.Load()
		w.set.Store(nothing)
		w.after(time.Minute, "")
		w.set.Store(expecting)
		w.after(64*time.Minute, "")
		w.after(2*time.Minute, missing)
		if s := w.silence.status(time.Now()); len(s) != 1 || s[0].MissingSince.IsZero() || fmt.Sprint(s[0].Every, s[0].Grace) != "3600 300" {
			t.Errorf("status %+v", s)
		}
	})
}

// TestSilence_TwoDaemonsOnOneStoreTellOnce has a second daemon, which the deliveries do not reach.
func TestSilence_TwoDaemonsOnOneStoreTellOnce(t *testing.T) {
	simulate(t, backups, func(w *watching) {
		other, err := openSilence(context.Background(), &silence{store: w.db, hooks: w.set.Load, gaps: w.heard.Gaps, now: w.now, log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { other.watch(ctx); close(done) }()
		defer func() { cancel(); <-done }()
		w.after(50*time.Minute, "")
		w.deliver(`{"ok":true}`, true)
		w.after(64*time.Minute, "")
		w.after(2*time.Minute, missing)
		w.deliver(`{"ok":true}`, true)
		w.after(time.Minute, missing+", "+back)
		if s := other.status(time.Now()); len(s) != 1 || !s[0].MissingSince.IsZero() {
			t.Errorf("the other still says %+v", s)
		}
		w.after(2*time.Hour, missing+", "+back+", "+missing)
	})
}

// TestSilence_AReloadThatChangesEveryKeepsTheClock: a reload changes how long is waited, and not
// since when.
func TestSilence_AReloadThatChangesEveryKeepsTheClock(t *testing.T) {
	longer := compiled(t, strings.Replace(backups, "every: 1h", "every: 3h", 1))
	shorter := compiled(t, strings.Replace(backups, "every: 1h", "every: 10m", 1))
	t.Run("longer", func(t *testing.T) {
		simulate(t, backups, func(w *watching) {
			first := w.set.Load()
			w.after(50*time.Minute, "")
			w.set.Store(longer)
			w.after(2*time.Hour, "")
			w.stop()
			w.start()
			w.after(14*time.Minute, "")
			w.after(2*time.Minute, missing)
			w.set.Store(first) // what was told stays told
			w.after(time.Hour, missing)
			w.deliver(`{"ok":true}`, true)
			w.after(time.Second, missing+", "+back)
		})
	})
	t.Run("shorter", func(t *testing.T) {
		simulate(t, backups, func(w *watching) {
			w.after(20*time.Minute, "")
			w.set.Store(shorter)
			w.after(16*time.Second, missing)
		})
	})
}

// TestSilence_AClockThatIsSetForwardIsNoSilence: nobody listened in the time that never was.
func TestSilence_AClockThatIsSetForwardIsNoSilence(t *testing.T) {
	simulate(t, backups, func(w *watching) {
		w.after(50*time.Minute, "")
		w.ahead.Add(int64(5 * time.Hour))
		w.after(14*time.Minute, "")
		w.after(2*time.Minute, missing)
		w.deliver(`{"ok":true}`, true)
		w.after(time.Second, missing+", "+back)
	})
}

// TestSilence_AClockThatIsSetBack neither holds an alarm back for as long as it was wrong, nor makes one.
func TestSilence_AClockThatIsSetBack(t *testing.T) {
	t.Run("while deliveries come", func(t *testing.T) {
		simulate(t, backups, func(w *watching) {
			w.after(30*time.Minute, "")
			w.deliver(`{"ok":true}`, true)
			w.ahead.Add(int64(-5 * time.Hour))
			w.after(40*time.Minute, "")
			w.deliver(`{"ok":true}`, true)
			w.after(64*time.Minute, "")
			w.after(2*time.Minute, missing)
			w.deliver(`{"ok":true}`, true)
			w.after(time.Second, missing+", "+back)
			w.after(64*time.Minute, missing+", "+back)
			w.after(2*time.Minute, missing+", "+back+", "+missing)
		})
	})
	t.Run("without deliveries", func(t *testing.T) {
		simulate(t, backups, func(w *watching) {
			w.after(30*time.Minute, "")
			w.ahead.Add(int64(-5 * time.Hour))
			w.after(64*time.Minute, "") // the clock begins anew
			w.after(2*time.Minute, missing)
		})
	})
	t.Run("in a silence", func(t *testing.T) {
		simulate(t, backups, func(w *watching) {
			w.after(66*time.Minute, missing)
			w.ahead.Add(int64(-5 * time.Hour))
			w.after(2*time.Hour, missing)
			w.stop()
			w.start()
			w.after(time.Hour, missing)
			w.deliver(`{"ok":true}`, true)
			w.after(time.Second, missing+", "+back)
			w.stop()
			w.start()
			w.after(64*time.Minute, missing+", "+back)
			w.after(2*time.Minute, missing+", "+back+", "+missing)
		})
	})
	t.Run("after it was set forward", func(t *testing.T) {
		simulate(t, backups, func(w *watching) {
			w.after(10*time.Minute, "")
			w.ahead.Add(int64(5 * time.Hour))
			w.after(time.Minute, "")
			w.ahead.Add(int64(-5 * time.Hour))
			w.after(53*time.Minute, "")
			w.after(3*time.Minute, missing)
			if gaps := w.heard.status(); len(gaps) > 1 {
				w.t.Errorf("gaps %+v", gaps)
			}
		})
	})
}

// TestSilence_AnotherDaemonTellsWhatADeadOneTook: a delivery that ends a silence, whose taker died before it could say so.
func TestSilence_AnotherDaemonTellsWhatADeadOneTook(t *testing.T) {
	simulate(t, backups, func(w *watching) {
		w.after(66*time.Minute, missing)
		w.deliver(`{"ok":true}`, false) // by a daemon that is no more
		w.after(16*time.Second, missing+", "+back)
		w.after(30*time.Minute, missing+", "+back)
	})
}
