package admin

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// Node is one of the daemons that share a store.
type Node struct {
	Name      string   `json:"name"`
	Labels    []string `json:"labels"`
	State     string   `json:"state"` // up, draining, left, silent, replaced
	Leads     bool     `json:"leads"`
	Workers   int      `json:"workers"`
	Jobs      int      `json:"jobs"` // that it has now
	Config    string   `json:"config"`
	Differs   bool     `json:"differs"` // its configuration is not the leader's
	Version   string   `json:"version"`
	Lease     float64  `json:"lease"` // seconds
	Clock     float64  `json:"clock"` // seconds by which its clock is ahead of the database's
	StartedAt Time     `json:"started_at"`
	BeatAt    Time     `json:"beat_at"`
}

// ClockWrong reports whether its clock is so far off that times of jobs mislead.
func (n Node) ClockWrong() bool {
	return n.Clock > WrongClock.Seconds() || n.Clock < -WrongClock.Seconds()
}

// WrongClock is by how much a node's clock may differ from the database's without a warning.
const WrongClock = time.Second

// NewNodes is the wire form of nodes. Each is compared with the one that leads, or with the first
// when none does.
func NewNodes(nodes []store.Node) []Node {
	out := make([]Node, len(nodes))
	reference := ""
	for _, n := range nodes {
		if n.Leads || reference == "" && n.State == "up" {
			reference = n.Config
		}
	}
	for i, n := range nodes {
		out[i] = Node{
			Name: n.Name, Labels: append([]string{}, n.Labels...), State: n.State, Leads: n.Leads, Workers: n.Workers, Jobs: n.Tickets, Config: n.Config,
			Differs: n.State == "up" && n.Config != reference, Version: n.Version, Lease: n.Lease.Seconds(), Clock: n.Clock.Seconds(),
			StartedAt: Time{n.StartedAt}, BeatAt: Time{n.BeatAt},
		}
	}
	return out
}

func (a *api) nodes(w http.ResponseWriter, r *http.Request, q url.Values) {
	nodes, err := a.backend.Nodes(r.Context(), q.Get("all") != "")
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.writeJSON(w, r, NewNodes(nodes))
}

// Nodes lists the daemons that share the store; none when it is a file.
func (c *Client) Nodes(ctx context.Context) (nodes []Node, err error) {
	_, err = c.call(ctx, http.MethodGet, "nodes", &nodes)
	return nodes, err
}

// Share is what one node does of a job that each of several nodes runs.
type Share struct {
	Node   string    `json:"node"` // * while there is none yet
	Job    string    `json:"job"`
	State  job.State `json:"state"`
	Reason string    `json:"reason"`
}

// Shares are those of the jobs of one delivery that were made together with j, in their order; none
// for a job that is alone.
func Shares(ctx context.Context, from interface {
	Jobs(ctx context.Context, f store.Filter) ([]job.Job, error)
}, j *job.Job,
) ([]Share, error) {
	if j.Target == "" {
		return nil, nil
	}
	all, err := from.Jobs(ctx, store.Filter{Delivery: j.Delivery, Rule: j.Rule, Limit: 500})
	if err != nil {
		return nil, err
	}
	var out []Share
	for i := len(all) - 1; i >= 0; i-- {
		if one := &all[i]; one.Target != "" && one.Hook == j.Hook && one.CreatedAt.Equal(j.CreatedAt) {
			out = append(out, Share{one.Target, one.ID, one.State, one.Reason})
		}
	}
	return out, nil
}
