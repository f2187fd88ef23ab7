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
	Nodes   []admin.Node
	Differ  int
	Leading bool // one leads
	Fleet   bool
	Now     time.Time
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
	data := nodesData{Nodes: admin.NewNodes(found), Now: v.now}
	for _, n := range data.Nodes {
		if n.Differs {
			data.Differ++
		}
		data.Leading = data.Leading || n.Leads
	}
	return &view{name: "nodes", title: "Nodes", nav: "nodes", data: data}, nil
}
