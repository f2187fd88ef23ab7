package cli

import (
	"errors"
	"strconv"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/store/postgres"
)

// nodesCmd is "nodes".
type nodesCmd struct {
	All  bool `help:"Those that have ended within a day too."`
	JSON bool `name:"json" help:"Print one JSON document."`
}

// Help is the longer text of the command.
func (nodesCmd) Help() string {
	return `Lists the daemons that share a PostgreSQL store: which one leads, how many jobs each has, and whether they run the same configuration. It asks the database itself, so no daemon needs to run here.

    tenterhook nodes
    tenterhook nodes --all --json

States: up; draining (it stops, and gets nothing new); left (it has stopped); silent (it was not heard of for its lease, and its jobs were taken over); replaced (it was started again).`
}

// nodeLine is one node as it is printed.
type nodeLine struct {
	Name      string     `json:"name"`
	State     string     `json:"state"`
	Leads     bool       `json:"leads"`
	Workers   int        `json:"workers"`
	Jobs      int        `json:"jobs"`
	Config    string     `json:"config"`
	Differs   bool       `json:"differs"` // its configuration is not the leader's
	Version   string     `json:"version"`
	Lease     float64    `json:"lease"` // seconds
	StartedAt admin.Time `json:"started_at"`
	BeatAt    admin.Time `json:"beat_at"`
}

// Run lists.
func (c *nodesCmd) Run(e *env) error {
	s, err := e.settings()
	if err != nil {
		return err
	}
	if !isDatabase(s.store) {
		return fail(errors.New("the store is a SQLite file, which one daemon has for itself"), "several daemons need store: {url: postgres://…}")
	}
	r, err := postgres.OpenReader(e.ctx, s.store)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // nothing was written
	nodes, err := r.Nodes(e.ctx, c.All)
	if err != nil {
		return err
	}
	lines := describeNodes(nodes)
	if c.JSON {
		return writeJSON(e.stdout, lines)
	}
	printNodes(e, lines)
	return nil
}

// describeNodes compares every node with the one that leads, or with the first when none does.
func describeNodes(nodes []postgres.Node) []nodeLine {
	lines := make([]nodeLine, len(nodes))
	reference := ""
	for _, n := range nodes {
		if n.Leads || reference == "" && n.State == "up" {
			reference = n.Config
		}
	}
	for i, n := range nodes {
		lines[i] = nodeLine{
			Name: n.Name, State: n.State, Leads: n.Leads, Workers: n.Workers, Jobs: n.Tickets, Config: n.Config,
			Differs: n.State == "up" && n.Config != reference, Version: n.Version, Lease: n.Lease.Seconds(),
			StartedAt: admin.Time{Time: n.StartedAt}, BeatAt: admin.Time{Time: n.BeatAt},
		}
	}
	return lines
}

func printNodes(e *env, lines []nodeLine) {
	if len(lines) == 0 {
		e.say("no daemon runs on this store")
		return
	}
	t := table{columns: []column{
		{title: "NODE"},
		{title: "STATE"},
		{title: "JOBS", right: true},
		{title: "WORKERS", right: true},
		{title: "CONFIG"},
		{title: "VERSION"},
		{title: "STARTED"},
		{title: "HEARD OF"},
	}}
	differs := 0
	for _, n := range lines {
		state, config := cell{n.State, plain}, cell{n.Config, plain}
		switch {
		case n.Leads:
			state = cell{n.State + ", leads", green}
		case n.State != "up":
			state = cell{n.State, yellow}
		}
		if n.Differs {
			config = cell{n.Config + " differs", red}
			differs++
		}
		t.row(cell{n.Name, plain}, state, cell{strconv.Itoa(n.Jobs), plain}, cell{strconv.Itoa(n.Workers), plain}, config,
			cell{n.Version, plain}, cell{age(e.now(), n.StartedAt.Time), faint}, cell{age(e.now(), n.BeatAt.Time), faint})
	}
	t.write(e.stdout, e.out)
	if differs > 0 {
		e.say("%s: what a job does depends on where it runs", count(differs, "node has another configuration than the leader", "nodes have other configurations than the leader"))
	}
}
