package daemon

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/backtest"
	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/store"
)

// PlanGate is reload.plan: which stored deliveries a reload must still match as before.
type PlanGate struct {
	NoLost     bool
	Since      time.Duration // how old they may be
	Deliveries int           // how many, the newest

	at config.Text // where it is written
}

// planPatience bounds the comparison. What it did not come to does not stand in the way.
const planPatience = 20 * time.Second

func planGate(spec reloadSpec, d *config.Diagnostics) PlanGate {
	g := PlanGate{Since: 7 * 24 * time.Hour, Deliveries: 10_000, at: spec.Plan}
	set(&g.Since, spec.Since)
	set(&g.Deliveries, spec.Deliveries)
	switch spec.Plan.Value {
	case "", "optional":
	case "no_lost":
		g.NoLost = true
	default:
		d.Errorf(spec.Plan, "unknown value %q for reload.plan", spec.Plan.Value).Hint("no_lost, or leave it out")
	}
	if g.Since <= 0 || g.Deliveries < 1 {
		d.Errorf(spec.Plan, "reload.since and reload.deliveries must be more than nothing")
	}
	return g
}

// planned is a comparison that was made, so that the watch, which looks again and again at a file
// that was refused, does not make it again.
type planned struct {
	from, to [32]byte // fingerprints
	found    *config.Diagnostics
}

// lostMatches compares the configuration that runs with the next on what is stored, and makes a
// problem of each rule that would lose a match.
func (d *Daemon) lostMatches(ctx context.Context, trigger string, running, next *Config) *config.Diagnostics {
	known := d.planned
	if trigger == triggerWatch && known != nil && known.from == running.File.Fingerprint && known.to == next.File.Fingerprint {
		return known.found
	}
	found := d.comparePlan(ctx, running, next)
	d.planned = &planned{running.File.Fingerprint, next.File.Fingerprint, found}
	return found
}

func (d *Daemon) comparePlan(ctx context.Context, running, next *Config) *config.Diagnostics {
	found := &config.Diagnostics{}
	gate := next.Plan
	ctx, cancel := context.WithTimeout(ctx, planPatience)
	defer cancel()
	report, err := backtest.Run(ctx, d.store, store.Filter{Since: time.Now().Add(-gate.Since)}, gate.Deliveries, running.Hooks, next.Hooks, func(int) {})
	if err != nil {
		found.Errorf(gate.at, "reload.plan cannot compare what is stored: %s", err)
		return found
	}
	if !report.Complete {
		d.log.Warn("reload.plan came to some deliveries only", "deliveries", report.Deliveries, "within", planPatience.String())
	}
	for _, rule := range report.Rules {
		if rule.Lost.Count == 0 {
			continue
		}
		why := ""
		if rule.Lost.First != "" {
			why = " (" + rule.Lost.First + ")"
		}
		found.Errorf(gate.at, "rule %s/%s would lose %d of the %d stored deliveries it matched%s: %s", rule.Hook, rule.Rule,
			rule.Lost.Count, rule.Before, why, someIDs(rule.Lost)).
			Hint("to lose them on purpose, leave reload.plan out for this one reload")
	}
	return found
}

// shownLost is how many ids of one rule a refusal names.
const shownLost = 5

func someIDs(c backtest.Change) string {
	n := min(len(c.IDs), shownLost)
	text := strings.Join(c.IDs[:n], ", ")
	if c.Count > n {
		text += fmt.Sprintf(" and %d more", c.Count-n)
	}
	return text
}
