package sqlite

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenterhook/tenterhook/internal/store"
)

// A batch waits for the starts and ends that are said to come, not for longer than they may take,
// and not while anything else waits for its answer.
func TestABatchWaitsForTheCompanyItIsSaidToHave(t *testing.T) {
	begins := func(company int) operation { return &start{m: store.StartMark{Company: company}} }
	ends := func(company int) operation { return &finish{e: store.Ended{Company: company}} }
	const soon = companyWithin / 5 // between what comes
	for name, of := range map[string]struct {
		ops   []operation
		batch int
		after time.Duration
		took  time.Duration // of the last commit
	}{
		"alone, with nobody to come":    {[]operation{begins(0)}, 1, 0, 0},
		"all that were to come":         {[]operation{ends(3), begins(3), ends(3), begins(3)}, 3, 2 * soon, 0},
		"fewer than were to come":       {[]operation{ends(4), begins(4)}, 2, companyWithin, 0},
		"one who does not know of them": {[]operation{ends(4), begins(0), ends(4)}, 2, soon, 0},
		"a delivery":                    {[]operation{ends(4), &accept{}, begins(4)}, 2, soon, 0},
		"where a commit takes long":     {[]operation{ends(4), begins(4)}, 1, 0, quickCommit},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &writer{high: make(chan *write, len(of.ops)), stop: make(chan struct{}), took: of.took}
				var others sync.WaitGroup
				defer others.Wait()
				others.Go(func() {
					for _, op := range of.ops[1:] {
						time.Sleep(soon)
						w.high <- &write{op: op}
					}
				})
				began := time.Now()
				batch := w.gather(&write{op: of.ops[0]})
				if len(batch) != of.batch || time.Since(began) != of.after {
					t.Errorf("a batch of %d after %v, want %d after %v", len(batch), time.Since(began), of.batch, of.after)
				}
			})
		})
	}
}
