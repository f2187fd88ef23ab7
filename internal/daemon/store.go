package daemon

import (
	"context"
	"log/slog"

	"github.com/tenterhook/tenterhook/internal/fleet"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/postgres"
	"github.com/tenterhook/tenterhook/internal/store/sqlite"
	"github.com/tenterhook/tenterhook/internal/worker"
)

// opened is a store with what the daemon needs of it beside the contract.
type opened interface {
	store.Store
	// Broken delivers one error when the store can never be trusted again in this process.
	Broken() <-chan error
}

// openStore opens the store that the settings name; it tells committed of jobs that it stored.
func openStore(ctx context.Context, s Settings, committed func([]job.Job), log *slog.Logger) (opened, error) {
	if url := string(s.Database.Reveal()); url != "" {
		db, err := postgres.Open(ctx, url, postgres.Options{Committed: committed, Log: log, Shared: true})
		if err != nil {
			return nil, err
		}
		log.Info("store opened", "store", s.Store, "durability", db.Durability())
		return db, nil
	}
	file, err := sqlite.Open(ctx, s.Store, sqlite.Options{Committed: committed, Log: log})
	if err != nil {
		return nil, err
	}
	return file, nil
}

// runner runs jobs: a pool of workers alone, or one of many nodes.
type runner interface {
	Recover(ctx context.Context) (worker.Report, error)
	Run(fetch, work context.Context) error
	// Committed is told by the store of jobs that wait now, or that it ended.
	Committed(jobs []job.Job)
	Cancel(ctx context.Context, id, reason string) error
	// Spread makes of new jobs of rules that run on each node one for each.
	Spread(jobs []job.Job) []job.Job
	// SpreadNow is Spread that asks which nodes there are.
	SpreadNow(ctx context.Context, jobs []job.Job) ([]job.Job, error)
	// Move is told that the rules in force are others.
	Move()
	// SetPaused is told what is paused; TellPaused lets other nodes ask.
	SetPaused(pauses []job.Pause)
	TellPaused()
	Expect(ids []string) *worker.Expectation
	Output(id string) ([]byte, bool)
	Counts() map[job.State]int
	Full() bool
	// Wait and Oldest tell of jobs that wait; of many nodes only the one that leads knows.
	Wait(id string) (job.Wait, bool)
	Oldest() (job.Job, bool)
	// Leads reports whether what needs to be done once is done here.
	Leads() bool
	// Broken delivers an error when the daemon must end.
	Broken() <-chan error
}

// alone is the pool of the one daemon on a store.
type alone struct {
	*worker.Pool
	node string
}

func (a alone) Committed(jobs []job.Job) { a.Add(jobs) }
func (a alone) Spread(jobs []job.Job) []job.Job {
	return job.Spread(jobs, func(string) []string { return []string{a.node} }) // a label that it has not is refused at load
}

func (a alone) SpreadNow(_ context.Context, jobs []job.Job) ([]job.Job, error) {
	return a.Spread(jobs), nil
}
func (alone) TellPaused()          {}
func (alone) Leads() bool          { return true }
func (alone) Broken() <-chan error { return nil }

// newFleet makes this daemon one of many on a database.
func (d *Daemon) newFleet(db *postgres.Store, o worker.Options) *fleet.Fleet {
	o.Dirs.Survive = "" // the jobs of a daemon that ends are others' then
	return fleet.New(fleet.Options{
		Store: db, Worker: o, Log: d.log,
		Watch:      func(led *postgres.Led) worker.Store { return watched{opened: led, feed: d.feed} },
		Node:       postgres.Node{Name: d.booted.Node.Name, Labels: d.booted.Node.Labels, Workers: o.Workers, Lease: d.booted.Node.Lease, Version: d.options.Version},
		Digest:     func() string { return d.config.Load().File.Digest },
		Every:      d.every,
		Asked:      d.asked,
		OpenLog:    d.openLog,
		Listens:    func() bool { return d.feed.Streams() > 0 },
		OnHappened: d.happenedElsewhere,
		OnConfig:   d.configPushed,
		OnPause:    d.pausesChanged,
	})
}

// fleet is the daemons of which this is one, nil when it is alone.
func (d *Daemon) fleet() *fleet.Fleet {
	f, _ := d.pool.(*fleet.Fleet)
	return f
}

// every are the rules in force that run on each node with a label.
func (d *Daemon) every() (all []fleet.Every) {
	for _, h := range d.hooks().Hooks() {
		for _, r := range h.Rules {
			if r.On.Every && r.Controls() != nil {
				all = append(all, fleet.Every{Hook: h.Name, Rule: r.Name, Label: r.On.Label, Within: r.Controls().StartWithin, Controls: r.Controls()})
			}
		}
	}
	return all
}
