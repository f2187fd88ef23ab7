package fleet

import (
	"context"
	"time"

	"github.com/tenterhook/tenterhook/internal/store/postgres"
)

// Heard reports whether somebody on another node listens to what happens.
func (f *Fleet) Heard() bool {
	for _, n := range f.Nodes() {
		if n.Listens && n.ID != f.id.Load() && (n.State == "up" || n.State == "draining") {
			return true
		}
	}
	return false
}

// Relay tells the other nodes what happened here.
func (f *Fleet) Relay(ctx context.Context, all []postgres.Happened) error {
	ids, err := f.o.Store.PutHappened(ctx, all)
	if err != nil {
		return err
	}
	f.teller.tell(postgres.Note{Kind: postgres.NoteHappened, IDs: ids})
	return nil
}

// hearHappened passes on what happened on other nodes, until ctx ends.
func (f *Fleet) hearHappened(ctx context.Context) {
	for {
		select {
		case ids := <-f.happened:
			bounded, cancel := context.WithTimeout(ctx, 5*time.Second)
			all, err := f.o.Store.Happened(bounded, ids)
			cancel()
			if err != nil {
				f.o.Log.Debug("read what happened", "error", err)
				f.o.OnHappened(nil)
				continue
			}
			f.o.OnHappened(all)
		case <-ctx.Done():
			return
		}
	}
}

// watchListeners tells the other nodes soon when somebody begins to listen here.
func (f *Fleet) watchListeners() {
	if listens := f.o.Listens(); listens != f.listens {
		f.listens = listens
		f.o.Store.SetListens(listens)
		poke(f.nudge) // the next beat says so
		f.toldListens = false
	} else if !f.toldListens {
		f.toldListens = true // the beat before this look has said it
		f.teller.tell(postgres.Note{Kind: postgres.NoteNodes})
	}
}
