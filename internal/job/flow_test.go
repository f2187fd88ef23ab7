package job_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tenterhook/tenterhook/internal/job"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// waiting makes a job that waits; its id is made of its place in the order.
func waiting(seq int64, l job.Lane) job.Waiting {
	return job.Waiting{Job: job.Job{ID: fmt.Sprint(seq), Seq: seq}, Lane: l}
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

func refused(f *job.Flow) (ids []string) {
	for {
		w, ok := f.Refused()
		if !ok {
			return ids
		}
		ids = append(ids, w.Job.ID)
	}
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func TestFlow_JobsWithoutALaneStartInTheOrderOfTheirSeq(t *testing.T) {
	f := job.NewFlow()
	for _, seq := range []int64{3, 1, 2} {
		f.Add(waiting(seq, job.Lane{}), epoch)
	}
	same(t, "started", started(f, epoch), []string{"1", "2", "3"})
}

func TestFlow_ALaneRunsNoMoreThanItsLimitAndGoesOnInOrder(t *testing.T) {
	f, two := job.NewFlow(), job.Lane{Key: "k", Limit: 2, Pending: 100}
	for _, seq := range []int64{4, 2, 3, 1} {
		f.Add(waiting(seq, two), epoch)
	}
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
		f.Add(waiting(seq, job.Lane{Key: "busy", Limit: 1, Pending: 100}), epoch)
	}
	f.Add(waiting(50, job.Lane{Key: "idle", Limit: 1}), epoch)
	f.Add(waiting(51, job.Lane{}), epoch)
	same(t, "started", started(f, epoch), []string{"0", "50", "51"})
}

func TestFlow_RefusesAJobThatHasNowhereToWait(t *testing.T) {
	for _, tt := range []struct {
		name                 string
		limit, pending, jobs int
		want                 []string
	}{
		{"one may run and two wait", 1, 2, 5, []string{"3", "4"}},
		{"none may wait", 1, 0, 3, []string{"1", "2"}},
		{"none may wait beside two that run", 2, 0, 3, []string{"2"}},
		{"all fit", 1, 2, 3, nil},
	} {
		for _, whenAdded := range []string{"before any starts", "after each that can has started"} {
			t.Run(tt.name+", "+whenAdded, func(t *testing.T) {
				f := job.NewFlow()
				for seq := range tt.jobs {
					f.Add(waiting(int64(seq), job.Lane{Key: "k", Limit: tt.limit, Pending: tt.pending}), epoch)
					if whenAdded != "before any starts" {
						started(f, epoch)
					}
				}
				same(t, "HasRefused", f.HasRefused(), tt.want != nil)
				same(t, "refused", refused(f), tt.want)
			})
		}
	}
}

func TestFlow_NeverRefusesAJobThatIsKeptNorCountsItAgainstOthers(t *testing.T) {
	f, l := job.NewFlow(), job.Lane{Key: "k", Limit: 1, Pending: 1}
	f.Add(waiting(1, l), epoch)
	started(f, epoch)
	f.Add(waiting(2, l), epoch)
	again := waiting(0, l)
	again.Kept = true
	f.Add(again, epoch)
	same(t, "refused", refused(f), []string(nil))
	f.Done("1", nil, epoch)
	same(t, "first after a kept one came back", started(f, epoch), []string{"0"})
	f.Add(waiting(3, l), epoch)
	same(t, "refused", refused(f), []string{"3"})
}

func TestFlow_AJobWaitsForItsTimeAndHoldsNoPlaceMeanwhile(t *testing.T) {
	f, l := job.NewFlow(), job.Lane{Key: "k", Limit: 1, Pending: 10}
	f.Add(waiting(1, l), epoch)
	started(f, epoch)
	f.Add(waiting(2, l), epoch)
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
	f, l := job.NewFlow(), job.Lane{Key: "k", Limit: 1}
	f.Add(waiting(1, l), epoch)
	started(f, epoch)
	f.Add(waiting(1, l), epoch)
	same(t, "started while it runs", started(f, epoch), []string(nil))
	f.Done("1", nil, epoch)
	same(t, "started when it was done", started(f, epoch), []string{"1"})
	same(t, "Len", f.Len(), 1)
	f.Done("1", nil, epoch)
	same(t, "Len at the end", f.Len(), 0)
}

func TestFlow_AWithdrawnJobStartsOnlyWhenItIsPutBack(t *testing.T) {
	f := job.NewFlow()
	f.Add(waiting(1, job.Lane{}), epoch)
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
	f.Add(waiting(1, job.Lane{Key: "k", Limit: 1, Pending: 9}), epoch)
	f.Add(waiting(2, job.Lane{Key: "k", Limit: 1, Pending: 9}), epoch)
	same(t, "started", started(f, epoch), []string{"1"})
	f.Add(waiting(3, job.Lane{Key: "k", Limit: 3, Pending: 9}), epoch)
	same(t, "started with the limit raised", started(f, epoch), []string{"2", "3"})
	f.Add(waiting(4, job.Lane{Key: "k", Limit: 1, Pending: 9}), epoch)
	f.Done("1", nil, epoch)
	f.Done("2", nil, epoch)
	same(t, "started with the limit lowered", started(f, epoch), []string(nil))
	f.Done("3", nil, epoch)
	same(t, "started when all had ended", started(f, epoch), []string{"4"})
}

// TestFlow_AgreesWithAModel walks a Flow at random beside a model that is written for clarity
// alone. Its checks say what a Flow promises: no lane above its limit, the order of Seq, no job
// lost or handed out twice, and never an idle worker while something may run.
func TestFlow_AgreesWithAModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &flowModel{flow: job.NewFlow(), now: epoch, lanes: map[string]job.Lane{}}
		rt.Repeat(map[string]func(*rapid.T){
			"add": m.add, "next": m.next, "refused": m.refuse, "withdraw": m.withdraw,
			"done": m.done, "wait": m.wait, "": m.agree,
		})
		m.drain(rt)
	})
}

