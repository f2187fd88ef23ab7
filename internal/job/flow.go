package job

import (
	"cmp"
	"container/heap"
	"slices"
	"time"
)

// Waiting is a job on its way to its next attempt.
type Waiting struct {
	Job  Job
	Lane Lane
	// Due is when it may run at the earliest, zero for now. A Due that was made by adding to
	// time.Now is on the monotonic clock, so a wall clock that jumps does not move it.
	Due time.Time
	// Expires is when it ends as expired unless it has started; zero for never.
	Expires time.Time
	// Throttle is how often jobs of ThrottleKey may start. Nil is no bound.
	Throttle    *Pace
	ThrottleKey string
	// Once keeps jobs of the same Once from running beside each other; "" is no bound.
	Once string
	// Kept jobs are never refused for want of room: they had a place before, and have perhaps run.
	Kept bool
	// Resumes: the job has run, and what follows it has yet to. It holds its place in its lane at
	// once, and is handed out before all others whatever the controls say.
	Resumes bool
	// Held jobs run already, where Flow does not see it: they resume wherever their lane may run.
	Held bool
	// BySeq: it is told of late, perhaps. It takes its place by Job.Seq among those that were added
	// before, as if it had come in that order; those that have run meanwhile it does not undo.
	BySeq bool
}

// Decision ends a job that waits, without an attempt.
type Decision struct {
	Waiting
	Next State  // Skipped, Superseded or Expired
	By   string // the job that took its place, or that holds it
}

// Overtaken is a running job that is to end, so that By can run.
type Overtaken struct{ Job, By string }

// Delayed is a waiting job that is the next of its lane and may not start earlier.
type Delayed struct {
	Job   string
	Until time.Time
}

// Flow decides which job runs next, and which does not run at all. It is pure: no clock, no
// goroutines, no lock.
//
// Of the jobs that are due and whose lane has room, the one that arrived first, less its head
// start, is next; so jobs of one lane start in the order in which they arrived, and no lane
// keeps another from starting. A job that is not due holds no place in its lane. What a lane
// without room does is its Overflow. A paused rule starts nothing; its jobs wait.
//
// Each job that Next, Decided or Withdraw hands out is away until Done gives it back or lets it
// go; a job that Next handed out holds its place in its lane until then.
type Flow struct {
	entries  map[string]*entry
	later    heapOf[*entry] // not due, by Due
	expiring heapOf[*entry] // that wait and have an Expires, by that
	lanes    map[laneID]*lane
	open     map[Site]*heapOf[*lane] // with room and somebody who waits, by the first of them
	delayed  heapOf[*lane]           // the same, but the first may not start before until
	paused   map[laneID]bool
	busy     map[string]int       // running jobs by Once
	parked   map[string][]*entry  // due jobs by the Once that is busy
	pace     map[string]time.Time // when the next job of a ThrottleKey is due, were they spread evenly
	swept    int                  // len(pace) when old ones were last forgotten

	resumed   []*entry // that hold their places and were not handed out yet
	decided   []*entry // in the order of the decisions
	overtaken []Overtaken
	postponed []Delayed

	latest order           // of arrivals
	last   time.Time       // of the arrivals' times, which do not go back
	came   []came          // arrivals BySeq, in that order
	ended  map[string]bool // what Done and Remove were told since Watch; nil when nobody watches
}

// order says which of two jobs arrived first.
type order struct{ seq, turn int64 }

func (o order) before(other order) bool { return o.compare(other) < 0 }

func (o order) compare(other order) int {
	return cmp.Or(cmp.Compare(o.seq, other.seq), cmp.Compare(o.turn, other.turn))
}

// came is when a job is held to have arrived.
type came struct {
	seq int64
	at  time.Time
}

// mostCame bounds the arrivals among which a late one finds its place.
const mostCame = 4096

type place uint8

const (
	inLater place = iota
	inLane
	inParked
	isDecided
	away // handed out, without a place in a lane
	runs // handed out by Next
)

type entry struct {
	Waiting
	number    order     // in the order of arrivals; a further attempt keeps it
	rank      time.Time // of arrival, less the head start
	place     place
	index     int // in its heap
	expiry    int // in Flow.expiring, -1 when not there
	overtaken bool
	postponed time.Time // what was told of it
	next      State     // when it is decided
	by        string
	again     *Waiting // was added while it was away
	stranded  Site     // that Stranded told of
}

// NewFlow makes an empty Flow.
func NewFlow() *Flow {
	return &Flow{
		entries: map[string]*entry{}, lanes: map[laneID]*lane{}, paused: map[laneID]bool{},
		open: map[Site]*heapOf[*lane]{}, busy: map[string]int{}, parked: map[string][]*entry{}, pace: map[string]time.Time{},
		later: heapOf[*entry]{less: earlier, moved: movedEntry},
		expiring: heapOf[*entry]{
			less:  func(a, b *entry) bool { return a.Expires.Before(b.Expires) },
			moved: func(e *entry, i int) { e.expiry = i },
		},
		delayed: heapOf[*lane]{less: func(a, b *lane) bool { return a.until.Before(b.until) }, moved: movedLane},
	}
}

func earlier(a, b *entry) bool {
	if !a.Due.Equal(b.Due) {
		return a.Due.Before(b.Due)
	}
	return a.number.before(b.number)
}

// before is the order in which jobs start.
func before(a, b *entry) bool {
	if !a.rank.Equal(b.rank) {
		return a.rank.Before(b.rank)
	}
	return a.number.before(b.number)
}

func movedEntry(e *entry, i int) { e.index = i }

// Len is how many jobs are here, those that are away included.
func (f *Flow) Len() int { return len(f.entries) }

