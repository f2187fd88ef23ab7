package job_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tenterhook/tenterhook/internal/job"
)

// TestFlow_AgreesWithAModel walks a Flow at random beside a model that is written for clarity
// alone: one list, searched anew for everything. Beside agreeing with it, a walk checks what a
// Flow promises: no lane above its limit, none of one once beside another, no pace exceeded, no
// paused rule running, each job ended once, superseded only by one that arrived later, and
// nothing left when time passes.
func TestFlow_AgreesWithAModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &flowModel{flow: job.NewFlow(), now: epoch, lanes: map[job.Lane]job.Lane{}, pace: map[string]time.Time{}, starts: map[string][]time.Time{}, came: map[int64]time.Time{}}
		rt.Repeat(map[string]func(*rapid.T){
			"add": m.add, "add more": m.add, "next": m.next, "decided": m.decided, "withdraw": m.withdraw,
			"done": m.done, "wait": m.wait, "pause": m.pause, "overtaken": m.takeOvertaken, "": m.agree,
		})
		m.drain(rt)
	})
}

type flowModel struct {
	flow      *job.Flow
	now, last time.Time   // last is the latest time of an arrival
	jobs      []*modelJob // those that are here
	lanes     map[job.Lane]job.Lane
	paused    [][2]string
	pace      map[string]time.Time
	starts    map[string][]time.Time // of each throttle key
	overtaken []job.Overtaken
	resumed   []*modelJob
	seq       int64
	latest    [2]int64
	came      map[int64]time.Time // by Seq, those that arrived by it
	decisions int
}

type modelJob struct {
	job.Waiting
	number    [2]int64
	rank      time.Time
	where     string // later, lane, parked, decided, away, runs, resumes (it holds its place as if it ran)
	decision  int
	next      job.State
	by        string
	overtaken bool
	retry     bool // has run in its lane, and waits for its time
	again     *job.Waiting
}

func laneOf(l job.Lane) job.Lane { return job.Lane{Hook: l.Hook, Rule: l.Rule, Key: l.Key} }

func (m *flowModel) find(id string) *modelJob {
	for _, j := range m.jobs {
		if j.Job.ID == id {
			return j
		}
	}
	return nil
}

// in returns the jobs in one of the places, in the order of starts.
func (m *flowModel) in(places ...string) (out []*modelJob) {
	for _, j := range m.jobs {
		if slices.Contains(places, j.where) {
			out = append(out, j)
		}
	}
	slices.SortFunc(out, func(a, b *modelJob) int {
		if c := a.rank.Compare(b.rank); c != 0 {
			return c
		}
		return slices.Compare(a.number[:], b.number[:])
	})
	return out
}

// of returns the jobs of one lane in one of the places, in the order of arrival.
func (m *flowModel) of(l job.Lane, places ...string) (out []*modelJob) {
	for _, j := range m.in(places...) {
		if laneOf(j.Lane) == laneOf(l) {
			out = append(out, j)
		}
	}
	slices.SortFunc(out, func(a, b *modelJob) int { return slices.Compare(a.number[:], b.number[:]) })
	return out
}

func fresh(jobs []*modelJob) (n int) {
	for _, j := range jobs {
		if !j.Kept {
			n++
		}
	}
	return n
}

func (m *flowModel) room(l job.Lane) int {
	if l.Limit == 0 {
		return 1 << 30
	}
	return max(0, l.Limit-len(m.of(l, "runs", "resumes")))
}

var modelPace = map[string]*job.Pace{
	"": nil, "slow": {Limit: 1, Per: 3 * time.Second, Burst: 1}, "burst": {Limit: 2, Per: 4 * time.Second, Burst: 3},
}

