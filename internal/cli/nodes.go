package cli

import (
	"errors"
	"strconv"
	"strings"
	"time"

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
	lines := admin.NewNodes(nodes)
	if c.JSON {
		return writeJSON(e.stdout, lines)
	}
	printNodes(e, lines)
	return nil
}

func printNodes(e *env, lines []admin.Node) {
	if len(lines) == 0 {
		e.say("no daemon runs on this store")
		return
	}
	t := table{columns: []column{
		{title: "NODE"},
		{title: "STATE"},
		{title: "LABELS"},
		{title: "JOBS", right: true},
		{title: "WORKERS", right: true},
		{title: "CONFIG"},
		{title: "CLOCK"},
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
		clock := cell{"right", faint}
		if n.ClockWrong() {
			clock = cell{clockOffset(n.Clock), red}
		}
		t.row(cell{n.Name, plain}, state, cell{strings.Join(n.Labels, ", "), plain}, cell{strconv.Itoa(n.Jobs), plain}, cell{strconv.Itoa(n.Workers), plain}, config, clock,
			cell{n.Version, plain}, cell{age(e.now(), n.StartedAt.Time), faint}, cell{age(e.now(), n.BeatAt.Time), faint})
	}
	t.write(e.stdout, e.out)
	if differs > 0 {
		e.say("%s: what a job does depends on where it runs", count(differs, "node has another configuration than the leader", "nodes have other configurations than the leader"))
	}
}

// clockOffset says how far a clock is off.
func clockOffset(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second)).Round(time.Second)
	if d < 0 {
		return (-d).String() + " behind"
	}
	return d.String() + " ahead"
}
