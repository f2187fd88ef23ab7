package job

import (
	"container/heap"
	"time"
)

// Lane bounds how many jobs of one key run at once and how many may wait for that.
type Lane struct {
	Key     string // "" is no lane: nothing is bounded
	Limit   int    // jobs that run at once, at least 1
	Pending int    // jobs that may wait beyond those for which there is room
}

// Waiting is a job on its way to its next attempt.
type Waiting struct {
	Job  Job
	Lane Lane
	// Due is when it may run at the earliest, zero for now. A Due that was made by adding to
	// time.Now is on the monotonic clock, so a wall clock that jumps does not move it.
	Due time.Time
	// Kept jobs are never refused: they had a place before, and have perhaps run.
	Kept bool
}

// Flow decides which job runs next. It is pure: no clock, no goroutines, no lock.
//
// Of the jobs that are due and whose lane has room, the one with the lowest Seq is next, so
// jobs of one lane start in the order of their Seq and no lane keeps another from starting. A
// job that is not due holds no place in its lane. A job for which its lane has no room to wait
// in is refused.
//
// Each job that Next, Refused or Withdraw hands out is away until Done gives it back or lets it
// go; a job that Next handed out holds its place in its lane until then.
type Flow struct {
	entries map[string]*entry
	later   heapOf[*entry] // not due, by Due
	lanes   map[string]*lane
	open    heapOf[*lane]  // lanes with room and somebody who waits, by the Seq of the first
	refused heapOf[*entry] // by Seq
}

type place uint8

const (
	inLater place = iota
	inLane
	inRefused
	away // handed out, without a place in a lane
	runs // handed out by Next
)

type entry struct {
	Waiting
	place place
	index int      // in its heap
	again *Waiting // was added while it was away
}

type lane struct {
	Lane        // as the latest arrival has it
	running int // jobs that Next handed out
	fresh   int // of queue, those that are not Kept
	queue   heapOf[*entry]
	index   int // in Flow.open, -1 when not there
}

// NewFlow makes an empty Flow.
func NewFlow() *Flow {
	return &Flow{
		entries: map[string]*entry{},
		later:   heapOf[*entry]{less: earlier, moved: movedEntry},
		refused: heapOf[*entry]{less: bySeq, moved: movedEntry},
		lanes:   map[string]*lane{},
		open: heapOf[*lane]{
			less:  func(a, b *lane) bool { return a.queue.items[0].Job.Seq < b.queue.items[0].Job.Seq },
			moved: func(l *lane, i int) { l.index = i },
		},
	}
}

func earlier(a, b *entry) bool {
	if !a.Due.Equal(b.Due) {
		return a.Due.Before(b.Due)
	}
	return a.Job.Seq < b.Job.Seq
}

func bySeq(a, b *entry) bool { return a.Job.Seq < b.Job.Seq }

func movedEntry(e *entry, i int) { e.index = i }

// Len is how many jobs are here, those that are away included.
func (f *Flow) Len() int { return len(f.entries) }

// Later is how many jobs are not due.
func (f *Flow) Later() int { return len(f.later.items) }

// Add takes a job. One that waits already is left as it is; one that is away is taken when it
// is done, in place of what Done is told.
func (f *Flow) Add(w Waiting, now time.Time) {
	e := f.entries[w.Job.ID]
	switch {
	case e == nil:
		f.enter(w, now)
	case e.place == away || e.place == runs:
		e.again = &w
	}
}

func (f *Flow) enter(w Waiting, now time.Time) {
	e := &entry{Waiting: w}
	f.entries[w.Job.ID] = e
	if w.Due.After(now) {
		e.place = inLater
		heap.Push(&f.later, e)
		return
	}
	f.arrive(e)
}

// arrive puts a job that is due into its lane, or refuses it.
func (f *Flow) arrive(e *entry) {
	l := f.lanes[e.Lane.Key]
	if l == nil {
		l = &lane{queue: heapOf[*entry]{less: bySeq, moved: movedEntry}, index: -1}
		f.lanes[e.Lane.Key] = l
	}
	l.Lane = e.Lane
	if !e.Kept && l.full() {
		e.place = inRefused
		heap.Push(&f.refused, e)
	} else {
		e.place = inLane
		heap.Push(&l.queue, e)
		l.count(e, 1)
	}
	f.settle(l) // also after a refusal: the bounds may be others
}

func (l *lane) count(e *entry, n int) {
	if !e.Kept {
		l.fresh += n
	}
}

