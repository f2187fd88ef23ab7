package ui

import (
	"context"
	"net/http"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/store"
)

// nodesData is what the page of the nodes shows.
type nodesData struct {
	Nodes   []nodeRow // that are up or draining, or that left jobs
	Ended   []nodeRow // within a day
	Up      int
	Jobs    int // that nodes have
	Workers int // of those that are up
	Differ  int
	Leader  string
	Now     time.Time
}

// nodeRow is one life of a node.
type nodeRow struct {
	admin.Node
	Late bool // others were heard of since, for more than half its lease
}

func (u *UI) nodes(r *http.Request, v *visit) (*view, error) {
	ctx, cancel := context.WithTimeout(r.Context(), storeWait)
	defer cancel()
	if !u.backend.Status().Fleet {
		return nil, store.ErrNotFound
	}
	found, err := u.backend.Nodes(ctx, true)
	if err != nil {
		return nil, err
	}
	data := arrangeNodes(admin.NewNodes(found))
	data.Now = v.now
	return &view{name: "nodes", title: "Nodes", nav: "nodes", data: data}, nil
}

// arrangeNodes sorts nodes by whether they count, and counts.
func arrangeNodes(nodes []admin.Node) (d nodesData) {
	var last time.Time // by the database's clock: the one here may be wrong
	for _, n := range nodes {
		if n.BeatAt.After(last) {
			last = n.BeatAt.Time
		}
	}
	for _, n := range nodes {
		row := nodeRow{Node: n}
		lives := n.State == "up" || n.State == "draining"
		if !lives && n.Jobs == 0 {
			d.Ended = append(d.Ended, row)
			continue
		}
		row.Late = lives && last.Sub(n.BeatAt.Time).Seconds() > n.Lease/2
		d.Nodes = append(d.Nodes, row)
		d.Jobs += n.Jobs
		if n.State == "up" {
			d.Up++
			d.Workers += n.Workers
		}
		if n.Differs {
			d.Differ++
		}
		if n.Leads {
			d.Leader = n.Name
		}
	}
	return d
}
