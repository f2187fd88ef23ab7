package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/alecthomas/kong"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/daemon"
	"github.com/tenterhook/tenterhook/internal/hook"
)

// env is everything a subcommand may touch.
type env struct {
	ctx            context.Context
	stdin          io.Reader
	stdout, stderr io.Writer
	out, err       look // of stdout and stderr
	environ        []string
	config         string            // path of the configuration file
	model          *kong.Application // the command line itself, for completion
	now            func() time.Time
	openStore      func(ctx context.Context, path string) (reader, error)
	every          time.Duration // pause between two looks at something live
}

// getenv returns an environment variable, "" when it is not set. The last of several wins, as
// with a new process.
func (e *env) getenv(name string) (value string) {
	for _, line := range e.environ {
		if n, v, ok := strings.Cut(line, "="); ok && n == name {
			value = v
		}
	}
	return value
}

// settings are the few things the commands need that ask the daemon.
type settings struct {
	listen string // of the daemon's admin listener
	token  string
	store  string // path of the SQLite file; "" when the store is none
}

// The defaults of the configuration that settings share with the daemon.
const (
	defaultListen = "127.0.0.1:9001"
	defaultStore  = "sqlite:tenterhook.db"
)

// settings reads where the daemon is from the configuration file. Problems elsewhere in the
// file do not matter: it must be possible to look at a daemon while its file is being mended. When
// nothing can be read of it, the configuration counts that last worked.
func (e *env) settings() (settings, error) {
	o := config.Options{Path: e.config, Environ: e.environ}
	file, problems := config.Load(o)
	if file == nil || file.Root.IsZero() {
		if o.Snapshot = daemon.LastGood(o); o.Snapshot != nil {
			file, _ = config.Load(o)
			e.say("%s cannot be read: looking for the daemon where its last configuration says", e.config)
		}
	}
	if file == nil || file.Root.IsZero() {
		return settings{}, e.unreadable(problems)
	}
	d := &config.Diagnostics{}
	var in struct {
		Listen string        `yaml:"listen"`
		Token  config.Secret `yaml:"token"`
		Tokens []struct {
			Name  string        `yaml:"name"`
			Token config.Secret `yaml:"token"`
			Scope string        `yaml:"scope"`
		} `yaml:"tokens"`
	}
	in.Listen = defaultListen
	decodeSome(file.Root.Find("admin"), &in, d)
	var kept struct {
		URL string `yaml:"url"`
	}
	kept.URL = defaultStore
	decodeSome(file.Root.Find("store"), &kept, d)
	if d.Err() != nil {
		d.Print(e.stderr, e.err.color)
		return settings{}, said(exitConfig)
	}
	s := settings{listen: in.Listen, token: string(in.Token.Reveal())}
	for _, scope := range admin.Scopes { // without admin.token, the one that may do the most
		for _, t := range in.Tokens {
			if admin.Scope(t.Scope) == scope && len(in.Token.Reveal()) == 0 {
				s.token = string(t.Token.Reveal())
			}
		}
	}
	if path, ok := strings.CutPrefix(s.listen, "unix:"); ok {
		s.listen = "unix:" + within(file.Dir, path)
	}
	if path, ok := strings.CutPrefix(kept.URL, "sqlite:"); ok {
		s.store = within(file.Dir, path)
	} else if isDatabase(kept.URL) {
		s.store = kept.URL
	}
	return s, nil
}

// decodeSome fills into from a mapping, leaving keys it does not know to others.
func decodeSome(n config.Node, into any, d *config.Diagnostics) {
	if !n.IsZero() && n.Kind() != config.KindNull {
		n.Map(d).Decode(into)
	}
}

// unreadable is the error of a configuration file that cannot be read at all.
func (e *env) unreadable(problems *config.Diagnostics) error {
	if _, err := os.Stat(e.config); errors.Is(err, fs.ErrNotExist) {
		return broken(fmt.Errorf("there is no configuration file %q", e.config), "name it with -c FILE or in TENTERHOOK_CONFIG", `"tenterhook init" writes one to begin with`)
	}
	problems.Print(e.stderr, e.err.color)
	return said(exitConfig)
}

// within makes a path of the configuration file one of the process: it starts at the file's
// folder.
func within(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// daemon calls do with a client of the running daemon.
func (e *env) daemon(do func(*admin.Client) error) error {
	s, err := e.settings()
	if err != nil {
		return err
	}
	client := admin.NewClient(s.listen, s.token)
	defer client.Close()
	return withHints(do(client), s)
}

// reading calls do with the running daemon or, when none answers, with its store. Then do runs
// again from the start, so it prints only once it has everything.
func (e *env) reading(do func(source) error) error {
	s, err := e.settings()
	if err != nil {
		return err
	}
	client := admin.NewClient(s.listen, s.token)
	defer client.Close()
	err = do(client)
	if !admin.Dead(err) {
		return withHints(err, s)
	}
	if _, statErr := os.Stat(s.store); s.store == "" || statErr != nil && !isDatabase(s.store) {
		return withHints(err, s)
	}
	kept, openErr := e.openStore(e.ctx, s.store)
	if openErr != nil {
		return fail(fmt.Errorf("read %s while the daemon is down: %w", shownStore(s.store), openErr))
	}
	defer kept.Close()
	e.say("the daemon is not running, reading %s", shownStore(s.store))
	return do(stored{kept, sync.OnceValue(e.hookNames)})
}

// hookNames are the hooks of the configuration, for the names that their expressions have. A
// configuration with problems is no reason not to look at what is stored.
func (e *env) hookNames() *hook.Set {
	conf, d := daemon.Load(e.configuration(nil), false)
	if d.Err() != nil {
		e.say("the configuration has problems: let: values and branch, sha and the like are not known")
		return nil
	}
	return conf.Hooks
}

// withHints adds the exit status and hints to an error of the daemon.
func withHints(err error, s settings) error {
	var refused *admin.Problem
	switch {
	case errors.Is(err, admin.ErrUnreachable):
		return &failure{exitUnreachable, err, []string{`is "tenterhook serve" running?`, "its address is admin.listen in the configuration file: " + s.listen}}
	case errors.As(err, &refused) && refused.Status == http.StatusUnauthorized:
		if s.token != "" {
			return fail(err, "admin.token in the configuration file is not the one the daemon started with")
		}
		return fail(err, "run this as root or as the daemon's user, or set admin.token in the configuration file")
	}
	return err
}