// Has reports whether a job is here.
func (f *Flow) Has(id string) bool { return f.entries[id] != nil }

// Away reports whether a job was handed out for the attempt that j waits for: j is then as it was
// before.
func (f *Flow) Away(j *Job) bool {
	e := f.entries[j.ID]
	return e != nil && e.place > inParked && e.Job.Attempt == j.Attempt && e.Job.Since == j.Since
}

// Later is how many jobs are not due.
func (f *Flow) Later() int { return len(f.later.items) }

// Add takes a job. One that is not due yet is taken anew, with another Due perhaps; one that is
// due is left as it is; one that is away is taken when it is done, in place of what Done is told.
func (f *Flow) Add(w Waiting, now time.Time) {
	e := f.entries[w.Job.ID]
	switch {
	case e == nil:
		f.enter(f.arrival(w, now), now)
	case e.place == inLater:
		f.forget(e)
		e.Waiting = w
		f.enter(e, now)
	case w.Job.State == Scheduled:
		// It was given another time while it was on its way already.
	case e.place == away || e.place == runs || e.place == isDecided:
		again := w // here, or every job that comes would be one more allocation
		e.again = &again
	}
}

// arrival numbers a job that was not here before.
func (f *Flow) arrival(w Waiting, now time.Time) *entry {
	if created := w.Job.CreatedAt; created.Before(now) {
		now = created
	}
	if now.After(f.last) {
		f.last = now
	}
	f.latest = order{max(f.latest.seq, w.Job.Seq), f.latest.turn + 1}
	e := &entry{Waiting: w, number: f.latest, rank: f.last.Add(-w.Job.Keys.HeadStart()), expiry: -1}
	if w.BySeq {
		e.number.seq = w.Job.Seq
		e.rank = f.cameAt(w.Job.Seq).Add(-w.Job.Keys.HeadStart())
	}
	return e
}

// cameAt is when a job is held to have arrived that takes its place by its Seq: when the next one did.
func (f *Flow) cameAt(seq int64) time.Time {
	i, at := len(f.came), f.last
	for ; i > 0 && f.came[i-1].seq > seq; i-- {
		at = f.came[i-1].at
	}
	f.came = slices.Insert(f.came, i, came{seq, at})
	if len(f.came) >= 2*mostCame {
		f.came = slices.Delete(f.came, 0, mostCame)
	}
	return at
}

// Watch begins to note which jobs come back or leave, for Ended. Ignore ends that.
func (f *Flow) Watch() { f.ended = map[string]bool{} }

// Ignore ends what Watch began.
func (f *Flow) Ignore() { f.ended = nil }

// Ended reports whether a job came back or left since Watch: what was read of it may be older.
func (f *Flow) Ended(id string) bool { return f.ended[id] }

func (f *Flow) noteEnd(id string) {
	if f.ended != nil {
		f.ended[id] = true
	}
}

func (f *Flow) enter(e *entry, now time.Time) {
	f.entries[e.Job.ID] = e
	if e.Resumes {
		f.resume(e)
		return
	}
	if !e.Expires.IsZero() {
		heap.Push(&f.expiring, e)
	}
	if !e.Due.After(now) {
		f.arrive(e)
		return
	}
	e.place = inLater
	heap.Push(&f.later, e)
	if e.Kept && e.Lane.Overflow.newestWins() {
		f.awaitRetry(e)
	}
}

// resume gives a job its place in its lane back.
func (f *Flow) resume(e *entry) {
	e.place = runs
	f.resumed = append(f.resumed, e)
	l := f.lane(e.Lane)
	l.running[e] = struct{}{}
	if e.Once != "" {
		f.busy[e.Once]++
	}
	f.settle(l)
}

// awaitRetry keeps a job that waits for a further attempt where newer ones of its lane find it.
func (f *Flow) awaitRetry(e *entry) {
	l := f.lane(e.Lane)
	l.retries[e] = struct{}{}
	f.dropRetries(l)
	f.settle(l)
}

// forget takes a job that waits out of everything but the entries. The lane it waited in is
// settled.
func (f *Flow) forget(e *entry) {
	if e.expiry >= 0 {
		heap.Remove(&f.expiring, e.expiry)
	}
	switch e.place {
	case inLater:
		heap.Remove(&f.later, e.index)
		if l := f.lanes[e.Lane.id()]; l != nil {
			delete(l.retries, e)
			f.settle(l)
		}
	case inLane:
		l := f.lanes[e.Lane.id()]
		f.leaveQueue(l, e)
		f.settle(l)
	case inParked:
		f.parked[e.Once] = without(f.parked[e.Once], e)
	}
}

func without(list []*entry, e *entry) []*entry {
	for i, other := range list {
		if other == e {
			return append(list[:i], list[i+1:]...)
		}
	}
	return list
}

// decide ends a job that is in no heap but perhaps expiring.
func (f *Flow) decide(e *entry, next State, by string) {
	if e.expiry >= 0 {
		heap.Remove(&f.expiring, e.expiry)
	}
	e.place, e.next, e.by = isDecided, next, by
	f.decided = append(f.decided, e)
}

// SetPaused says which rules start nothing: by hook and rule, or by hook alone with rule "".
func (f *Flow) SetPaused(paused [][2]string) {
	f.paused = map[laneID]bool{}
	for _, p := range paused {
		f.paused[laneID{hook: p[0], rule: p[1]}] = true
	}
	for _, l := range f.lanes {
		f.settle(l)
	}
}

func (f *Flow) isPaused(l Lane) bool {
	return len(f.paused) > 0 && (f.paused[laneID{hook: l.Hook}] || f.paused[laneID{hook: l.Hook, rule: l.Rule}])
}