type flowModel struct {
	flow  *job.Flow
	now   time.Time
	jobs  []*modelJob // those that are here
	lanes map[string]job.Lane
	seq   int64
}

type modelJob struct {
	job.Waiting
	where string // later, lane, refused, away, runs
	again *job.Waiting
}

func (m *flowModel) find(id string) *modelJob {
	for _, j := range m.jobs {
		if j.Job.ID == id {
			return j
		}
	}
	return nil
}

// in returns the jobs in one of the places, by Seq.
func (m *flowModel) in(places ...string) (out []*modelJob) {
	for _, j := range m.jobs {
		if slices.Contains(places, j.where) {
			out = append(out, j)
		}
	}
	slices.SortFunc(out, func(a, b *modelJob) int { return int(a.Job.Seq - b.Job.Seq) })
	return out
}

func (m *flowModel) count(place, key string, fresh bool) (n int) {
	for _, j := range m.in(place) {
		if j.Lane.Key == key && !(fresh && j.Kept) {
			n++
		}
	}
	return n
}

func (m *flowModel) draw(t *rapid.T, id string, seq int64) job.Waiting {
	w := job.Waiting{Job: job.Job{ID: id, Seq: seq}, Kept: rapid.Bool().Draw(t, "kept")}
	if key := rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "key"); key != "" {
		w.Lane = job.Lane{Key: key, Limit: rapid.IntRange(1, 3).Draw(t, "limit"), Pending: rapid.IntRange(0, 3).Draw(t, "pending")}
	}
	if rapid.Bool().Draw(t, "later") {
		w.Due = m.now.Add(time.Duration(rapid.IntRange(-1, 4).Draw(t, "due")) * time.Second)
	}
	return w
}

func (m *flowModel) add(t *rapid.T) {
	seq, id := m.seq, fmt.Sprint(m.seq)
	if len(m.jobs) > 0 && rapid.IntRange(0, 3).Draw(t, "known") == 0 {
		known := rapid.SampledFrom(m.jobs).Draw(t, "job").Job
		seq, id = known.Seq, known.ID
	} else {
		m.seq++
	}
	w := m.draw(t, id, seq)
	m.flow.Add(w, m.now)
	switch j := m.find(id); {
	case j == nil:
		m.enter(w)
	case j.where == "away" || j.where == "runs":
		j.again = &w
	}
}

func (m *flowModel) enter(w job.Waiting) {
	j := &modelJob{Waiting: w, where: "later"}
	m.jobs = append(m.jobs, j)
	if !w.Due.After(m.now) {
		m.arrive(j)
	}
}

func (m *flowModel) arrive(j *modelJob) {
	key := j.Lane.Key
	m.lanes[key] = j.Lane
	room := max(0, j.Lane.Limit-m.count("runs", key, false))
	j.where = "lane"
	if key != "" && !j.Kept && m.count("lane", key, true)-1 >= room+j.Lane.Pending {
		j.where = "refused"
	}
}

