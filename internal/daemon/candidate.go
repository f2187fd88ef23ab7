package daemon

import (
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/backtest"
	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/store"
)

// The bounds of one try of a candidate.
const (
	candidatePatience   = 20 * time.Second
	candidateDeliveries = 100_000
)

// errTrying: one candidate is tried at a time, since each takes all processors.
var errTrying = errors.New("another configuration is being tried; wait for it")

// Backtest lets a candidate for the main file decide on the deliveries since then, beside the
// configuration that runs. Nothing is run, stored or taken up. What the candidate may read is what
// the running configuration reads: it comes from somebody who may not see this machine's files.
func (d *Daemon) Backtest(ctx context.Context, candidate string, since time.Time) (*backtest.Report, []config.Diagnostic, error) {
	if !d.trying.TryLock() {
		return nil, nil, errTrying
	}
	defer d.trying.Unlock()
	running := d.config.Load()
	next, found := Load(d.sealed(running, candidate), d.reachable())
	if found.Err() != nil {
		return nil, found.All(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, candidatePatience)
	defer cancel()
	report, err := backtest.Run(ctx, d.store, store.Filter{Since: since}, candidateDeliveries, running.Hooks, next.Hooks, func(int) {})
	return report, found.All(), err
}

// referenced are the variables that a configuration names.
var referenced = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)`)

// sealed are the options that load a candidate: included files as they were read, and of files and
// variables those that the running configuration names.
func (d *Daemon) sealed(running *Config, candidate string) config.Options {
	o := d.options.Config
	kept := running.File.Snapshot()
	names := map[string]bool{}
	for _, text := range kept.Files {
		for _, found := range referenced.FindAllStringSubmatch(text, -1) {
			names[found[1]] = true
		}
	}
	o.Environ = slices.DeleteFunc(slices.Clone(o.Environ), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return !names[name] && name != "CREDENTIALS_DIRECTORY" && !strings.HasPrefix(name, "TENTERHOOK_")
	})
	files := maps.Clone(kept.Files)
	files[absolute(o.Path)] = candidate
	o.Snapshot = &config.Snapshot{Files: files, Included: kept.Included}
	o.Only = append([]string{}, running.File.Watch...)
	o.Alike = running.File.References()
	return o
}

func (b backend) Backtest(ctx context.Context, candidate string, since time.Time) (*backtest.Report, []admin.Diagnostic, error) {
	report, found, err := b.d.Backtest(ctx, candidate, since)
	return report, admin.NewDiagnostics(found), err
}
