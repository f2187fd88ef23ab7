package job_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenterhook/tenterhook/internal/job"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// waiting makes a job that waits; its id is made of its place in the order.
func waiting(seq int64, l job.Lane) job.Waiting {
	return job.Waiting{Job: job.Job{ID: fmt.Sprint(seq), Seq: seq}, Lane: l}
}

// lane makes a lane of one rule.
func lane(key string, limit int, overflow job.Overflow) job.Lane {
	return job.Lane{Hook: "h", Rule: "r", Key: key, Limit: limit, Pending: 100, Overflow: overflow}
}

// started hands out what may run, in order.
func started(f *job.Flow, now time.Time) (ids []string) {
	for {
		j, ok := f.Next(now)
		if !ok {
			return ids
		}
		ids = append(ids, j.ID)
	}
}

// decided lets the jobs that were decided leave, and says what became of them.
func decided(f *job.Flow) (out []string) {
	for {
		d, ok := f.Decided()
		if !ok {
			return out
		}
		f.Done(d.Job.ID, nil, epoch)
		out = append(out, fmt.Sprintf("%s %s by %s", d.Job.ID, d.Next, d.By))
	}
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func add(f *job.Flow, l job.Lane, seqs ...int64) {
	for _, seq := range seqs {
		f.Add(waiting(seq, l), epoch)
	}
}

func TestFlow_JobsStartInTheOrderInWhichTheyArrived(t *testing.T) {
	f := job.NewFlow()
	add(f, job.Lane{}, 1, 2)
	add(f, job.Lane{Rule: "other"}, 3)
	add(f, job.Lane{}, 4)
	same(t, "started", started(f, epoch), []string{"1", "2", "3", "4"})
}

func TestFlow_ALaneRunsNoMoreThanItsLimitAndGoesOnInOrder(t *testing.T) {
	f := job.NewFlow()
	add(f, lane("k", 2, job.OverflowQueue), 1, 2, 3, 4)
	same(t, "started", started(f, epoch), []string{"1", "2"})
	f.Done("2", nil, epoch)
	same(t, "started after one was done", started(f, epoch), []string{"3"})
	f.Done("1", nil, epoch)
	f.Done("3", nil, epoch)
	same(t, "started after all were done", started(f, epoch), []string{"4"})
}

func TestFlow_AFullLaneDoesNotKeepOthersFromStarting(t *testing.T) {
	f := job.NewFlow()
	for seq := range int64(50) {
		add(f, lane("busy", 1, job.OverflowQueue), seq)
	}
	add(f, lane("idle", 1, job.OverflowQueue), 50)
	add(f, job.Lane{}, 51)
	same(t, "started", started(f, epoch), []string{"0", "50", "51"})
}

func TestFlow_RefusesAJobThatHasNowhereToWait(t *testing.T) {
	for _, tt := range []struct {
		name                 string
		limit, pending, jobs int
		overflow             job.Overflow
		want                 []string
	}{
		{"one may run and two wait", 1, 2, 5, job.OverflowQueue, []string{"3 skipped by 0", "4 skipped by 0"}},
		{"none may wait", 1, 9, 3, job.OverflowSkip, []string{"1 skipped by 0", "2 skipped by 0"}},
		{"none may wait beside two that run", 2, 9, 3, job.OverflowSkip, []string{"2 skipped by 0"}},
		{"all fit", 1, 2, 3, job.OverflowQueue, nil},
	} {
		for _, whenAdded := range []string{"before any starts", "after each that can has started"} {
			t.Run(tt.name+", "+whenAdded, func(t *testing.T) {
				f := job.NewFlow()
				for seq := range tt.jobs {
					add(f, job.Lane{Key: "k", Limit: tt.limit, Pending: tt.pending, Overflow: tt.overflow}, int64(seq))
					if whenAdded != "before any starts" {
						started(f, epoch)
					}
				}
				same(t, "HasDecided", f.HasDecided(), tt.want != nil)
				same(t, "decided", decided(f), tt.want)
			})
		}
	}
}

func TestFlow_NeverRefusesAJobThatIsKeptNorCountsItAgainstOthers(t *testing.T) {
	f, l := job.NewFlow(), job.Lane{Key: "k", Limit: 1, Pending: 1}
	again := waiting(0, l)
	again.Kept, again.Due = true, epoch.Add(time.Second)
	f.Add(again, epoch)
	add(f, l, 1)
	started(f, epoch)
	add(f, l, 2)
	now := epoch.Add(time.Second)
	same(t, "started", started(f, now), []string(nil))
	same(t, "decided", decided(f), []string(nil))
	f.Done("1", nil, now)
	same(t, "first after a kept one came back", started(f, now), []string{"0"})
	f.Add(waiting(3, l), now)
	same(t, "decided", decided(f), []string{"3 skipped by 0"})
}

func TestFlow_AJobWaitsForItsTimeAndHoldsNoPlaceMeanwhile(t *testing.T) {
	f, l := job.NewFlow(), lane("k", 1, job.OverflowQueue)
	add(f, l, 1)
	started(f, epoch)
	add(f, l, 2)
	retry := waiting(1, l)
	retry.Due, retry.Kept = epoch.Add(time.Minute), true
	f.Done("1", &retry, epoch)
	same(t, "started while the first waits for its time", started(f, epoch), []string{"2"})
	f.Done("2", nil, epoch)

	pause, ok := f.Until(epoch.Add(20 * time.Second))
	same(t, "Until", []any{pause, ok}, []any{40 * time.Second, true})
	same(t, "started too early", started(f, epoch.Add(time.Minute-1)), []string(nil))
	same(t, "started on time", started(f, epoch.Add(time.Minute)), []string{"1"})
	if _, ok := f.Until(epoch); ok {
		t.Error("Until reports a time though none waits for one")
	}
}

func TestFlow_AJobAddedWhileItIsAwayIsTakenWhenItIsDone(t *testing.T) {
	f, l := job.NewFlow(), lane("k", 1, job.OverflowQueue)
	add(f, l, 1)
	started(f, epoch)
	add(f, l, 1)
	same(t, "started while it runs", started(f, epoch), []string(nil))
	f.Done("1", nil, epoch)
	same(t, "started when it was done", started(f, epoch), []string{"1"})
	same(t, "Len", f.Len(), 1)
	f.Done("1", nil, epoch)
	same(t, "Len at the end", f.Len(), 0)
}

func TestFlow_AWithdrawnJobStartsOnlyWhenItIsPutBack(t *testing.T) {
	f := job.NewFlow()
	add(f, job.Lane{}, 1)
	w, ok := f.Withdraw("1")
	same(t, "Withdraw", ok, true)
	same(t, "started while withdrawn", started(f, epoch), []string(nil))
	if _, ok := f.Withdraw("1"); ok {
		t.Error("withdrawn twice")
	}
	same(t, "Len", f.Len(), 1)
	f.Done("1", &w, epoch)
	same(t, "started when put back", started(f, epoch), []string{"1"})
}

func TestFlow_TheLatestArrivalSetsTheBoundsOfItsLane(t *testing.T) {
	f := job.NewFlow()
	add(f, lane("k", 1, job.OverflowQueue), 1, 2)
	same(t, "started", started(f, epoch), []string{"1"})
	add(f, lane("k", 3, job.OverflowQueue), 3)
	same(t, "started with the limit raised", started(f, epoch), []string{"2", "3"})
	add(f, lane("k", 1, job.OverflowQueue), 4)
	f.Done("1", nil, epoch)
	f.Done("2", nil, epoch)
	same(t, "started with the limit lowered", started(f, epoch), []string(nil))
	f.Done("3", nil, epoch)
	same(t, "started when all had ended", started(f, epoch), []string{"4"})
}

func TestFlow_OnlyTheNewestWaits(t *testing.T) {
	f, l := job.NewFlow(), lane("k", 1, job.OverflowNewest)
	add(f, l, 1)
	same(t, "started", started(f, epoch), []string{"1"})
	add(f, l, 2, 3, 4)
	same(t, "decided", decided(f), []string{"2 superseded by 3", "3 superseded by 4"})
	same(t, "overtaken", f.Overtaken(), []job.Overtaken(nil))
	f.Done("1", nil, epoch)
	same(t, "started after the first", started(f, epoch), []string{"4"})
}

func TestFlow_JobsForWhichThereIsRoomAreNotReplaced(t *testing.T) {
	f, l := job.NewFlow(), lane("k", 2, job.OverflowNewest)
	add(f, l, 1, 2, 3)
	same(t, "decided", decided(f), []string{"1 superseded by 3"})
	same(t, "started", started(f, epoch), []string{"2", "3"})
}

func TestFlow_ARetryIsReplacedByANewerJobEvenWhenThatHasEnded(t *testing.T) {
	f, l := job.NewFlow(), lane("k", 1, job.OverflowNewest)
	add(f, l, 1)
	started(f, epoch)
	retry := waiting(1, l)
	retry.Kept, retry.Due = true, epoch.Add(time.Minute)
	f.Done("1", &retry, epoch)
	add(f, l, 2)
	same(t, "decided", decided(f), []string{"1 superseded by 2"})
	same(t, "started", started(f, epoch.Add(time.Hour)), []string{"2"})
}

func TestFlow_TheNewestRunsWhenTheOneThatRanIsReallyGone(t *testing.T) {
	f, l := job.NewFlow(), lane("k", 1, job.OverflowCancel)
	add(f, l, 1)
	started(f, epoch)
	add(f, l, 2)
	same(t, "overtaken", f.Overtaken(), []job.Overtaken{{Job: "1", By: "2"}})
	add(f, l, 3)
	same(t, "overtaken again", f.Overtaken(), []job.Overtaken(nil))
	same(t, "decided", decided(f), []string{"2 superseded by 3"})
	same(t, "started before it is gone", started(f, epoch), []string(nil))
	f.Done("1", nil, epoch)
	same(t, "started", started(f, epoch), []string{"3"})
	same(t, "overtaken at the end", f.Overtaken(), []job.Overtaken(nil))
}

func TestFlow_AThrottleDelaysStartsAndLetsOthersPass(t *testing.T) {
	f := job.NewFlow()
	for seq := range int64(4) {
		w := waiting(seq, lane("", 0, ""))
		w.Throttle, w.ThrottleKey = &job.Pace{Limit: 6, Per: time.Minute, Burst: 2}, "k"
		f.Add(w, epoch)
	}
	add(f, job.Lane{Rule: "other"}, 9)
	same(t, "started at once", started(f, epoch), []string{"0", "1", "9"})
	same(t, "delayed", f.Delayed(), []job.Delayed{{Job: "2", Until: epoch.Add(10 * time.Second)}})
	pause, _ := f.Until(epoch)
	same(t, "Until", pause, 10*time.Second)
	same(t, "started too early", started(f, epoch.Add(10*time.Second-1)), []string(nil))
	same(t, "started in time", started(f, epoch.Add(10*time.Second)), []string{"2"})
	same(t, "started at the end", started(f, epoch.Add(time.Minute)), []string{"3"})
}

func TestFlow_JobsOfOneOnceDoNotRunBesideEachOther(t *testing.T) {
	f := job.NewFlow()
	for seq := range int64(3) {
		w := waiting(seq, lane("", 0, ""))
		w.Once = []string{"paid-1", "paid-1", "paid-2"}[seq]
		f.Add(w, epoch)
	}
	same(t, "started", started(f, epoch), []string{"0", "2"})
	f.Done("0", nil, epoch)
	same(t, "started when it had ended", started(f, epoch), []string{"1"})
}

func TestFlow_AJobThatDidNotStartInTimeExpiresWhereverItWaits(t *testing.T) {
	f := job.NewFlow()
	for seq, l := range []job.Lane{lane("k", 1, ""), lane("k", 1, ""), lane("", 0, ""), lane("", 0, "")} {
		w := waiting(int64(seq), l)
		w.Expires = epoch.Add(time.Minute)
		if seq == 2 {
			w.Due = epoch.Add(time.Hour)
		}
		if seq == 3 {
			w.Expires = time.Time{}
		}
		f.Add(w, epoch)
	}
	same(t, "started", started(f, epoch), []string{"0", "3"})
	pause, _ := f.Until(epoch)
	same(t, "Until", pause, time.Minute)
	same(t, "started later", started(f, epoch.Add(time.Minute)), []string(nil))
	ends := decided(f)
	slices.Sort(ends)
	same(t, "decided", ends, []string{"1 expired by ", "2 expired by "})
}

func TestFlow_AHeadStartCountsForItsSecondsAndNoMore(t *testing.T) {
	f, l := job.NewFlow(), lane("", 0, "")
	put := func(seq int64, priority int, after time.Duration) {
		w := waiting(seq, l)
		w.Job.Keys.Priority, w.Job.CreatedAt = priority, epoch.Add(after)
		f.Add(w, epoch.Add(after))
	}
	put(1, 0, 0)
	put(2, 60, 59*time.Second)
	put(3, 60, 61*time.Second)
	put(4, -600, 62*time.Second)
	put(5, 0, 63*time.Second)
	put(6, 99999, 700*time.Second)
	same(t, "started", started(f, epoch.Add(time.Hour)), []string{"2", "1", "3", "5", "6", "4"})
}

func TestFlow_APausedRuleStartsNothingAndGoesOnWhereItWas(t *testing.T) {
	f := job.NewFlow()
	f.SetPaused([][2]string{{"h", "r"}, {"g", ""}})
	add(f, lane("k", 1, ""), 1, 2)
	add(f, job.Lane{Hook: "g", Rule: "any"}, 3)
	add(f, job.Lane{Hook: "h", Rule: "other"}, 4)
	same(t, "started", started(f, epoch), []string{"4"})
	f.SetPaused([][2]string{{"g", ""}})
	same(t, "started when resumed", started(f, epoch), []string{"1"})
	f.SetPaused(nil)
	same(t, "started when all are resumed", started(f, epoch), []string{"3"})
}

func TestFlow_AJobThatIsNotDueTakesTheTimeItIsGivenLast(t *testing.T) {
	f := job.NewFlow()
	w := waiting(1, lane("", 0, ""))
	w.Due = epoch.Add(5 * time.Second)
	f.Add(w, epoch)
	w.Due = epoch.Add(8 * time.Second)
	f.Add(w, epoch)
	same(t, "Len", []int{f.Len(), f.Later()}, []int{1, 1})
	same(t, "started", started(f, epoch.Add(7*time.Second)), []string(nil))
	same(t, "started", started(f, epoch.Add(8*time.Second)), []string{"1"})
}

func TestFlow_ForgetsWhatIsOver(t *testing.T) {
	f := job.NewFlow()
	for i := range int64(10_000) {
		w := waiting(i, lane(fmt.Sprint(i), 1, job.OverflowNewest))
		w.Throttle, w.ThrottleKey, w.Once = &job.Pace{Limit: 1, Per: time.Second, Burst: 1}, fmt.Sprint(i), fmt.Sprint(i)
		now := epoch.Add(time.Duration(i) * time.Second)
		f.Add(w, now)
		if i%2 == 0 {
			f.Withdraw(w.Job.ID)
		} else {
			f.Next(now)
		}
		f.Done(w.Job.ID, nil, now)
	}
	if n := f.Remembers(); n > 200 {
		t.Errorf("%d things are remembered of jobs that are over", n)
	}
}

// BenchmarkFlow takes one job in and out beside 100,000 that wait.
func TestFlow_SoonAreTheNextInTheirOrder(t *testing.T) {
	f := job.NewFlow()
	add(f, lane("one at a time", 1, job.OverflowQueue), 1, 2, 3)
	add(f, lane("other", 0, ""), 4, 5, 6, 7, 8, 9, 10, 11, 12)
	var soon []string
	for _, j := range f.Soon(7) {
		soon = append(soon, j.ID)
	}
	next := started(f, epoch)
	same(t, "the next", soon, next[:7])
}

func BenchmarkFlow(b *testing.B) {
	for _, keys := range []int{0, 1, 1000} {
		b.Run(fmt.Sprintf("%d keys", keys), func(b *testing.B) {
			f := job.NewFlow()
			seq := int64(0)
			add := func() {
				w := waiting(seq, job.Lane{})
				if keys > 0 {
					w.Lane = job.Lane{Key: fmt.Sprint(seq % int64(keys)), Limit: 1, Pending: 1 << 30}
				}
				seq++
				f.Add(w, epoch)
			}
			for range 100_000 {
				add()
			}
			b.ReportAllocs()
			for b.Loop() {
				add()
				j, ok := f.Next(epoch)
				if !ok {
					b.Fatal("nothing may run")
				}
				f.Done(j.ID, nil, epoch)
			}
		})
	}
}

// late is a job that was stored before others and is told of after them.
func late(seq int64, l job.Lane) job.Waiting {
	w := waiting(seq, l)
	w.BySeq = true
	return w
}

func TestFlow_ALateJobTakesItsPlaceByItsSeq(t *testing.T) {
	f := job.NewFlow()
	for _, seq := range []int64{1, 5, 3, 4, 2} {
		f.Add(late(seq, lane("k", 1, job.OverflowQueue)), epoch.Add(time.Duration(seq)*time.Second))
	}
	var order []string
	for range 5 {
		j, _ := f.Next(epoch.Add(time.Minute))
		order = append(order, j.ID)
		f.Done(j.ID, nil, epoch)
	}
	same(t, "order", order, []string{"1", "2", "3", "4", "5"})
}

func TestFlow_ALateJobSupersedesNoneThatCameAfterIt(t *testing.T) {
	for _, overflow := range []job.Overflow{job.OverflowNewest, job.OverflowCancel} {
		f := job.NewFlow()
		l := lane("k", 1, overflow)
		f.Add(late(1, l), epoch)
		same(t, "started", started(f, epoch), []string{"1"})
		f.Add(late(3, l), epoch)
		f.Add(late(2, l), epoch)
		same(t, "decided", decided(f), []string{"2 superseded by 3"})
		f.Done("1", nil, epoch)
		same(t, "started then", started(f, epoch), []string{"3"})
		f.Add(late(0, l), epoch)
		same(t, "decided while a newer one runs", decided(f), []string{"0 superseded by 3"})
	}
}

// A job is queued again by a person: it is the newest, whatever its Seq.
func TestFlow_AJobThatIsAddedAnewIsTheNewestAlsoAmongLateOnes(t *testing.T) {
	f := job.NewFlow()
	l := lane("k", 1, job.OverflowNewest)
	f.Add(late(5, l), epoch)
	same(t, "started", started(f, epoch), []string{"5"})
	f.Add(late(7, l), epoch)
	f.Add(waiting(2, l), epoch)
	same(t, "decided", decided(f), []string{"7 superseded by 2"})
	f.Add(late(6, l), epoch)
	same(t, "decided", decided(f), []string{"6 superseded by 2"})
	f.Add(late(8, l), epoch)
	same(t, "decided", decided(f), []string{"2 superseded by 8"})
}

func TestFlow_TellsWhichJobsEndedWhileItWasWatched(t *testing.T) {
	f := job.NewFlow()
	add(f, lane("k", 1, job.OverflowQueue), 1, 2, 3, 4)
	started(f, epoch)
	f.Done("1", nil, epoch)
	f.Watch()
	started(f, epoch)
	f.Done("2", &job.Waiting{Job: job.Job{ID: "2", Seq: 2}, Lane: lane("k", 1, job.OverflowQueue)}, epoch)
	f.Remove("4")
	got := []bool{f.Ended("1"), f.Ended("2"), f.Ended("3"), f.Ended("4")}
	same(t, "ended", got, []bool{false, true, false, true})
	f.Ignore()
	same(t, "ended after it was watched", f.Ended("2"), false)
}
