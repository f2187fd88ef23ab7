package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/hooktest"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/postgres"
)

type configSpec struct {
	From config.Text `yaml:"from" doc:"store: hooks, defaults, tests and reload come from the PostgreSQL store, where \"tenterhook config push\" puts them, and not from this file." oneof:"file store" default:"file"`
}

// storedKeys are what a configuration in the store can have: what is the same on every node.
var storedKeys = []string{"hooks", "defaults", "tests", "reload"}

// fromStore reads config.from. What then comes from the store must not be in the file as well.
func fromStore(spec *rootSpec, file *config.File, s *Settings, stored bool, d *config.Diagnostics) bool {
	switch from := spec.Config.From; from.Value {
	case "", "file":
		return false
	case "store":
		if len(s.Database.Reveal()) == 0 {
			d.Errorf(from, "config.from: store is for nodes on one PostgreSQL store; here the store is a file").
				Hint("store: {url: postgres://…}, or leave config out")
		}
	default:
		d.Errorf(from, "config.from is file or store, found %q", from.Value)
		return false
	}
	for _, key := range append([]string{"include"}, storedKeys...) {
		if stored && key != "include" {
			break // they are the store's
		}
		if node := file.Root.Find(key); !node.IsZero() {
			d.Errorf(file.Root.Key(key), "%s comes from the store", key).Hint("take it out of this file, and push it instead: tenterhook config push")
		}
	}
	return true
}

// stored are the options that load a version of the configuration.
func (d *Daemon) stored(name string, content string) config.Options {
	o := d.options.Config
	o.Stored = &config.Stored{Name: name, Data: []byte(content), Keys: storedKeys}
	return o
}

// loadStored loads the newest configuration of the store, at the start; without one there are no
// hooks yet.
func (d *Daemon) loadStored(ctx context.Context) error {
	db, ok := d.store.(*postgres.Store)
	if !ok || !d.config.Load().FromStore {
		return nil
	}
	newest, err := db.Configuration(ctx, 0)
	if errors.Is(err, store.ErrNotFound) {
		d.log.Warn("nothing was pushed yet: there are no hooks", "hint", "tenterhook config push hooks.yaml")
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the configuration from the store: %w", err)
	}
	conf, problems := Load(d.stored(versionName(newest.N), newest.Content), d.exposed)
	if problems.Err() != nil {
		return problems
	}
	d.version.Store(newest.N)
	d.content.Store(&newest)
	d.config.Store(conf)
	d.reloaded.Store(firstState(d.started, conf, problems, nil))
	d.log.Info("configuration read from the store", "version", newest.N, "digest", newest.Digest, "author", newest.Author)
	return nil
}

func versionName(n int64) string { return fmt.Sprintf("version-%d", n) }

// next are the options that load what is to run now: with config.from: store its newest version, or
// the one that was read last when the store cannot be asked.
func (d *Daemon) next(ctx context.Context) config.Options {
	db, ok := d.store.(*postgres.Store)
	if !ok || !d.config.Load().FromStore {
		return d.options.Config
	}
	newest, err := db.Configuration(ctx, 0)
	switch {
	case err == nil:
		d.version.Store(newest.N)
		d.content.Store(&newest)
	case !errors.Is(err, store.ErrNotFound):
		d.log.Warn("the configuration cannot be read from the store: the last version stays", "error", err)
	}
	return d.known()
}

// known are the options that load what was read last.
func (d *Daemon) known() config.Options {
	if last := d.content.Load(); last != nil {
		return d.stored(versionName(last.N), last.Content)
	}
	return d.options.Config
}

// configLook is how often it is looked for a version that no note told of.
const configLook = 5 * time.Second

// watchStored reloads when another version is the newest, until ctx ends.
func (d *Daemon) watchStored(ctx context.Context) {
	db, ok := d.store.(*postgres.Store)
	if !ok || !d.config.Load().FromStore {
		return
	}
	every(ctx, configLook, d.pushed, func() {
		n, err := db.NewestConfiguration(ctx)
		if err == nil && n != d.version.Load() {
			d.poke(triggerStore)
		}
	})
}

