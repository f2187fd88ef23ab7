package daemon

import (
	"context"
	"sync"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/fleet"
	"github.com/tenterhook/tenterhook/internal/store/postgres"
)

// relayLook is how often it is looked whether somebody listens on another node.
const relayLook = 500 * time.Millisecond

// relay tells the other nodes what happens here while somebody listens there, until ctx ends.
func (d *Daemon) relay(ctx context.Context) {
	nodes := d.fleet()
	if nodes == nil {
		return
	}
	every(ctx, relayLook, nil, func() {
		if nodes.Heard() {
			d.relayWhileHeard(ctx, nodes)
		}
	})
}

func (d *Daemon) relayWhileHeard(ctx context.Context, nodes *fleet.Fleet) {
	ctx, cancel := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	defer watcher.Wait()
	defer cancel()
	watcher.Go(func() {
		every(ctx, relayLook, nil, func() {
			if !nodes.Heard() {
				cancel()
			}
		})
	})
	err := d.feed.Follow(ctx, func(all []admin.Relayed) error {
		happened := make([]postgres.Happened, len(all))
		for i, one := range all {
			happened[i] = postgres.Happened(one)
		}
		bounded, cancel := context.WithTimeout(ctx, relayWithin)
		defer cancel()
		return nodes.Relay(bounded, happened)
	})
	if err != nil && ctx.Err() == nil {
		d.log.Debug("other nodes are not told what happens here", "error", err)
	}
}

// relayWithin bounds how long what happened is tried to be told.
const relayWithin = 5 * time.Second

// happenedElsewhere passes on what happened on another node, nil when some of it is lost.
func (d *Daemon) happenedElsewhere(all []postgres.Happened) {
	if all == nil {
		d.feed.PublishRelayed(nil)
		return
	}
	relayed := make([]admin.Relayed, len(all))
	for i, one := range all {
		relayed[i] = admin.Relayed(one)
	}
	d.feed.PublishRelayed(relayed)
}
