package storetest

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// runModel walks a store at random beside a model in memory; they must agree at each step. The
// walks are few unless -rapid.checks asks for more.
func runModel(t *testing.T, open Open) {
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		if err := checks.Value.Set("25"); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		f := fixture{T: t}
		f.store, f.reopen = open(t)
		m := &model{T: rt, f: &f, now: epoch, keys: map[[2]string]taken{}}
		rt.Repeat(map[string]func(*rapid.T){
			"accept": m.accept, "deliver again": m.again, "start": m.start, "finish": m.finish, "settle": m.settle,
			"requeue": m.requeue, "wait": m.wait, "prune": m.prune, "reopen": m.reopen, "": m.agree,
		})
		if err := f.store.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

// model is what a store should hold, written for clarity alone.
type model struct {
	*rapid.T
	f          *fixture
	now        time.Time
	deliveries []*job.Delivery // in order
	jobs       []*job.Job      // in order
	attempts   map[string][]job.Attempt
	keys       map[[2]string]taken
}

type taken struct {
	by    string
	until time.Time
}

func (m *model) accept(t *rapid.T) {
	d := newDelivery(rapid.SampledFrom([]string{"deploy", "bill"}).Draw(t, "hook"), rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "key"))
	d.Window = rapid.SampledFrom([]time.Duration{0, time.Hour, 5 * time.Hour}).Draw(t, "window")
	d.OnDuplicate = rapid.SampledFrom([]job.OnDuplicate{job.Skip, job.RerunFailed}).Draw(t, "on_duplicate")
	m.deliver(t, d, rapid.IntRange(0, 3).Draw(t, "jobs"))
}

// again delivers the key of a delivery there was.
func (m *model) again(t *rapid.T) {
	if len(m.keys) == 0 {
		t.Skip("no key yet")
	}
	keys := slices.SortedFunc(maps.Keys(m.keys), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	key := rapid.SampledFrom(keys).Draw(t, "taken key")
	d := newDelivery(key[0], key[1])
	d.OnDuplicate = rapid.SampledFrom([]job.OnDuplicate{job.Skip, job.RerunFailed}).Draw(t, "on_duplicate")
	m.deliver(t, d, 1)
}

func (m *model) deliver(t *rapid.T, d *job.Delivery, rules int) {
	d.ReceivedAt = m.now
	jobs := newJobs(d, []string{"x", "y", "z"}[:rules]...)
	got, err := m.f.store.Accept(m.f.context(), d, jobs)
	if err != nil {
		t.Fatal(err)
	}
	key := [2]string{d.Hook, d.Key}
	want := store.Receipt{Delivery: d.ID, Jobs: jobs}
	if k, ok := m.keys[key]; ok && m.now.Before(k.until) {
		want = store.Receipt{Duplicate: true, Delivery: k.by}
		if d.OnDuplicate == job.RerunFailed {
			want.Jobs = m.rerun(k.by)
		}
		m.same(t, "Receipt of a duplicate", got, want)
		return
	}
	if d.Key != "" {
		m.keys[key] = taken{d.ID, m.now.Add(d.Window)}
	}
	m.same(t, "Receipt", got, want)
	d.JobIDs = ids(jobs)
	m.deliveries = append(m.deliveries, d)
	for _, j := range jobs {
		m.jobs = append(m.jobs, &j)
	}
}

func (m *model) rerun(delivery string) (again []job.Job) {
	for _, j := range m.jobs {
		if j.Delivery == delivery && j.State.EndedBadly() {
			m.queue(j, "redelivered")
			again = append(again, *j)
		}
	}
	return again
}

func (m *model) queue(j *job.Job, reason string) {
	j.State, j.Reason, j.RunAt, j.Since, j.FinishedAt, j.SupersededBy = job.Queued, reason, m.now, j.Attempt, time.Time{}, ""
}

// pick returns a job, half of the time one that is in one of the states.
func (m *model) pick(t *rapid.T, states ...job.State) *job.Job {
	if len(m.jobs) == 0 {
		t.Skip("no job yet")
	}
	fit := slices.DeleteFunc(slices.Clone(m.jobs), func(j *job.Job) bool { return !slices.Contains(states, j.State) })
	if len(fit) > 0 && rapid.Bool().Draw(t, "fitting") {
		return fit[rapid.IntRange(0, len(fit)-1).Draw(t, "job")]
	}
	return m.jobs[rapid.IntRange(0, len(m.jobs)-1).Draw(t, "any job")]
}

// fence checks that err is ErrFenced exactly when the move is not allowed.
func (m *model) fence(t *rapid.T, what string, allowed bool, err error) {
	if allowed && err != nil || !allowed && !errors.Is(err, store.ErrFenced) {
		t.Fatalf("%s allowed: %t, but got: %v", what, allowed, err)
	}
}

func waits(j *job.Job) bool { return j.State == job.Queued || j.State == job.Scheduled }

func (m *model) start(t *rapid.T) {
	j := m.pick(t, job.Queued, job.Scheduled)
	n := j.Attempt + rapid.SampledFrom([]int{1, 1, 1, 0, 2}).Draw(t, "attempt")
	err := m.f.store.Start(m.f.context(), store.StartMark{Job: j.ID, Attempt: n, At: m.now, Config: "c", Node: "n"})
	allowed := waits(j) && n == j.Attempt+1
	m.fence(t, "Start", allowed, err)
	if allowed {
		j.State, j.Reason, j.Attempt, j.StartedAt, j.ExitCode, j.Error, j.Node = job.Running, "", n, m.now, nil, "", "n"
		if m.attempts == nil {
			m.attempts = map[string][]job.Attempt{}
		}
		m.attempts[j.ID] = append(m.attempts[j.ID], job.Attempt{N: n, StartedAt: m.now, Config: "c"})
	}
}

func (m *model) finish(t *rapid.T) {
	j := m.pick(t, job.Running)
	e := store.Ended{
		Job: j.ID, Attempt: j.Attempt + rapid.SampledFrom([]int{0, 0, 0, -1, 1}).Draw(t, "attempt"), At: m.now,
		Next:  rapid.SampledFrom([]job.State{job.Succeeded, job.Failed, job.TimedOut, job.Interrupted, job.Scheduled}).Draw(t, "next"),
		RunAt: m.now.Add(time.Minute), Reason: "r", Error: "e", Output: []byte(rapid.String().Draw(t, "output")),
	}
	err := m.f.store.Finish(m.f.context(), e)
	allowed := j.State == job.Running && e.Attempt == j.Attempt
	m.fence(t, "Finish", allowed, err)
	if allowed {
		a := &m.attempts[j.ID][e.Attempt-1]
		a.FinishedAt, a.Error, a.Output = m.now, e.Error, e.Output
		j.State, j.Reason, j.Error = e.Next, e.Reason, e.Error
		m.went(j, e.RunAt)
	}
}

// went sets the times of a job that has just moved.
func (m *model) went(j *job.Job, runAt time.Time) {
	if j.State.Terminal() {
		j.FinishedAt = m.now
	} else {
		j.RunAt = runAt
	}
}

func (m *model) settle(t *rapid.T) {
	j := m.pick(t, job.Queued, job.Scheduled)
	s := store.Settle{
		Job: j.ID, At: m.now, Reason: "s", RunAt: m.now.Add(time.Hour),
		Next: rapid.SampledFrom([]job.State{job.Cancelled, job.Skipped, job.Expired, job.Scheduled}).Draw(t, "next"),
	}
	allowed := waits(j)
	m.fence(t, "Settle", allowed, m.f.store.Settle(m.f.context(), s))
	if allowed {
		j.State, j.Reason = s.Next, s.Reason
		m.went(j, s.RunAt)
	}
}

func (m *model) requeue(t *rapid.T) {
	j := m.pick(t, job.Failed, job.Succeeded, job.Cancelled)
	got, err := m.f.store.Requeue(m.f.context(), j.ID, "q", m.now)
	allowed := j.State.Terminal()
	m.fence(t, "Requeue", allowed, err)
	if allowed {
		m.queue(j, "q")
		m.same(t, "Requeue", got, *j)
	}
}

func (m *model) wait(t *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(1, 180).Draw(t, "minutes")) * time.Minute)
}

