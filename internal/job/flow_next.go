package job

import (
	"container/heap"
	"slices"
	"time"
)

// Next hands out the job that runs now, if any may.
func (f *Flow) Next(now time.Time) (Job, bool) {
	w, ok := f.NextFor(now, func(Site) bool { return true })
	return w.Job, ok
}

// NextFor is Next of the jobs whose lane is of a site that has room.
func (f *Flow) NextFor(now time.Time, room func(Site) bool) (Waiting, bool) {
	f.wake(now)
	for i, e := range f.resumed {
		if e.Held || room(e.Lane.On) {
			f.resumed = slices.Delete(f.resumed, i, i+1)
			return e.Waiting, true
		}
	}
	full := map[Site]bool{}
	for {
		l := f.first(full, room)
		if l == nil {
			return Waiting{}, false
		}
		e := l.queue.items[0]
		if wait := f.tooEarly(e, now); wait > 0 {
			f.postpone(e, now.Add(wait))
			f.delay(l, now.Add(wait))
			continue
		}
		if e.Once != "" && f.busy[e.Once] > 0 {
			f.leaveQueue(l, e)
			f.park(e)
			f.settle(l)
			continue
		}
		f.count(e, now)
		f.begin(l, e)
		return e.Waiting, true
	}
}

// first is the lane whose first job is next, of those that may run somewhere; nil for none. It
// notes what it was told to be full.
func (f *Flow) first(full map[Site]bool, room func(Site) bool) *lane {
	var first *lane
	for on, lanes := range f.open {
		if len(lanes.items) == 0 {
			delete(f.open, on)
			continue
		}
		if l := lanes.items[0]; !full[on] && (first == nil || before(l.queue.items[0], first.queue.items[0])) {
			if room(on) {
				first = l
			} else {
				full[on] = true
			}
		}
	}
	return first
}

func (f *Flow) begin(l *lane, e *entry) {
	if e.expiry >= 0 {
		heap.Remove(&f.expiring, e.expiry)
	}
	f.leaveQueue(l, e)
	e.place = runs
	l.running[e] = struct{}{}
	if e.Once != "" {
		f.busy[e.Once]++
	}
	f.settle(l)
}

// park lets a job wait for the end of the one that runs with its Once.
func (f *Flow) park(e *entry) {
	e.place = inParked
	f.parked[e.Once] = append(f.parked[e.Once], e)
}

// tooEarly is how long a job must wait for its pace.
func (f *Flow) tooEarly(e *entry, now time.Time) time.Duration {
	if e.Throttle == nil {
		return 0
	}
	_, wait := e.Throttle.Take(f.pace[e.ThrottleKey], now)
	return wait
}

// count counts the start of a job for its pace.
func (f *Flow) count(e *entry, now time.Time) {
	if e.Throttle == nil {
		return
	}
	f.pace[e.ThrottleKey], _ = e.Throttle.Take(f.pace[e.ThrottleKey], now)
	if len(f.pace) <= 2*f.swept+64 {
		return
	}
	for key, at := range f.pace {
		if at.Before(now) {
			delete(f.pace, key)
		}
	}
	f.swept = len(f.pace)
}

// Pace tells what was started before: at is what Pace.Take returned for the key's last start.
func (f *Flow) Pace(throttleKey string, at time.Time) {
	if at.After(f.pace[throttleKey]) {
		f.pace[throttleKey] = at
	}
}

// postpone notes what Delayed tells, once for each time that differs by a second or more.
func (f *Flow) postpone(e *entry, until time.Time) {
	if until.Sub(e.postponed).Abs() >= time.Second {
		e.postponed = until
		f.postponed = append(f.postponed, Delayed{e.Job.ID, until})
	}
}

// wake lets time pass: jobs expire, arrive because they have become due, and lanes open whose
// first job may start.
func (f *Flow) wake(now time.Time) {
	for len(f.expiring.items) > 0 && !f.expiring.items[0].Expires.After(now) {
		e := f.expiring.items[0]
		f.forget(e)
		f.decide(e, Expired, "")
	}
	for len(f.later.items) > 0 && !f.later.items[0].Due.After(now) {
		e := heap.Pop(&f.later).(*entry)
		if l := f.lanes[e.Lane.id()]; l != nil {
			delete(l.retries, e)
		}
		f.arrive(e)
	}
	for len(f.delayed.items) > 0 && !f.delayed.items[0].until.After(now) {
		f.settle(f.delayed.items[0])
	}
}

// Soon is a good guess at the jobs that Next hands out next, at most n. It changes nothing.
func (f *Flow) Soon(n int) (jobs []*Job) {
	// A frontier of the heaps: whoever comes after an item is behind it.
	type step struct {
		lanes      *heapOf[*lane]
		lane, item int
	}
	var frontier []step
	add := func(lanes *heapOf[*lane], lane, item int) {
		if lane < len(lanes.items) && item < len(lanes.items[lane].queue.items) {
			frontier = append(frontier, step{lanes, lane, item})
		}
	}
	for _, lanes := range f.open {
		add(lanes, 0, 0)
	}
	at := func(s step) *entry { return s.lanes.items[s.lane].queue.items[s.item] }
	for len(frontier) > 0 && len(jobs) < n {
		first := 0
		for i := range frontier {
			if before(at(frontier[i]), at(frontier[first])) {
				first = i
			}
		}
		s := frontier[first]
		frontier = slices.Delete(frontier, first, first+1)
		jobs = append(jobs, &at(s).Job)
		if s.lanes.items[s.lane].Limit <= 0 { // of others, the next one waits for this one's end
			add(s.lanes, s.lane, 2*s.item+1)
			add(s.lanes, s.lane, 2*s.item+2)
		}
		if s.item == 0 {
			add(s.lanes, 2*s.lane+1, 0)
			add(s.lanes, 2*s.lane+2, 0)
		}
	}
	return jobs
}

// Until is how long Next cannot hand out more by itself; false when only Add or Done can change
// that.
func (f *Flow) Until(now time.Time) (time.Duration, bool) {
	var first time.Time
	soonest := func(at time.Time) {
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	if len(f.later.items) > 0 {
		soonest(f.later.items[0].Due)
	}
	if len(f.expiring.items) > 0 {
		soonest(f.expiring.items[0].Expires)
	}
	if len(f.delayed.items) > 0 {
		soonest(f.delayed.items[0].until)
	}
	return max(0, first.Sub(now)), !first.IsZero()
}
