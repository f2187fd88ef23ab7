// Package doctor looks at everything around the program that can be wrong: the configuration and
// who may read it, the disk, the clock, the store, the addresses, the service manager's unit, the
// kernel. It changes nothing. Each area is one file, which registers its check.
package doctor

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/daemon"
)

// State is how bad a finding is.
type State string

// The states. A problem is what loses deliveries, lets strangers in, or keeps the daemon from
// starting; a warning is what will, or could.
const (
	OK      State = "ok"
	Warning State = "warning"
	Problem State = "problem"
)

// Finding is one line of the report.
type Finding struct {
	Area  string `json:"area"`
	State State  `json:"state"`
	Says  string `json:"says"`
	Fix   string `json:"fix"` // what to type or to write; "" when there is nothing to do
}

// Subject is what is looked at.
type Subject struct {
	Path        string // of the configuration
	Config      *daemon.Config
	Diagnostics *config.Diagnostics
	Running     bool   // the daemon of this configuration answers
	Unit        string // file of the unit; "" looks in the usual places
	Now         time.Time
}

// usable reports whether the configuration can be looked into.
func (s *Subject) usable() bool { return s.Config != nil && s.Diagnostics.Err() == nil }

// file is the store's, "" when there is none to look at.
func (s *Subject) file() string {
	if !s.usable() || len(s.Config.Settings.Database.Reveal()) > 0 {
		return ""
	}
	return s.Config.Settings.Store
}

// check is one area. Its order is that of the report.
type check struct {
	order int
	area  string
	look  func(context.Context, *Subject, *report)
}

var checks []check

func register(c check) { checks = append(checks, c) }

// report collects the findings of one area.
type report struct {
	area  string
	found []Finding
}

func (r *report) ok(format string, a ...any) { r.add(OK, "", format, a...) }

func (r *report) warn(fix, format string, a ...any) { r.add(Warning, fix, format, a...) }

func (r *report) problem(fix, format string, a ...any) { r.add(Problem, fix, format, a...) }

func (r *report) add(state State, fix, format string, a ...any) {
	r.found = append(r.found, Finding{Area: r.area, State: state, Says: fmt.Sprintf(format, a...), Fix: fix})
}

// Examine makes every check.
func Examine(ctx context.Context, s *Subject) []Finding {
	var found []Finding
	for _, c := range slices.SortedFunc(slices.Values(checks), func(a, b check) int { return a.order - b.order }) {
		r := &report{area: c.area}
		c.look(ctx, s, r)
		found = append(found, r.found...)
	}
	return found
}

// size is a number of bytes for people.
func size(n uint64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}