func (m *flowModel) draw(t *rapid.T, id string, seq int64) job.Waiting {
	w := job.Waiting{Job: job.Job{ID: id, Seq: seq}, Kept: rapid.IntRange(0, 3).Draw(t, "kept") == 0}
	w.Job.Keys.Priority = rapid.SampledFrom([]int{0, 0, 0, 2, -2}).Draw(t, "priority")
	w.Lane = job.Lane{Hook: rapid.SampledFrom([]string{"h", "g"}).Draw(t, "hook"), Rule: "r"}
	if key := rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "key"); key != "" {
		w.Lane.Key, w.Lane.Limit, w.Lane.Pending = key, rapid.IntRange(1, 3).Draw(t, "limit"), rapid.IntRange(0, 3).Draw(t, "pending")
		// One for each key: which of two jobs won must not depend on what a later one brings.
		w.Lane.Overflow = map[string]job.Overflow{"ha": job.OverflowQueue, "hb": job.OverflowNewest, "ga": job.OverflowSkip, "gb": job.OverflowCancel}[w.Lane.Hook+key]
	}
	w.ThrottleKey = rapid.SampledFrom([]string{"", "", "slow", "burst"}).Draw(t, "throttle")
	w.Throttle = modelPace[w.ThrottleKey]
	w.Once = rapid.SampledFrom([]string{"", "", "x", "y"}).Draw(t, "once")
	if rapid.Bool().Draw(t, "later") {
		w.Due = m.now.Add(time.Duration(rapid.IntRange(-1, 4).Draw(t, "due")) * time.Second)
	}
	w.Resumes = w.Kept && rapid.IntRange(0, 5).Draw(t, "resumes") == 0
	if !w.Kept && rapid.IntRange(0, 3).Draw(t, "expires") == 0 {
		w.Expires = m.now.Add(time.Duration(rapid.IntRange(1, 6).Draw(t, "within")) * time.Second)
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
	if late := rapid.IntRange(0, 8).Draw(t, "late"); m.find(id) == nil && late < 6 {
		w.BySeq, w.Job.Seq = true, max(0, 10*seq-11*int64(late))
	} else if m.find(id) == nil {
		w.Job.Seq = 10 * seq
	}
	w.Job.CreatedAt = m.now
	w.Job.State = rapid.SampledFrom([]job.State{job.Queued, job.Queued, job.Scheduled}).Draw(t, "state")
	m.flow.Add(w, m.now)
	switch j := m.find(id); {
	case j == nil:
		m.enter(m.arrival(w))
	case j.where == "later":
		j.Waiting, j.retry = w, false
		m.enter(j)
	case w.Job.State == job.Scheduled:
	case j.where == "away" || j.where == "runs" || j.where == "resumes" || j.where == "decided":
		j.again = &w
	}
}

func (m *flowModel) arrival(w job.Waiting) *modelJob {
	m.latest = [2]int64{max(m.latest[0], w.Job.Seq), m.latest[1] + 1}
	if w.Job.CreatedAt.After(m.last) { // it is never after now
		m.last = w.Job.CreatedAt
	}
	j := &modelJob{Waiting: w, number: m.latest, rank: m.last.Add(-w.Job.Keys.HeadStart())}
	if w.BySeq {
		j.number[0] = w.Job.Seq
		at, next := m.last, int64(math.MaxInt64)
		for seq, came := range m.came {
			if seq > w.Job.Seq && seq < next {
				at, next = came, seq
			}
		}
		m.came[w.Job.Seq] = at
		j.rank = at.Add(-w.Job.Keys.HeadStart())
	}
	m.jobs = append(m.jobs, j)
	return j
}

func (m *flowModel) enter(j *modelJob) {
	if j.Resumes {
		m.lanes[laneOf(j.Lane)], j.where = j.Lane, "resumes"
		m.resumed = append(m.resumed, j)
		return
	}
	if !j.Due.After(m.now) {
		m.arrive(j)
		return
	}
	j.where = "later"
	if o := j.Lane.Overflow; j.Kept && (o == job.OverflowNewest || o == job.OverflowCancel) {
		m.lanes[laneOf(j.Lane)] = j.Lane
		j.retry = true
		m.dropRetries(j.Lane)
	}
}

