package fleet

import (
	"context"
	"sync"
	"time"

	"github.com/tenterhook/tenterhook/internal/store/postgres"
)

// mostUntold bounds the ids that wait to be told; beyond, they are found by looking.
const mostUntold = 20_000

// teller sends notes, those of one kind together while another is on its way.
type teller struct {
	store *postgres.Store
	heard func(postgres.Note) // this node hears of its own notes at once

	mu     sync.Mutex
	untold map[byte][]int64
	more   chan struct{} // capacity 1
}

func newTeller(s *postgres.Store, heard func(postgres.Note)) *teller {
	return &teller{store: s, heard: heard, untold: map[byte][]int64{}, more: make(chan struct{}, 1)}
}

// tell sends a note some time soon. It never blocks.
func (t *teller) tell(n postgres.Note) {
	t.heard(n)
	t.mu.Lock()
	if ids := t.untold[n.Kind]; len(ids) < mostUntold {
		t.untold[n.Kind] = append(ids, n.IDs...)
	}
	t.mu.Unlock()
	poke(t.more)
}

// run sends until ctx ends.
func (t *teller) run(ctx context.Context) {
	for {
		select {
		case <-t.more:
		case <-ctx.Done():
			return
		}
		t.send(ctx)
	}
}

// send sends what there is to tell.
func (t *teller) send(ctx context.Context) {
	t.mu.Lock()
	untold := t.untold
	t.untold = map[byte][]int64{}
	t.mu.Unlock()
	for kind, ids := range untold {
		bounded, cancel := context.WithTimeout(ctx, 5*time.Second)
		_ = t.store.Tell(bounded, postgres.Note{Kind: kind, IDs: ids}) // what it says is found by looking
		cancel()
	}
}