func (m *model) prune(t *rapid.T) {
	r := store.Retention{
		For:        time.Duration(rapid.IntRange(0, 8).Draw(t, "hours")) * time.Hour,
		Deliveries: rapid.IntRange(0, 6).Draw(t, "deliveries"),
	}
	m.f.pruneAll(r, m.now)
	if r.For > 0 {
		m.drop(func(d *job.Delivery) bool { return d.ReceivedAt.Before(m.now.Add(-r.For)) })
	}
	excess := len(m.deliveries) - r.Deliveries
	if r.Deliveries > 0 && excess > 0 {
		m.drop(func(*job.Delivery) bool { excess--; return excess >= 0 })
	}
	maps.DeleteFunc(m.keys, func(_ [2]string, k taken) bool { return !m.now.Before(k.until) })
}

// drop forgets the deliveries without a live job that may go, asked oldest first.
func (m *model) drop(may func(*job.Delivery) bool) {
	m.deliveries = slices.DeleteFunc(m.deliveries, func(d *job.Delivery) bool {
		of := func(j *job.Job) bool { return j.Delivery == d.ID }
		if slices.ContainsFunc(m.jobs, func(j *job.Job) bool { return of(j) && !j.State.Terminal() }) || !may(d) {
			return false
		}
		m.jobs = slices.DeleteFunc(m.jobs, of)
		return true
	})
}

func (m *model) reopen(*rapid.T) { m.f.store = m.f.reopen() }

// agree compares everything there is to read.
func (m *model) agree(t *rapid.T) {
	var jobs []job.Job
	var live []job.Job
	for _, j := range slices.Backward(m.jobs) {
		jobs = append(jobs, *j)
	}
	for _, j := range m.jobs {
		if !j.State.Terminal() {
			live = append(live, *j)
		}
	}
	m.same(t, "Live", m.f.live(), live)
	got, err := m.f.store.Jobs(m.f.context(), store.Filter{Limit: 500})
	m.same(t, "Jobs", got, jobs[:min(len(jobs), 500)])
	var deliveries, want []string
	for _, d := range slices.Backward(m.deliveries) {
		want = append(want, fmt.Sprint(d.ID, d.JobIDs))
	}
	ds, err2 := m.f.store.Deliveries(m.f.context(), store.Filter{Limit: 500})
	for _, d := range ds {
		deliveries = append(deliveries, fmt.Sprint(d.ID, d.JobIDs))
	}
	m.same(t, "Deliveries", deliveries, want)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	if len(m.jobs) > 0 {
		id := m.jobs[rapid.IntRange(0, len(m.jobs)-1).Draw(t, "job")].ID
		as, err := m.f.store.Attempts(m.f.context(), id)
		if err != nil {
			t.Fatal(err)
		}
		m.same(t, "Attempts", as, m.attempts[id])
	}
}

func (m *model) same(t *rapid.T, what string, got, want any) {
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("%s (-model +store):\n%s", what, diff)
	}
}