// newer is the newest job of the lane if so many arrived after j that j is not to run at all.
func (m *flowModel) newer(j *modelJob) *modelJob {
	all := slices.DeleteFunc(m.of(j.Lane, "lane", "runs", "resumes", "later"), func(o *modelJob) bool {
		return slices.Compare(o.number[:], j.number[:]) <= 0 || o.where == "later" && !o.retry
	})
	if len(all) < max(1, m.lanes[laneOf(j.Lane)].Limit) {
		return nil
	}
	return all[len(all)-1]
}

func (m *flowModel) dropRetries(l job.Lane) {
	for _, r := range m.of(l, "later") {
		if !r.retry {
			continue
		}
		if newer := m.newer(r); newer != nil {
			m.decide(r, job.Superseded, newer.Job.ID)
		}
	}
}

func (m *flowModel) decide(j *modelJob, next job.State, by string) {
	m.decisions++
	j.where, j.next, j.by, j.decision, j.retry = "decided", next, by, m.decisions, false
}

func (m *flowModel) arrive(j *modelJob) {
	l := j.Lane
	m.lanes[laneOf(l)] = l
	j.retry, j.where = false, ""
	newestWins := l.Overflow == job.OverflowNewest || l.Overflow == job.OverflowCancel
	waiting := m.of(l, "lane")
	full := l.Limit > 0 && fresh(waiting) >= m.room(l)+l.Pending
	if l.Overflow == job.OverflowSkip {
		full = fresh(waiting) >= m.room(l)
	}
	switch newer := m.newer(j); {
	case newestWins && newer != nil:
		m.decide(j, job.Superseded, newer.Job.ID)
		return
	case !newestWins && full && !j.Kept:
		holder := ""
		if running := m.of(l, "runs", "resumes"); len(running) > 0 {
			holder = running[0].Job.ID
		} else if len(waiting) > 0 {
			first := slices.DeleteFunc(m.in("lane"), func(o *modelJob) bool { return laneOf(o.Lane) != laneOf(l) })
			holder = first[0].Job.ID
		}
		m.decide(j, job.Skipped, holder)
		return
	}
	j.where = "lane"
	if newestWins {
		m.overtake(j)
	}
}

func (m *flowModel) overtake(j *modelJob) {
	m.dropRetries(j.Lane)
	for waiting := m.of(j.Lane, "lane"); len(waiting) > max(1, m.room(j.Lane)); waiting = waiting[1:] {
		m.decide(waiting[0], job.Superseded, waiting[len(waiting)-1].Job.ID)
	}
	if j.Lane.Overflow != job.OverflowCancel || j.where != "lane" {
		return
	}
	staying := slices.DeleteFunc(m.of(j.Lane, "runs", "resumes"), func(o *modelJob) bool { return o.overtaken })
	if len(staying) >= j.Lane.Limit && slices.Compare(staying[0].number[:], j.number[:]) < 0 {
		staying[0].overtaken = true
		m.overtaken = append(m.overtaken, job.Overtaken{Job: staying[0].Job.ID, By: j.Job.ID})
	}
}

func (m *flowModel) isPaused(l job.Lane) bool {
	return slices.ContainsFunc(m.paused, func(p [2]string) bool { return p[0] == l.Hook && (p[1] == "" || p[1] == l.Rule) })
}

// pass lets time pass for what waits for it.
func (m *flowModel) pass() {
	expired := slices.DeleteFunc(m.in("later", "lane", "parked"), func(j *modelJob) bool { return j.Expires.IsZero() || j.Expires.After(m.now) })
	slices.SortStableFunc(expired, func(a, b *modelJob) int { return a.Expires.Compare(b.Expires) })
	for _, j := range expired {
		m.decide(j, job.Expired, "")
	}
	due := slices.DeleteFunc(m.in("later"), func(j *modelJob) bool { return j.Due.After(m.now) })
	slices.SortStableFunc(due, func(a, b *modelJob) int {
		if c := a.Due.Compare(b.Due); c != 0 {
			return c
		}
		return slices.Compare(a.number[:], b.number[:])
	})
	for _, j := range due {
		if j.where == "later" { // one before may have superseded it
			m.arrive(j)
		}
	}
}

