package worker

import (
	"container/heap"
	"fmt"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
)

// schedule decides which job is next. It is pure: no clock, no goroutines; its owner locks.
//
// A job waits in one of three places: scheduled (its time has not come), in its lane (others of
// its key run), or ready. Ready jobs and the jobs of a lane start in the order of their Seq. A
// job that waits for its time holds no place in its lane.
type schedule struct {
	waiting map[string]*entry // every job here that does not run
	times   entryHeap         // scheduled, by time
	ready   entryHeap         // by seq
	lanes   map[string]*lane
	holds   map[string]string // running job → its lane
	refuse  []refusal
}

type entry struct {
	job   job.Job
	lane  laneKey
	at    time.Time // monotonic; zero once its time has come
	index int       // in its heap, -1 when in none
}

type laneKey struct {
	name           string // "" is no lane
	limit, pending int
}

type lane struct {
	running int       // ready ones included: they will run
	queue   entryHeap // by seq
}

type refusal struct {
	job    job.Job
	lane   laneKey
	reason string
}

func newSchedule() *schedule {
	return &schedule{
		waiting: map[string]*entry{}, times: entryHeap{less: byTime}, ready: entryHeap{less: bySeq},
		lanes: map[string]*lane{}, holds: map[string]string{},
	}
}

func (s *schedule) len() int       { return len(s.waiting) + len(s.refuse) }
func (s *schedule) scheduled() int { return len(s.times.entries) }

// add takes a job that waits. One that is here already is left as it is.
func (s *schedule) add(j job.Job, l laneKey, now time.Time) {
	if s.waiting[j.ID] != nil || s.holds[j.ID] != "" {
		return
	}
	e := &entry{job: j, lane: l, index: -1}
	if pause := j.RunAt.Sub(now); j.State == job.Scheduled && pause > 0 {
		e.at = now.Add(pause) // on the monotonic clock: a wall clock that jumps moves nothing
		s.waiting[j.ID] = e
		heap.Push(&s.times, e)
		return
	}
	s.arrive(e)
}

// arrive takes a job whose time has come.
func (s *schedule) arrive(e *entry) {
	e.at = time.Time{}
	if e.lane.name == "" {
		s.waiting[e.job.ID] = e
		heap.Push(&s.ready, e)
		return
	}
	l := s.lanes[e.lane.name]
	if l == nil {
		l = &lane{queue: entryHeap{less: bySeq}}
		s.lanes[e.lane.name] = l
	}
	if l.running < e.lane.limit && len(l.queue.entries) == 0 {
		l.running++
		s.waiting[e.job.ID] = e
		heap.Push(&s.ready, e)
		return
	}
	if len(l.queue.entries) >= e.lane.pending {
		delete(s.waiting, e.job.ID)
		s.refuse = append(s.refuse, refusal{e.job, e.lane, fmt.Sprintf("%d jobs already wait for %q", e.lane.pending, e.job.ConcurrencyKey)})
		return
	}
	s.waiting[e.job.ID] = e
	heap.Push(&l.queue, e)
}

// next hands over the job that runs next.
func (s *schedule) next(now time.Time) (job.Job, bool) {
	for len(s.times.entries) > 0 && !s.times.entries[0].at.After(now) {
		s.arrive(heap.Pop(&s.times).(*entry))
	}
	if len(s.ready.entries) == 0 {
		return job.Job{}, false
	}
	e := heap.Pop(&s.ready).(*entry)
	delete(s.waiting, e.job.ID)
	if e.lane.name != "" {
		s.holds[e.job.ID] = e.lane.name
	}
	return e.job, true
}

// refused hands over a job for which its lane had no room.
func (s *schedule) refused() (refusal, bool) {
	if len(s.refuse) == 0 {
		return refusal{}, false
	}
	first := s.refuse[0]
	s.refuse = s.refuse[1:]
	return first, true
}

// pause is how long nothing can become ready by itself.
func (s *schedule) pause(now time.Time) time.Duration {
	if len(s.times.entries) == 0 {
		return longestPause
	}
	return max(0, s.times.entries[0].at.Sub(now))
}

// done gives a job's place in its lane to the next.
func (s *schedule) done(id string) {
	name, ok := s.holds[id]
	if !ok {
		return
	}
	delete(s.holds, id)
	s.leave(name)
}

// leave frees one place of a lane.
func (s *schedule) leave(name string) {
	l := s.lanes[name]
	l.running--
	for len(l.queue.entries) > 0 && l.running < l.queue.entries[0].lane.limit {
		e := heap.Pop(&l.queue).(*entry)
		l.running++
		heap.Push(&s.ready, e)
	}
	if l.running == 0 && len(l.queue.entries) == 0 {
		delete(s.lanes, name)
	}
}

// remove takes out a job that waits.
func (s *schedule) remove(id string) (job.Job, bool) {
	e := s.waiting[id]
	if e == nil {
		return job.Job{}, false
	}
	delete(s.waiting, id)
	switch {
	case !e.at.IsZero():
		heap.Remove(&s.times, e.index)
	case e.lane.name != "" && e.in(&s.lanes[e.lane.name].queue):
		heap.Remove(&s.lanes[e.lane.name].queue, e.index)
	default:
		heap.Remove(&s.ready, e.index)
		if e.lane.name != "" {
			s.leave(e.lane.name)
		}
	}
	return e.job, true
}

func (e *entry) in(h *entryHeap) bool {
	return e.index >= 0 && e.index < len(h.entries) && h.entries[e.index] == e
}

// entryHeap implements heap.Interface.
type entryHeap struct {
	entries []*entry
	less    func(a, b *entry) bool
}

func byTime(a, b *entry) bool { return a.at.Before(b.at) }
func bySeq(a, b *entry) bool  { return a.job.Seq < b.job.Seq }

func (h *entryHeap) Len() int           { return len(h.entries) }
func (h *entryHeap) Less(i, j int) bool { return h.less(h.entries[i], h.entries[j]) }

func (h *entryHeap) Swap(i, j int) {
	h.entries[i], h.entries[j] = h.entries[j], h.entries[i]
	h.entries[i].index, h.entries[j].index = i, j
}

func (h *entryHeap) Push(x any) {
	e := x.(*entry)
	e.index = len(h.entries)
	h.entries = append(h.entries, e)
}

func (h *entryHeap) Pop() any {
	last := len(h.entries) - 1
	e := h.entries[last]
	h.entries[last] = nil
	h.entries = h.entries[:last]
	e.index = -1
	return e
}
