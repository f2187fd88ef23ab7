package job

import (
	"slices"
	"time"
)

// Decided hands out the first job that was decided to end.
func (f *Flow) Decided() (Decision, bool) {
	if len(f.decided) == 0 {
		return Decision{}, false
	}
	e := f.decided[0]
	f.decided[0] = nil
	f.decided = f.decided[1:]
	e.place = away
	return Decision{e.Waiting, e.next, e.by}, true
}

// HasDecided reports whether Decided would hand out a job.
func (f *Flow) HasDecided() bool { return len(f.decided) > 0 }

// Overtaken hands out the running jobs that are to end since it was last asked.
func (f *Flow) Overtaken() []Overtaken {
	out := f.overtaken
	f.overtaken = nil
	return out
}

// Delayed hands out the jobs that were found to be too early since it was last asked.
func (f *Flow) Delayed() []Delayed {
	out := f.postponed
	f.postponed = nil
	return out
}

// Withdraw hands out a job that waits. It is false for one that is away, decided or not here.
func (f *Flow) Withdraw(id string) (Waiting, bool) {
	e := f.entries[id]
	if e == nil || e.place > inParked {
		return Waiting{}, false
	}
	f.forget(e)
	e.place = away
	return e.Waiting, true
}

// Remove forgets a job that somebody else ended while it waited. One that is away is left.
func (f *Flow) Remove(id string) bool {
	if _, ok := f.Withdraw(id); !ok {
		return false
	}
	delete(f.entries, id)
	f.noteEnd(id)
	return true
}

// Done ends what Next, Decided or Withdraw began: the job's place in its lane is free. The job
// leaves, unless there is something to do again: what Add brought meanwhile, else again.
func (f *Flow) Done(id string, again *Waiting, now time.Time) {
	e := f.entries[id]
	if e == nil || e.place != away && e.place != runs {
		return
	}
	delete(f.entries, id)
	f.noteEnd(id)
	if e.place == runs {
		f.vacate(e, now)
	}
	switch {
	case e.again != nil:
		f.enter(f.arrival(*e.again, now), now)
	case again != nil:
		f.enter(&entry{Waiting: *again, number: e.number, rank: e.rank, expiry: -1}, now)
	}
}

// vacate frees the place of a job that ran.
func (f *Flow) vacate(e *entry, now time.Time) {
	l := f.lanes[e.Lane.id()]
	delete(l.running, e)
	if e.overtaken {
		l.ending--
	}
	f.settle(l)
	if e.Once == "" {
		return
	}
	if f.busy[e.Once]--; f.busy[e.Once] > 0 {
		return
	}
	delete(f.busy, e.Once)
	waiting := f.parked[e.Once]
	delete(f.parked, e.Once)
	slices.SortFunc(waiting, func(a, b *entry) int { return a.number.compare(b.number) })
	for _, w := range waiting {
		w.Kept = true // it was in its lane before
		f.arrive(w)
	}
}
