package job_test

import (
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
)

func TestFlow_NamesWhatAJobWaitsFor(t *testing.T) {
	f := job.NewFlow()
	full := lane("k", 1, job.OverflowQueue)
	add(f, full, 1, 2, 3)
	later := waiting(4, full)
	later.Due = epoch.Add(time.Minute)
	f.Add(later, epoch)
	free := job.Lane{Hook: "h", Rule: "free"}
	add(f, free, 5)
	for _, seq := range []int64{6, 8} {
		paced := waiting(seq, job.Lane{Hook: "h", Rule: "paced"})
		paced.Throttle, paced.ThrottleKey = &job.Pace{Limit: 1, Per: time.Hour}, "t"
		f.Add(paced, epoch)
	}
	stopped := job.Lane{Hook: "h", Rule: "stopped"}
	add(f, stopped, 7)
	f.SetPaused([][2]string{{"h", "stopped"}})

	wait := func(id string) job.Wait {
		w, ok := f.Wait(id)
		if !ok {
			t.Errorf("job %s does not wait", id)
		}
		return w
	}
	same(t, "before anything runs", wait("5"), job.Wait{For: job.WaitWorker})
	same(t, "started", started(f, epoch), []string{"1", "5", "6"})
	same(t, "behind one that runs", wait("2"), job.Wait{For: job.WaitLane, By: []string{"1"}})
	same(t, "behind another too", wait("3"), job.Wait{For: job.WaitLane, By: []string{"1"}, Ahead: 1})
	same(t, "not due", wait("4"), job.Wait{For: job.WaitTime, Until: epoch.Add(time.Minute)})
	same(t, "paused", wait("7"), job.Wait{For: job.WaitPause})
	if w := wait("8"); w.For != job.WaitTime || !w.Until.After(epoch) {
		t.Errorf("a job whose pace is used up waits for %+v", w)
	}
	for _, id := range []string{"1", "5", "6", "none"} {
		if w, ok := f.Wait(id); ok {
			t.Errorf("job %s waits for %+v", id, w)
		}
	}
	if oldest, ok := f.Oldest(); !ok || oldest.ID != "2" {
		t.Errorf("the oldest that is due is %q, want 2", oldest.ID)
	}
}

func TestFlow_NamesTheOnceThatAJobWaitsFor(t *testing.T) {
	f := job.NewFlow()
	l := job.Lane{Hook: "h", Rule: "r"}
	for seq := range int64(2) {
		w := waiting(seq, l)
		w.Once = "order-7"
		f.Add(w, epoch)
	}
	same(t, "started", started(f, epoch), []string{"0"})
	w, ok := f.Wait("1")
	if !ok || w.For != job.WaitOnce {
		t.Errorf("the second waits for %+v", w)
	}
}
