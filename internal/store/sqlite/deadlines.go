package sqlite

import (
	"sync"
	"time"
)

// deadlines tell callers when they have waited for long enough. Those who begin within a 16th of that
// share one timer: one for each would cost a write more than its place in the queue.
type deadlines struct {
	span time.Duration

	mu    sync.Mutex
	began time.Time
	over  chan struct{} // closed when who began at began, or a 16th of span later, has waited for span
	timer *time.Timer
}

// end returns a channel that is closed when somebody who begins to wait now has waited for span, or
// up to a 16th longer.
func (p *deadlines) end() <-chan struct{} {
	now, slack := time.Now(), p.span/16
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over == nil || now.Sub(p.began) > slack {
		over := make(chan struct{})
		p.began, p.over = now, over
		p.timer = time.AfterFunc(p.span+slack, func() { close(over) })
	}
	return p.over
}

// stop releases the last timer; earlier ones end soon by themselves. Nobody may wait any more.
func (p *deadlines) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
	}
}