// expected is the job that Next must hand out: of all that may run, the first.
func (m *flowModel) expected() *modelJob {
	m.pass()
	if len(m.resumed) > 0 {
		j := m.resumed[0]
		m.resumed = m.resumed[1:]
		return j
	}
	blocked := map[job.Lane]bool{} // by their first, which is too early
	for _, j := range m.in("lane") {
		l := m.lanes[laneOf(j.Lane)]
		switch {
		case blocked[laneOf(l)] || m.isPaused(l) || m.room(l) == 0:
		case j.Throttle != nil && m.tooEarly(j):
			blocked[laneOf(l)] = true
		case j.Once != "" && slices.ContainsFunc(m.in("runs", "resumes"), func(o *modelJob) bool { return o.Once == j.Once }):
			j.where = "parked"
		default:
			return j
		}
	}
	return nil
}

func (m *flowModel) tooEarly(j *modelJob) bool {
	_, wait := j.Throttle.Take(m.pace[j.ThrottleKey], m.now)
	return wait > 0
}

func (m *flowModel) next(t *rapid.T) {
	m.guess(t)
	got, ok := m.flow.Next(m.now)
	want := m.expected()
	if ok != (want != nil) || ok && got.ID != want.Job.ID {
		t.Fatalf("Next handed out %q, %t; want %+v", got.ID, ok, want)
	}
	if !ok {
		return
	}
	if want.where == "resumes" {
		want.where = "runs"
		return // nothing of it was asked for
	}
	want.where = "runs"
	if want.Throttle != nil {
		m.pace[want.ThrottleKey], _ = want.Throttle.Take(m.pace[want.ThrottleKey], m.now)
		m.starts[want.ThrottleKey] = append(m.starts[want.ThrottleKey], m.now)
	}
	m.promises(t)
}

// guess checks that Soon names jobs that wait, each once.
func (m *flowModel) guess(t *rapid.T) {
	waits := map[string]bool{}
	for _, j := range m.in("lane") {
		waits[j.Job.ID] = true
	}
	soon := m.flow.Soon(3)
	for _, j := range soon {
		if !waits[j.ID] {
			t.Fatalf("Soon names %s, which does not wait or was named before", j.ID)
		}
		delete(waits, j.ID)
	}
	if len(soon) > 3 {
		t.Fatalf("Soon names %d jobs", len(soon))
	}
}

// promises checks what holds whatever the model says.
func (m *flowModel) promises(t *rapid.T) {
	once := map[string]int{}
	for _, j := range m.in("runs") {
		if j.Once != "" {
			once[j.Once]++
		}
		if once[j.Once] > 1 && !slices.ContainsFunc(m.in("runs"), func(o *modelJob) bool { return o.Resumes }) {
			t.Fatalf("two run of once %q", j.Once)
		}
	}
	for key, starts := range m.starts {
		p := modelPace[key]
		for i := range starts { // any n within a time are no more than the burst and what the time grants
			if n := len(starts) - i; time.Duration(n-p.Burst)*p.Interval() > starts[len(starts)-1].Sub(starts[i]) {
				t.Fatalf("%d starts of pace %q in %s", n, key, starts[len(starts)-1].Sub(starts[i]))
			}
		}
	}
}

func (m *flowModel) decided(t *rapid.T) {
	got, ok := m.flow.Decided()
	all := m.in("decided")
	slices.SortFunc(all, func(a, b *modelJob) int { return a.decision - b.decision })
	if !ok {
		if len(all) > 0 {
			t.Fatalf("Decided hands out nothing, want %s", all[0].Job.ID)
		}
		return
	}
	// Those that expire together, or lose to the same one, have no order between them.
	i := slices.IndexFunc(all, func(j *modelJob) bool { return j.Job.ID == got.Job.ID && j.next == got.Next && j.by == got.By })
	if i < 0 {
		t.Fatalf("Decided handed out %s %s by %q", got.Job.ID, got.Next, got.By)
	}
	if winner := m.find(got.By); got.Next == job.Superseded && winner != nil && winner.again == nil && slices.Compare(winner.number[:], all[i].number[:]) < 0 {
		t.Fatalf("%s was superseded by %s, which arrived before it", got.Job.ID, got.By)
	}
	all[i].where = "away"
}

