package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/lmittmann/tint"
	"golang.org/x/sys/unix"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/daemon"
)

// serveCmd is "serve".
type serveCmd struct {
	Listen    string `placeholder:"HOST:PORT" help:"Where deliveries come in, instead of server.listen."`
	Admin     string `placeholder:"HOST:PORT" help:"Where the admin side listens, instead of admin.listen."`
	LastGood  bool   `help:"When the configuration has problems, start with the last that worked."`
	LogFormat string `enum:"auto,text,json,journal" default:"auto" help:"How the log is written: ${enum}. Auto is text at a terminal, fields of the journal under systemd, and JSON otherwise."`
}

// Help is the longer text of the command.
func (serveCmd) Help() string {
	return `Takes deliveries, stores them, acknowledges them, and runs what the hooks say, until SIGTERM or SIGINT. Then no further delivery is taken and running jobs have until server.drain to end; a second signal ends them at once.

The configuration is read again when its files change, on SIGHUP, and by "tenterhook reload". One with problems changes nothing. Starting with problems fails and says them; with --last-good the hooks that worked last are served, and the problems are logged, in "tenterhook status" and in a metric until the files are right again.`
}

// Run serves.
func (c serveCmd) Run(e *env) error {
	// What whoever started us left open is not the commands'. Sockets are taken over below.
	if err := keepOpenFiles(); errors.Is(err, errors.ErrUnsupported) {
		return fail(errors.New("the daemon runs on Linux only"), "it holds the processes of commands by what Linux has; every other command works here, also on a daemon elsewhere")
	} else if err != nil {
		e.say("files that were open at the start stay open in commands: %v", err)
	}
	log, end, err := c.openLog(e)
	if err != nil {
		return fail(err)
	}
	defer end()
	sockets, err := activation.Listeners()
	if err != nil {
		return fail(fmt.Errorf("take over sockets: %w", err))
	}
	ctx, quick, stop := signals(e.ctx)
	defer stop()
	d, err := daemon.New(ctx, daemon.Options{
		Config: e.configuration(map[string]string{"server.listen": c.Listen, "admin.listen": c.Admin}),
		Log:    log, Version: thisBuild().Version, Sockets: sockets, LastGood: c.LastGood,
	})
	var problems *config.Diagnostics
	if errors.As(err, &problems) {
		problems.Print(e.stderr, e.err.color)
		return said(exitConfig)
	}
	if err != nil {
		return fail(err)
	}
	if found := d.Config().Diagnostics; len(found.All()) > 0 {
		if e.err.terminal && c.LogFormat != "json" {
			found.Print(e.stderr, e.err.color)
		} else {
			logWarnings(log, found)
		}
	}
	if err := d.Run(ctx, quick); err != nil {
		return fail(err)
	}
	return nil
}

// logWarnings says what is to be warned of in lines that programs can read.
func logWarnings(log *slog.Logger, found *config.Diagnostics) {
	for _, w := range found.All() {
		log.Warn("configuration", "at", w.Pos.String(), "warning", w.Message, "hint", strings.Join(w.Hints, "; "))
	}
}

// configuration is what the configuration is loaded with.
func (e *env) configuration(overrides map[string]string) config.Options {
	return config.Options{Path: e.config, Environ: e.environ, Overrides: overrides}
}

// signals ends ctx at the first SIGTERM or SIGINT and quick at the second.
func signals(parent context.Context) (ctx, quick context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	quick, hurry := context.WithCancel(context.WithoutCancel(parent))
	got := make(chan os.Signal, 2)
	signal.Notify(got, syscall.SIGTERM, syscall.SIGINT)
	signal.Ignore(syscall.SIGPIPE) // a closed standard output or error ends nothing
	over := make(chan struct{})
	var listening sync.WaitGroup
	listening.Go(func() {
		for _, end := range []func(os.Signal){func(s os.Signal) { cancel(errors.New(signalName(s))) }, func(os.Signal) { hurry() }} {
			select {
			case s := <-got:
				end(s)
			case <-over:
				return
			}
		}
	})
	return ctx, quick, func() {
		signal.Stop(got)
		close(over)
		listening.Wait()
		cancel(nil)
		hurry()
	}
}

// signalName is how people call a signal.
func signalName(s os.Signal) string {
	if number, ok := s.(syscall.Signal); ok {
		return unix.SignalName(number)
	}
	return s.String()
}

// openLog starts the log. What it returns to end it writes what is left.
func (c serveCmd) openLog(e *env) (log *slog.Logger, end func(), err error) {
	queue := newLogQueue(e.stderr)
	log = newLog(queue, c.LogFormat, e.err.terminal, e.err.color)
	direct := newLog(e.stderr, c.LogFormat, e.err.terminal, e.err.color)
	if c.LogFormat == "journal" || c.LogFormat == "auto" && stderrIsJournal(e.getenv("JOURNAL_STREAM")) {
		journal, err := newJournalWriter(journalSocket)
		switch {
		case err == nil:
			queue.out, queue.each = journal, true
			log, direct = slog.New(&journalHandler{out: queue}), slog.New(&journalHandler{out: journal})
		case c.LogFormat == "journal":
			return nil, nil, err
		}
	}
	queue.lost = func(n int64) { direct.Warn("lines of the log were left out: nobody read them in time", "lines", n) }
	queue.start()
	return log, queue.close, nil
}

// newLog is text for people and JSON for programs.
func newLog(w io.Writer, format string, terminal, color bool) *slog.Logger {
	if format == "json" || format == "auto" && !terminal {
		return slog.New(slog.NewJSONHandler(w, nil))
	}
	return slog.New(tint.NewTextHandler(w, &tint.Options{TimeFormat: "15:04:05.000", NoColor: !color, ReplaceAttr: brief}))
}

// brief leaves out what says nothing; a person reads it.
func brief(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindString && a.Value.String() == "" {
		return slog.Attr{}
	}
	return a
}
