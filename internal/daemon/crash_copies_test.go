package daemon_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// parallel is how often each delivery is sent at the same time.
const parallel = 10

// TestCrash_E12_CopiesInParallelStartOneJobThroughKills sends every delivery ten times at once and
// kills the daemon at random moments. Copies without an answer are sent again. All answers to one
// delivery must name the same one, and its script must have begun once.
// TENTERHOOK_COPIES sets how many deliveries, TENTERHOOK_COPY_KILLS how many kills.
func TestCrash_E12_CopiesInParallelStartOneJobThroughKills(t *testing.T) {
	t.Parallel()
	w := newWalk(t)
	most, kills := int64(count("TENTERHOOK_COPIES", 100)), count("TENTERHOOK_COPY_KILLS", 2)
	c := &copyWalk{walk: w, named: map[int64]string{}}
	p := launch(t, w.dir)
	c.url.Store(&p.url)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tell := every(10 * time.Second)
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for n := w.serial.Add(1); n <= most && ctx.Err() == nil && !timeIsOver(); n = w.serial.Add(1) {
				c.sendAll(ctx, n)
			}
		})
	}
	killed := 0
	for i := range kills {
		within(t, time.Hour, "a part to be sent", func() bool {
			if tell() {
				t.Logf("progress: %d of %d", w.serial.Load(), most)
			}
			return timeIsOver() || w.serial.Load() > most*int64(i+1)/int64(kills+1)
		})
		if timeIsOver() {
			break
		}
		killed++
		<-time.After(time.Duration(rand.IntN(50)) * time.Millisecond) // the moment of the crash
		p.kill()
		p = launch(t, w.dir)
		c.url.Store(&p.url)
	}
	senders.Wait()
	p.end(t)
	w.finish()
	t.Logf("%d copies had no answer and were sent again", c.again.Load())
	none(t, int64(len(c.named)), "deliveries of %d copies in parallel, through %d kills, started twice or was lost", parallel, killed)
	if int64(len(c.named)) < most && !timeIsOver() {
		t.Errorf("%d deliveries were acknowledged instead of %d", len(c.named), most)
	}
}

type copyWalk struct {
	*walk
	url   atomic.Pointer[string] // of the daemon that runs now
	again atomic.Int64
	named map[int64]string // under walk.mu: the delivery's id by its number
}

// sendAll returns when each copy has an answer.
func (c *copyWalk) sendAll(ctx context.Context, n int64) {
	body := fmt.Sprintf(`{"n":%d,"pause":%d}`, n, rand.IntN(4))
	var all sync.WaitGroup
	for range parallel {
		all.Go(func() {
			for c.sendCopy(n, body) != nil {
				c.again.Add(1)
				select {
				case <-time.After(20 * time.Millisecond): // the daemon is starting
				case <-ctx.Done():
					return
				}
			}
		})
	}
	all.Wait()
}

func (c *copyWalk) sendCopy(n int64, body string) error {
	a, err := c.post(*c.url.Load(), n, body)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if id := c.named[n]; id != "" && id != a.json.Delivery {
		c.t.Errorf("delivery %d is %s in one answer and %s in another", n, id, a.json.Delivery)
	}
	c.named[n] = a.json.Delivery
	return nil
}