// expected is the job that Next must hand out: of all that may run, the first.
func (m *flowModel) expected() *modelJob {
	due := m.in("later")
	slices.SortStableFunc(due, func(a, b *modelJob) int { return a.Due.Compare(b.Due) })
	for _, j := range due {
		if !j.Due.After(m.now) {
			m.arrive(j)
		}
	}
	for _, j := range m.in("lane") {
		if key := j.Lane.Key; key == "" || m.count("runs", key, false) < m.lanes[key].Limit {
			return j
		}
	}
	return nil
}

func (m *flowModel) next(t *rapid.T) {
	got, ok := m.flow.Next(m.now)
	want := m.expected()
	if ok != (want != nil) || ok && got.ID != want.Job.ID {
		t.Fatalf("Next handed out %q, %t; want %+v", got.ID, ok, want)
	}
	if ok {
		want.where = "runs"
	}
}

func (m *flowModel) refuse(t *rapid.T) {
	got, ok := m.flow.Refused()
	all := m.in("refused")
	if ok != (len(all) > 0) || ok && got.Job.ID != all[0].Job.ID {
		t.Fatalf("Refused handed out %q, %t; want the first of %d", got.Job.ID, ok, len(all))
	}
	if ok {
		all[0].where = "away"
	}
}

func (m *flowModel) withdraw(t *rapid.T) {
	if len(m.jobs) == 0 {
		t.Skip("nothing here")
	}
	j := rapid.SampledFrom(m.jobs).Draw(t, "job")
	got, ok := m.flow.Withdraw(j.Job.ID)
	if waits := j.where != "away" && j.where != "runs"; ok != waits || ok && got != j.Waiting {
		t.Fatalf("Withdraw(%s) of a job in %s: %+v, %t", j.Job.ID, j.where, got, ok)
	}
	if ok {
		j.where = "away"
	}
}

func (m *flowModel) done(t *rapid.T) {
	out := m.in("away", "runs")
	if len(out) == 0 {
		t.Skip("nothing is away")
	}
	j := rapid.SampledFrom(out).Draw(t, "job")
	var again *job.Waiting
	if rapid.Bool().Draw(t, "again") {
		w := m.draw(t, j.Job.ID, j.Job.Seq)
		again = &w
	}
	m.flow.Done(j.Job.ID, again, m.now)
	m.jobs = slices.DeleteFunc(m.jobs, func(o *modelJob) bool { return o == j })
	if j.again != nil {
		again = j.again
	}
	if again != nil {
		m.enter(*again)
	}
}

func (m *flowModel) wait(t *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "seconds")) * time.Second)
}

func (m *flowModel) agree(t *rapid.T) {
	if m.flow.Len() != len(m.jobs) || m.flow.Later() != len(m.in("later")) || m.flow.HasRefused() != (len(m.in("refused")) > 0) {
		t.Fatalf("Len %d, Later %d, HasRefused %t; want %d, %d, %d", m.flow.Len(), m.flow.Later(), m.flow.HasRefused(),
			len(m.jobs), len(m.in("later")), len(m.in("refused")))
	}
	var first time.Duration
	later := m.in("later")
	for i, j := range later {
		if pause := max(0, j.Due.Sub(m.now)); i == 0 || pause < first {
			first = pause
		}
	}
	if pause, ok := m.flow.Until(m.now); ok != (len(later) > 0) || pause != first {
		t.Fatalf("Until %s, %t; want %s of %d", pause, ok, first, len(later))
	}
}

// drain lets everything run to its end: nothing may be left.
func (m *flowModel) drain(t *rapid.T) {
	m.now = m.now.Add(time.Hour)
	for range 10 * (len(m.jobs) + 1) {
		m.next(t)
		m.refuse(t)
		for _, j := range m.in("away", "runs") {
			m.flow.Done(j.Job.ID, nil, m.now)
			m.jobs = slices.DeleteFunc(m.jobs, func(o *modelJob) bool { return o == j })
			if j.again != nil {
				m.enter(*j.again)
			}
		}
	}
	if m.flow.Len() != 0 {
		t.Fatalf("%d jobs never ran", m.flow.Len())
	}
}

// BenchmarkFlow takes one job in and out beside 100,000 that wait.
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