// configPushed is told that somebody pushed a configuration on another node.
func (d *Daemon) configPushed() {
	select {
	case d.pushed <- struct{}{}:
	default:
	}
}

// push checks a configuration as this node would run it, runs its tests, and makes it the newest
// version. With a problem nothing is changed.
func (d *Daemon) push(ctx context.Context, who string, q admin.PushRequest) (p admin.Pushed, err error) {
	db, ok := d.store.(*postgres.Store)
	if !ok || !d.config.Load().FromStore {
		return p, fmt.Errorf("%w: this daemon has its configuration from its file; with config: {from: store} it has it from here", admin.ErrRefused)
	}
	d.pushing.Lock()
	defer d.pushing.Unlock()
	name := q.Name
	if q.Version != 0 {
		old, err := db.Configuration(ctx, q.Version)
		if err != nil {
			return p, err
		}
		q.Content, name = old.Content, versionName(old.N)
		if q.Message == "" {
			q.Message = fmt.Sprintf("back to version %d", old.N)
		}
	}
	if name == "" {
		name = "pushed"
	}
	conf, problems := Load(d.stored(name, q.Content), d.reachable())
	if problems.Err() != nil {
		return p, &admin.PushError{Problems: admin.NewDiagnostics(problems.All())}
	}
	if failed := testProblems(hooktest.Run(slices.Clone(conf.Tests), time.Now())); failed.Err() != nil {
		return p, &admin.PushError{Problems: admin.NewDiagnostics(failed.All())}
	}
	p.DryRun, p.Warnings = q.DryRun, admin.NewDiagnostics(problems.All())
	c := store.Configuration{At: time.Now(), Author: who, Digest: conf.File.Digest, Message: q.Message, Content: q.Content}
	newest, err := db.Configuration(ctx, 0)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return p, err
	}
	if q.After != 0 && newest.N != q.After {
		return p, fmt.Errorf("%w: version %d is the newest, and not %d", admin.ErrRefused, newest.N, q.After)
	}
	if p.Changed = err != nil || newest.Content != q.Content; p.Changed && !q.DryRun {
		newest, err = db.PutConfiguration(ctx, c, q.After)
		if errors.Is(err, store.ErrFenced) {
			err = fmt.Errorf("%w: somebody pushed meanwhile, version %d is the newest no longer", admin.ErrRefused, q.After)
		}
		if err != nil {
			return p, err
		}
		d.fleet().TellConfig()
		d.configPushed()
		d.log.Info("configuration pushed", "version", newest.N, "digest", newest.Digest, "author", who)
	} else if p.Changed {
		newest = c
	}
	newest.Content = ""
	p.Configuration = admin.NewConfiguration(newest)
	return p, nil
}

// testProblems makes problems of the tests that fail.
func testProblems(results []hooktest.Result) *config.Diagnostics {
	d := &config.Diagnostics{}
	for _, result := range results {
		for _, diff := range result.Diffs {
			d.Errorf(result.At, "test %q failed: %s is %s, not %s", result.Name, diff.What, diff.Got, diff.Want)
		}
	}
	return d
}

func (b backend) Push(ctx context.Context, who string, q admin.PushRequest) (admin.Pushed, error) {
	return b.d.push(ctx, who, q)
}

func (b backend) Configurations(ctx context.Context) ([]store.Configuration, error) {
	if db, ok := b.d.store.(*postgres.Store); ok {
		return db.Configurations(ctx, 500)
	}
	return nil, nil
}

func (b backend) Configuration(ctx context.Context, n int64) (store.Configuration, error) {
	if db, ok := b.d.store.(*postgres.Store); ok {
		return db.Configuration(ctx, n)
	}
	return store.Configuration{}, fmt.Errorf("configuration %d: %w", n, store.ErrNotFound)
}
