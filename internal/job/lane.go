package job

import (
	"container/heap"
	"math"
	"time"
)

// Overflow says what becomes of a job whose lane has no room for it to run.
type Overflow string

// The overflows of a lane.
const (
	OverflowQueue  Overflow = "queue"           // it waits, unless as many as may do
	OverflowNewest Overflow = "replace_pending" // it waits, and what waited is superseded by it
	OverflowCancel Overflow = "cancel_running"  // the same, and what runs is ended for it
	OverflowSkip   Overflow = "skip"            // it ends as skipped
)

// newestWins reports whether a job supersedes those before it.
func (o Overflow) newestWins() bool { return o == OverflowNewest || o == OverflowCancel }

// Lane bounds how many jobs of one key run at once and what becomes of the others. The zero Key
// of a rule without concurrency is a lane too: with a Limit of 0 it bounds nothing.
type Lane struct {
	Hook, Rule, Key string
	Limit           int // jobs that run at once; 0 is no bound
	Pending         int // jobs that may wait beyond those for which there is room, under OverflowQueue
	Overflow        Overflow
	On              Site // where its jobs can run
}

type laneID struct{ hook, rule, key string }

func (l Lane) id() laneID { return laneID{l.Hook, l.Rule, l.Key} }

type lane struct {
	Lane    // as the latest arrival has it
	running map[*entry]struct{}
	ending  int // of running, those that are to make room
	fresh   int // of queue, those that are not Kept
	queue   heapOf[*entry]
	retries map[*entry]struct{} // that ran here and are not due again
	until   time.Time           // the first of the queue may not start earlier; zero for now
	in      *heapOf[*lane]      // of Flow.open or Flow.delayed, nil for neither
	index   int                 // in that
}

// lane returns the lane of a job with the bounds the job brings, making it when it is the first.
func (f *Flow) lane(of Lane) *lane {
	l := f.lanes[of.id()]
	if l == nil {
		l = &lane{
			queue:   heapOf[*entry]{less: before, moved: movedEntry},
			running: map[*entry]struct{}{}, retries: map[*entry]struct{}{}, index: -1,
		}
		f.lanes[of.id()] = l
	}
	l.Lane = of
	return l
}

// room is how many further jobs of the lane could run.
func (l *lane) room() int {
	if l.Limit <= 0 {
		return math.MaxInt32
	}
	return max(0, l.Limit-len(l.running))
}

// full reports whether a further job would have nowhere to wait. Jobs that wait only for a
// worker, since the lane has room for them to run, are not counted against Pending.
func (l *lane) full() bool {
	switch l.Overflow {
	case OverflowSkip:
		return l.fresh >= l.room()
	case OverflowNewest, OverflowCancel:
		return false
	}
	return l.Limit > 0 && l.fresh >= l.room()+l.Pending
}

// arrive puts a job that is due into its lane, or decides what becomes of it or of others there.
func (f *Flow) arrive(e *entry) {
	l := f.lane(e.Lane)
	switch newest := l.outdated(e); {
	case newest != nil:
		f.decide(e, Superseded, newest.Job.ID)
	case !e.Kept && l.full():
		f.decide(e, Skipped, l.holder())
	default:
		e.place = inLane
		heap.Push(&l.queue, e)
		l.count(e, 1)
		if l.Overflow.newestWins() {
			f.overtake(l, e)
		}
	}
	f.settle(l) // also when nothing came in: the bounds may be others
}

// outdated returns, in a lane where the newest job wins, the newest if as many as may run arrived
// after e: those that run, that wait for room, or that wait for a further attempt. Few wait in
// such a lane.
func (l *lane) outdated(e *entry) *entry {
	if !l.Overflow.newestWins() {
		return nil
	}
	newest, newer := e, 0
	see := func(other *entry) {
		if e.number.before(other.number) {
			newer++
		}
		if newest.number.before(other.number) {
			newest = other
		}
	}
	for _, other := range l.queue.items {
		see(other)
	}
	for other := range l.running {
		see(other)
	}
	for other := range l.retries {
		see(other)
	}
	if newer < max(1, l.Limit) {
		return nil
	}
	return newest
}

// holder is a job that keeps another from running: the oldest that runs, else the first in the
// queue, "" when there is none.
func (l *lane) holder() string {
	if e := l.oldest(func(*entry) bool { return true }); e != nil {
		return e.Job.ID
	}
	if len(l.queue.items) > 0 {
		return l.queue.items[0].Job.ID
	}
	return ""
}

