package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/postgres"
)

// Every is a rule that runs on each node with a label.
type Every struct {
	Hook, Rule, Label string
	Within            time.Duration // for so long a node that comes later catches up
	Controls          *job.Controls
}

// mostStranded is of how many jobs it is recorded at once why they do not start.
const mostStranded = 200

// Spread makes of new jobs what the nodes are to run that are up now. See job.Spread.
func (f *Fleet) Spread(jobs []job.Job) []job.Job {
	return job.Spread(jobs, func(label string) []string { return up(*f.nodes.Load(), label) })
}

// SpreadNow is Spread for the nodes that the store knows at this moment: those that make themselves known
// between do not catch up with what comes of it.
func (f *Fleet) SpreadNow(ctx context.Context, jobs []job.Job) ([]job.Job, error) {
	if !slices.ContainsFunc(jobs, func(j job.Job) bool { return j.Every != "" }) {
		return jobs, nil
	}
	nodes, err := f.o.Store.Nodes(ctx, false)
	if err != nil {
		return nil, err
	}
	return job.Spread(jobs, func(label string) []string { return up(nodes, label) }), nil
}

// up are the names of the nodes with a label that take jobs.
func up(nodes []postgres.Node, label string) (names []string) {
	for _, n := range nodes {
		if n.State == "up" && (job.Site{Label: label}).Has(n.Name, n.Labels) && !slices.Contains(names, n.Name) {
			names = append(names, n.Name)
		}
	}
	return names
}

// Replay gives a stored delivery further jobs while this node leads; store.ErrUnavailable when it
// does not, or no longer.
func (f *Fleet) Replay(ctx context.Context, delivery string, jobs []job.Job) ([]job.Job, error) {
	l := f.leader.Load()
	if l == nil {
		return nil, fmt.Errorf("%w: another node leads", store.ErrUnavailable)
	}
	made, err := f.o.Store.Leading(l.term).Replay(ctx, delivery, jobs)
	if errors.Is(err, postgres.ErrDeposed) {
		err = fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return made, err
}

// Move says again where each job can run, by the rules in force.
func (f *Fleet) Move() {
	if l := f.leader.Load(); l != nil {
		l.pool.Move()
	}
}

// lacks is since when it is known that no node lacks a job.
type lacks struct {
	complete map[Every]time.Time
	nodes    string // for which that is
}

// The spreads that are looked at again although they were: a node may have taken a delivery while
// it did not know of another one, and the clocks of nodes differ. Now and then all are.
const (
	lacksAgain = 5 * time.Minute
	lacksAll   = 150 // rounds
	lacksMost  = 500
)

// spread gives nodes that have come the jobs of deliveries that came before.
func (l *leader) spread(ctx context.Context, round int) {
	var nodes []postgres.Node
	var known string
	l.mu.Lock()
	for _, m := range l.nodes {
		if m.takes() {
			nodes = append(nodes, m.Node)
		}
	}
	l.mu.Unlock()
	slices.SortFunc(nodes, func(a, b postgres.Node) int { return int(a.ID - b.ID) })
	for _, n := range nodes {
		known += " " + n.Name
		for _, label := range n.Labels {
			known += "," + label
		}
	}
	fresh := known != l.lacks.nodes || round%lacksAll == 0
	if !fresh && round%beats != 0 {
		return
	}
	if fresh {
		l.lacks = lacks{complete: map[Every]time.Time{}, nodes: known}
	}
	for _, rule := range l.f.o.Every() {
		names := up(nodes, rule.Label)
		if len(names) == 0 {
			continue
		}
		if err := l.spreadRule(ctx, rule, names); err != nil && ctx.Err() == nil {
			l.f.o.Log.Warn("nodes that came later have not all their jobs yet", "hook", rule.Hook, "rule", rule.Rule, "error", err)
		}
	}
}

func (l *leader) spreadRule(ctx context.Context, rule Every, names []string) error {
	now := time.Now()
	if off := l.f.o.Store.Clock(); off.Abs() > wrongClock {
		now = now.Add(-off)
	}
	key := rule
	key.Controls = nil
	since := now.Add(-rule.Within)
	if known := l.lacks.complete[key].Add(-lacksAgain); known.After(since) {
		since = known
	}
	led := l.f.o.Store.Leading(l.term)
	for {
		missing, err := l.f.o.Store.Lacking(ctx, rule.Hook, rule.Rule, names, since, lacksMost)
		if err != nil {
			return err
		}
		for _, one := range missing {
			if err := led.Spread(ctx, one, rule.Controls, now); err != nil {
				return err
			}
			l.f.o.Log.Info("node catches up", "node", one.Node, "hook", rule.Hook, "rule", rule.Rule, "delivery", one.Job.Delivery)
		}
		if len(missing) < lacksMost {
			l.lacks.complete[key] = now
			return nil
		}
	}
}
