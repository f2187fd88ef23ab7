package fleet

import (
	"context"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store/postgres"
	"github.com/tenterhook/tenterhook/internal/worker"
)

// member is a node as the leader sees it.
type member struct {
	postgres.Node
	inUse  int
	silent time.Duration
}

// refresh looks at the nodes and takes over those that were silent for their lease, or that are
// gone and left tickets.
func (l *leader) refresh(ctx context.Context, passed time.Duration) error {
	now, err := l.f.o.Store.Nodes(ctx, false)
	if err != nil {
		return err
	}
	var gone []postgres.Node
	l.mu.Lock()
	seen := map[int64]bool{}
	for _, n := range now {
		m := l.nodes[n.ID]
		switch {
		case m == nil:
			m = &member{}
			l.nodes[n.ID] = m
		case m.Beat == n.Beat:
			m.silent += passed
		default:
			m.silent = 0
		}
		m.Node = n
		seen[n.ID] = true
		if m.silent >= n.Lease || n.State != "up" && n.State != "draining" && n.Tickets > 0 {
			gone = append(gone, n)
		}
	}
	for id, m := range l.nodes {
		if !seen[id] && m.inUse == 0 {
			delete(l.nodes, id)
		} else if !seen[id] {
			m.State = "left"
		}
	}
	l.mu.Unlock()
	for _, n := range gone {
		l.takeOver(ctx, n)
	}
	l.wake()
	return nil
}

func (l *leader) takeOver(ctx context.Context, n postgres.Node) {
	did, err := l.f.o.Store.TakeOver(ctx, l.term, n.ID, n.Beat)
	if err != nil || !did {
		l.f.o.Log.Debug("node not taken over", "node", n.Name, "error", err)
		return
	}
	l.f.o.Log.Warn("node taken over", "node", n.Name, "id", n.ID, "state", n.State, "jobs", n.Tickets)
	l.mu.Lock()
	if m := l.nodes[n.ID]; m != nil {
		m.State = "silent"
	}
	l.mu.Unlock()
	l.pokeAll()
}

// wake lets Reserve look again.
func (l *leader) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.room)
	l.room = make(chan struct{})
	l.pool.Look() // a job may have waited for a place on just this node
}

// place is one that a job can run in, on some node.
type place struct {
	l    *leader
	node int64
	used bool // a job had it
}

// Free implements worker.Place.
func (p *place) Free() {
	p.l.mu.Lock()
	if m := p.l.nodes[p.node]; m != nil {
		m.inUse--
	}
	p.l.mu.Unlock()
	if p.used {
		p.l.wake()
	}
}

// Fits implements worker.Place.
func (p *place) Fits(on job.Site) bool {
	if on == (job.Site{}) {
		return true
	}
	p.l.mu.Lock()
	defer p.l.mu.Unlock()
	return p.l.best(on, p.node) != nil
}

// aim makes it a place on a node of the site; false when none has room any more.
func (p *place) aim(on job.Site) bool {
	p.used = true
	if on == (job.Site{}) {
		return true
	}
	p.l.mu.Lock()
	best := p.l.best(on, p.node)
	p.l.mu.Unlock()
	if best == nil {
		return false
	}
	p.move(best.ID)
	return true
}

// move makes it a place of another node.
func (p *place) move(node int64) {
	p.l.mu.Lock()
	defer p.l.mu.Unlock()
	if m := p.l.nodes[p.node]; m != nil {
		m.inUse--
	}
	p.node = node
	if m := p.l.nodes[node]; m != nil {
		m.inUse++
	}
}

// Reserve implements worker.Hands: a place on the node that has the most room.
func (l *leader) Reserve(ctx context.Context) (worker.Place, bool) {
	for {
		l.mu.Lock()
		if best := l.best(job.Site{}, 0); best != nil {
			best.inUse++
			l.mu.Unlock()
			return &place{l: l, node: best.ID}, ctx.Err() == nil
		}
		room := l.room
		l.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return nil, false
		}
	}
}

// best is the node of a site that has the most room, one of it kept at the node mine; nil for none.
// l.mu is held.
func (l *leader) best(on job.Site, mine int64) *member {
	var best *member
	most := 0.0
	for _, m := range l.nodes {
		free := m.Workers - m.inUse
		if m.ID == mine {
			free++
		}
		if free <= 0 || !m.takes() || !on.Has(m.Name, m.Labels) {
			continue
		}
		if room := float64(free) / float64(m.Workers); best == nil || room > most || room == most && m.ID == mine {
			best, most = m, room
		}
	}
	return best
}

// takes reports whether the node is given jobs.
func (m *member) takes() bool { return m.State == "up" && m.silent <= m.Lease/2 }

// Exists reports whether a node of a site takes jobs, now or when it has room.
func (l *leader) Exists(on job.Site) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.nodes {
		if m.takes() && on.Has(m.Name, m.Labels) {
			return true
		}
	}
	return false
}
