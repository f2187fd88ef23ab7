package job

import (
	"slices"
	"time"
)

// WaitFor says what a job waits for.
type WaitFor string

// What a job waits for.
const (
	WaitTime   WaitFor = "time"   // until a moment: a retry's pause, a burst's end, a throttle
	WaitPause  WaitFor = "pause"  // its hook or rule is paused
	WaitLane   WaitFor = "lane"   // its lane is held by jobs that run
	WaitOnce   WaitFor = "once"   // a job of the same once key runs
	WaitTurn   WaitFor = "turn"   // others of its lane are before it
	WaitWorker WaitFor = "worker" // nothing but a worker that is free
	WaitNode   WaitFor = "node"   // there is no node that it can run on
)

// Wait is what keeps a job from starting now.
type Wait struct {
	For   WaitFor
	Until time.Time // with WaitTime: when it may start
	By    []string  // with WaitLane: the jobs that hold the lane; at most MaxHolders
	Ahead int       // jobs of its lane that start before it
	On    Site      // with WaitNode and WaitWorker: where it can run
}

// MaxHolders bounds Wait.By.
const MaxHolders = 8

// Wait says what keeps a job from starting. It is false for one that does not wait.
func (f *Flow) Wait(id string) (Wait, bool) {
	e := f.entries[id]
	if e == nil || e.place > inParked {
		return Wait{}, false
	}
	switch e.place {
	case inLater:
		return Wait{For: WaitTime, Until: e.Due}, true
	case inParked:
		return Wait{For: WaitOnce}, true
	}
	l := f.lanes[e.Lane.id()]
	w := Wait{For: WaitWorker, On: l.On}
	for _, other := range l.queue.items {
		if other != e && before(other, e) {
			w.Ahead++
		}
	}
	switch {
	case f.isPaused(l.Lane):
		w.For = WaitPause
	case l.room() == 0:
		w.For = WaitLane
		for holder := range l.running {
			w.By = append(w.By, holder.Job.ID)
		}
		slices.Sort(w.By)
		w.By = w.By[:min(len(w.By), MaxHolders)]
	case l.in == &f.delayed:
		w.For, w.Until = WaitTime, l.until
	case w.Ahead > 0:
		w.For = WaitTurn
	}
	return w, true
}

// Oldest is the job that has waited longest of those that are due, false when there is none. It
// looks at each job that waits.
func (f *Flow) Oldest() (Job, bool) {
	var oldest *entry
	for _, e := range f.entries {
		if (e.place == inLane || e.place == inParked) && (oldest == nil || e.number.before(oldest.number)) {
			oldest = e
		}
	}
	if oldest == nil {
		return Job{}, false
	}
	return oldest.Job, true
}