func (m *flowModel) withdraw(t *rapid.T) {
	if len(m.jobs) == 0 {
		t.Skip("nothing here")
	}
	j := rapid.SampledFrom(m.jobs).Draw(t, "job")
	got, ok := m.flow.Withdraw(j.Job.ID)
	if waits := slices.Contains([]string{"later", "lane", "parked"}, j.where); ok != waits || ok && got.Job.ID != j.Job.ID {
		t.Fatalf("Withdraw(%s) of a job in %s: %+v, %t", j.Job.ID, j.where, got, ok)
	}
	if ok {
		j.where, j.retry = "away", false
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
		w.Kept, w.Expires, w.Lane = true, time.Time{}, j.Lane
		w.Resumes = false
		again = &w
	}
	m.finish(j, again)
}

func (m *flowModel) finish(j *modelJob, again *job.Waiting) {
	m.flow.Done(j.Job.ID, again, m.now)
	m.jobs = slices.DeleteFunc(m.jobs, func(o *modelJob) bool { return o == j })
	if j.where == "runs" && j.Once != "" && !slices.ContainsFunc(m.in("runs", "resumes"), func(o *modelJob) bool { return o.Once == j.Once }) {
		parked := m.in("parked")
		slices.SortFunc(parked, func(a, b *modelJob) int { return slices.Compare(a.number[:], b.number[:]) })
		for _, o := range parked {
			if o.Once == j.Once {
				o.Kept = true
				m.arrive(o)
			}
		}
	}
	switch {
	case j.again != nil:
		m.enter(m.arrival(*j.again))
	case again != nil:
		next := &modelJob{Waiting: *again, number: j.number, rank: j.rank}
		m.jobs = append(m.jobs, next)
		m.enter(next)
	}
}

func (m *flowModel) wait(t *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "seconds")) * time.Second)
}

func (m *flowModel) pause(t *rapid.T) {
	m.paused = rapid.SampledFrom([][][2]string{nil, nil, {{"h", "r"}}, {{"g", ""}}, {{"h", ""}, {"g", "r"}}}).Draw(t, "paused")
	m.flow.SetPaused(m.paused)
}

func (m *flowModel) takeOvertaken(t *rapid.T) {
	if got := m.flow.Overtaken(); !slices.Equal(got, m.overtaken) {
		t.Fatalf("overtaken: %v, want %v", got, m.overtaken)
	}
	m.overtaken = nil
}

func (m *flowModel) agree(t *rapid.T) {
	if m.flow.Len() != len(m.jobs) || m.flow.Later() != len(m.in("later")) || m.flow.HasDecided() != (len(m.in("decided")) > 0) {
		t.Fatalf("Len %d, Later %d, HasDecided %t; want %d, %d, %d", m.flow.Len(), m.flow.Later(), m.flow.HasDecided(),
			len(m.jobs), len(m.in("later")), len(m.in("decided")))
	}
	for _, l := range m.lanes {
		if running := m.of(l, "runs", "resumes"); l.Limit > 0 && len(slices.DeleteFunc(running, func(j *modelJob) bool { return j.Resumes })) > 3 {
			t.Fatalf("%d run of %v", len(running), l)
		}
	}
}

// drain lets everything run to its end: nothing may be left.
func (m *flowModel) drain(t *rapid.T) {
	m.paused = nil
	m.flow.SetPaused(nil)
	for range 10 * (len(m.jobs) + 1) {
		m.now = m.now.Add(time.Hour)
		m.next(t)
		m.decided(t)
		for _, j := range m.in("away", "runs") {
			m.finish(j, nil)
		}
	}
	if m.flow.Len() != 0 {
		t.Fatalf("%d jobs never ran", m.flow.Len())
	}
}
