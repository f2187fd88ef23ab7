package daemon

import (
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
)

// When deliveries came, and when jobs are due, nodes write by the database's clock once their own is
// off by more than admin.WrongClock: start_within, debounce, rate_limit and retries then count right
// on every node. When an attempt began and ended is what the node thought.

// off is by how much the clock here is wrong, 0 when it is right enough or nobody knows.
func (w watched) off() time.Duration {
	db, ok := w.opened.(interface{ Clock() time.Duration })
	if !ok {
		return 0
	}
	if off := db.Clock(); off.Abs() > admin.WrongClock {
		return off
	}
	return 0
}

// right is a time as the database's clock would have had it.
func (w watched) right(t time.Time) time.Time {
	if off := w.off(); off != 0 && !t.IsZero() {
		return t.Add(-off)
	}
	return t
}

// now is the time by which deliveries are stored.
func (w watched) now() time.Time { return w.right(time.Now().Round(0)) }

// now is the time by which deliveries are stored, to compare theirs with.
func (d *Daemon) now() time.Time { return watched{opened: d.store}.now() }

// arrived sets the times of what is about to be stored right.
func (w watched) arrived(d *job.Delivery, jobs []job.Job) {
	off := w.off() // once: what was made together has one time
	if off == 0 {
		return
	}
	d.ReceivedAt = d.ReceivedAt.Add(-off)
	for i := range jobs {
		jobs[i].CreatedAt, jobs[i].RunAt = jobs[i].CreatedAt.Add(-off), jobs[i].RunAt.Add(-off)
	}
}