// oldest is the running job of the lane that arrived first of those that are wanted.
func (l *lane) oldest(wanted func(*entry) bool) *entry {
	var oldest *entry
	for e := range l.running {
		if wanted(e) && (oldest == nil || e.number.before(oldest.number)) {
			oldest = e
		}
	}
	return oldest
}

// overtake makes room for a job that has just come to wait in its lane: of those that wait, only
// as many stay as there is room for, at least the newest; retries that are outdated now go; and
// under OverflowCancel the oldest that runs is to end.
func (f *Flow) overtake(l *lane, e *entry) {
	f.dropRetries(l)
	for len(l.queue.items) > max(1, l.room()) {
		first, newest := l.queue.items[0], l.queue.items[0]
		for _, other := range l.queue.items {
			if other.number.before(first.number) {
				first = other
			}
			if newest.number.before(other.number) {
				newest = other
			}
		}
		f.leaveQueue(l, first)
		f.decide(first, Superseded, newest.Job.ID)
	}
	if l.Overflow != OverflowCancel || e.place != inLane || len(l.running)-l.ending < l.Limit {
		return
	}
	if o := l.oldest(func(o *entry) bool { return !o.overtaken && o.number.before(e.number) }); o != nil {
		o.overtaken = true
		l.ending++
		f.overtaken = append(f.overtaken, Overtaken{Job: o.Job.ID, By: e.Job.ID})
	}
}

// dropRetries ends the retries of a lane that are outdated.
func (f *Flow) dropRetries(l *lane) {
	for e := range l.retries {
		if newest := l.outdated(e); newest != nil {
			heap.Remove(&f.later, e.index)
			delete(l.retries, e)
			f.decide(e, Superseded, newest.Job.ID)
		}
	}
}

func (l *lane) count(e *entry, n int) {
	if !e.Kept {
		l.fresh += n
	}
}

// leaveQueue takes a job out of its lane's queue; the caller settles the lane.
func (f *Flow) leaveQueue(l *lane, e *entry) {
	heap.Remove(&l.queue, e.index)
	l.count(e, -1)
}

// settle puts a lane that changed where it belongs: among the open ones when somebody waits in
// it and could run. An empty one is forgotten.
func (f *Flow) settle(l *lane) {
	l.until = time.Time{} // whoever is first now is asked again
	if len(l.queue.items) > 0 && l.room() > 0 && !f.isPaused(l.Lane) {
		f.move(l, f.openOn(l.On))
	} else {
		f.move(l, nil)
	}
	if len(l.running) == 0 && len(l.queue.items) == 0 && len(l.retries) == 0 {
		delete(f.lanes, l.id())
	}
}

// openOn are the open lanes of a site.
func (f *Flow) openOn(on Site) *heapOf[*lane] {
	lanes := f.open[on]
	if lanes == nil {
		lanes = &heapOf[*lane]{
			less:  func(a, b *lane) bool { return before(a.queue.items[0], b.queue.items[0]) },
			moved: movedLane,
		}
		f.open[on] = lanes
	}
	return lanes
}

func movedLane(l *lane, i int) { l.index = i }

// Stranded returns jobs that could start but for their site, and that it was not asked about
// before; at most so many.
func (f *Flow) Stranded(exists func(Site) bool, most int) []Waiting {
	var out []Waiting
	for on, lanes := range f.open {
		if exists(on) {
			continue
		}
		for _, l := range lanes.items {
			for _, e := range l.queue.items {
				if len(out) < most && e.stranded != on {
					e.stranded = on
					out = append(out, e.Waiting)
				}
			}
		}
	}
	return out
}

// Move says again where each job can run.
func (f *Flow) Move(on func(*Job) Site) {
	moved := map[*lane]bool{}
	for _, e := range f.entries {
		site := on(&e.Job)
		if e.Lane.On == site {
			continue
		}
		e.Lane.On = site
		if l := f.lanes[e.Lane.id()]; l != nil && l.On != site {
			l.On = site
			moved[l] = true
		}
	}
	for l := range moved {
		f.settle(l)
	}
}

// delay takes a lane from the open ones until its first job may start.
func (f *Flow) delay(l *lane, until time.Time) {
	f.move(l, nil) // before until changes: it is what the delayed ones are ordered by
	l.until = until
	f.move(l, &f.delayed)
}

func (f *Flow) move(l *lane, to *heapOf[*lane]) {
	if l.in == to {
		if to != nil {
			heap.Fix(to, l.index)
		}
		return
	}
	if l.in != nil {
		heap.Remove(l.in, l.index)
	}
	if l.in = to; to != nil {
		heap.Push(to, l)
	}
}