// room is how many further jobs of the lane could run. Without a key it is never 0.
func (l *lane) room() int {
	if l.Key == "" {
		return 1
	}
	return max(0, max(1, l.Limit)-l.running)
}

// full reports whether a further job would have nowhere to wait. Jobs that wait only for a
// worker, since the lane has room for them to run, are not counted against Pending.
func (l *lane) full() bool { return l.Key != "" && l.fresh >= l.room()+l.Pending }

// settle puts a lane that changed where it belongs among the open ones, and forgets an empty one.
func (f *Flow) settle(l *lane) {
	switch open := len(l.queue.items) > 0 && l.room() > 0; {
	case open && l.index < 0:
		heap.Push(&f.open, l)
	case open:
		heap.Fix(&f.open, l.index)
	case l.index >= 0:
		heap.Remove(&f.open, l.index)
	}
	if l.running == 0 && len(l.queue.items) == 0 {
		delete(f.lanes, l.Key)
	}
}

// Next hands out the job that runs now, if any may.
func (f *Flow) Next(now time.Time) (Job, bool) {
	f.wake(now)
	if len(f.open.items) == 0 {
		return Job{}, false
	}
	l := f.open.items[0]
	e := l.queue.items[0]
	l.running++
	f.takeFrom(l, e)
	e.place = runs
	return e.Job, true
}

// takeFrom takes a job out of its lane's queue.
func (f *Flow) takeFrom(l *lane, e *entry) {
	heap.Remove(&l.queue, e.index)
	l.count(e, -1)
	f.settle(l)
}

// wake lets the jobs arrive that have become due.
func (f *Flow) wake(now time.Time) {
	for len(f.later.items) > 0 && !f.later.items[0].Due.After(now) {
		f.arrive(heap.Pop(&f.later).(*entry))
	}
}

// Until is how long Next cannot hand out more by itself; false when only Add or Done can change
// that.
func (f *Flow) Until(now time.Time) (time.Duration, bool) {
	if len(f.later.items) == 0 {
		return 0, false
	}
	return max(0, f.later.items[0].Due.Sub(now)), true
}

// Refused hands out the first job for which its lane has no room.
func (f *Flow) Refused() (Waiting, bool) {
	if len(f.refused.items) == 0 {
		return Waiting{}, false
	}
	e := heap.Pop(&f.refused).(*entry)
	e.place = away
	return e.Waiting, true
}

// HasRefused reports whether Refused would hand out a job.
func (f *Flow) HasRefused() bool { return len(f.refused.items) > 0 }

// Withdraw hands out a job that waits. It is false for one that is away or not here.
func (f *Flow) Withdraw(id string) (Waiting, bool) {
	e := f.entries[id]
	if e == nil {
		return Waiting{}, false
	}
	switch e.place {
	case inLater:
		heap.Remove(&f.later, e.index)
	case inLane:
		f.takeFrom(f.lanes[e.Lane.Key], e)
	case inRefused:
		heap.Remove(&f.refused, e.index)
	default:
		return Waiting{}, false
	}
	e.place = away
	return e.Waiting, true
}

// Done ends what Next, Refused or Withdraw began: the job's place in its lane is free. The job
// leaves, unless there is something to do again: what Add brought meanwhile, else again.
func (f *Flow) Done(id string, again *Waiting, now time.Time) {
	e := f.entries[id]
	if e == nil || e.place != away && e.place != runs {
		return
	}
	delete(f.entries, id)
	if e.again != nil {
		again = e.again
	}
	if e.place == runs {
		l := f.lanes[e.Lane.Key]
		l.running--
		f.settle(l)
	}
	if again != nil {
		f.enter(*again, now)
	}
}

// heapOf is a heap.Interface that tells its items where they are, -1 for nowhere.
type heapOf[T any] struct {
	items []T
	less  func(a, b T) bool
	moved func(T, int)
}

func (h *heapOf[T]) Len() int           { return len(h.items) }
func (h *heapOf[T]) Less(i, j int) bool { return h.less(h.items[i], h.items[j]) }

func (h *heapOf[T]) Swap(i, j int) {
	h.items[i], h.items[j] = h.items[j], h.items[i]
	h.moved(h.items[i], i)
	h.moved(h.items[j], j)
}

func (h *heapOf[T]) Push(x any) {
	h.moved(x.(T), len(h.items))
	h.items = append(h.items, x.(T))
}

func (h *heapOf[T]) Pop() any {
	last := len(h.items) - 1
	item := h.items[last]
	var none T
	h.items[last] = none
	h.items = h.items[:last]
	h.moved(item, -1)
	return item
}
