package postgres

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/postgres/postgrestest"
)

// two are two daemons on one store, each with a node, and the first leads.
type two struct {
	a, b         *Store
	nodeA, nodeB int64
	term         int64
}

func newTwo(t *testing.T) two {
	t.Helper()
	url := postgrestest.Schema(t)
	w := two{a: open(t, url, Options{Shared: true}), b: open(t, url, Options{Shared: true})}
	w.nodeA, w.nodeB = register(t, w.a, "a"), register(t, w.b, "b")
	before, err := w.a.Leader(t.Context())
	must(t, err)
	w.term, err = w.a.Claim(t.Context(), before, w.nodeA)
	must(t, err)
	return w
}

func register(t *testing.T, s *Store, name string) int64 {
	t.Helper()
	id, err := s.Register(t.Context(), Node{Name: name, Workers: 1, Lease: time.Second})
	must(t, err)
	s.ActAs(id)
	return id
}

// job stores a delivery and returns its job.
func (w two) job(t *testing.T) string {
	t.Helper()
	d := newDelivery("")
	jobs := newJob(d)
	_, err := w.a.Accept(t.Context(), d, jobs)
	must(t, err)
	return jobs[0].ID
}

func (w two) assign(t *testing.T, id string, node int64) {
	t.Helper()
	if did, err := w.a.Assign(t.Context(), w.term, id, node); err != nil || !did {
		t.Fatalf("Assign: %t, %v", did, err)
	}
}

func mark(id string, attempt int) store.StartMark {
	return store.StartMark{Job: id, Attempt: attempt, At: epoch, Node: "n"}
}

func wantFenced(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, store.ErrFenced) {
		t.Errorf("%s: %v, want %v", what, err, store.ErrFenced)
	}
}

func TestTicket_OnlyTheNodeThatHasItStartsTheJob(t *testing.T) {
	w := newTwo(t)
	id := w.job(t)
	wantFenced(t, "Start without a ticket", w.a.Start(t.Context(), mark(id, 1)))
	w.assign(t, id, w.nodeB)
	wantFenced(t, "Start with the ticket of another node", w.a.Start(t.Context(), mark(id, 1)))
	if did, err := w.a.Assign(t.Context(), w.term, id, w.nodeA); err != nil || did {
		t.Errorf("a job was given to two nodes: %t, %v", did, err)
	}
	must(t, w.b.Start(t.Context(), mark(id, 1)))
	wantFenced(t, "a second Start", w.b.Start(t.Context(), mark(id, 1)))
	must(t, w.b.Finish(t.Context(), store.Ended{Job: id, Attempt: 1, At: epoch, Next: job.Scheduled, RunAt: epoch}))
	if _, held, err := w.a.Held(t.Context(), id); err != nil || held {
		t.Errorf("the ticket outlives its attempt: %t, %v", held, err)
	}
	wantFenced(t, "Start of the next attempt with the ticket of the last", w.b.Start(t.Context(), mark(id, 2)))
}

func TestTicket_AControlledStartIsFencedToo(t *testing.T) {
	w := newTwo(t)
	id := w.job(t)
	m := mark(id, 1)
	m.Controls = &job.Controls{Once: &job.Once{Window: time.Hour}}
	if err := w.a.Start(t.Context(), m); !errors.Is(err, store.ErrFenced) {
		t.Errorf("Start without a ticket: %v", err)
	}
	w.assign(t, id, w.nodeA)
	must(t, w.a.Start(t.Context(), m))
}

func TestLeader_DecidesNothingOnceAnotherOneLeads(t *testing.T) {
	w := newTwo(t)
	id := w.job(t)
	before, err := w.b.Leader(t.Context())
	must(t, err)
	must(t, w.a.KeepLead(t.Context(), w.term))
	if _, err := w.b.Claim(t.Context(), before, w.nodeB); !errors.Is(err, ErrDeposed) {
		t.Errorf("a leader that has just beaten is deposed: %v", err)
	}
	before, err = w.b.Leader(t.Context())
	must(t, err)
	_, err = w.b.Claim(t.Context(), before, w.nodeB)
	must(t, err)
	if err := w.a.KeepLead(t.Context(), w.term); !errors.Is(err, ErrDeposed) {
		t.Errorf("KeepLead: %v", err)
	}
	if _, err := w.a.Assign(t.Context(), w.term, id, w.nodeA); !errors.Is(err, ErrDeposed) {
		t.Errorf("Assign: %v", err)
	}
	led := w.a.Leading(w.term)
	wantFenced(t, "Settle", led.Settle(t.Context(), store.Settle{Job: id, At: epoch, Next: job.Superseded}))
	if did, err := w.a.TakeOver(t.Context(), w.term, w.nodeB, 0); did || err != nil {
		t.Errorf("TakeOver: %t, %v", did, err)
	}
	if j, err := w.a.Job(t.Context(), id); err != nil || j.State != job.Queued {
		t.Errorf("the job is %s, %v", j.State, err)
	}
}

func TestTakeOver_ANodeThatBeatsIsLeftAlone(t *testing.T) {
	w := newTwo(t)
	must(t, w.b.Beat(t.Context(), w.nodeB, "up", "c"))
	if did, err := w.a.TakeOver(t.Context(), w.term, w.nodeB, 0); did || err != nil {
		t.Errorf("a node was taken over that has beaten since: %t, %v", did, err)
	}
	id := w.job(t)
	w.assign(t, id, w.nodeB)
	if did, err := w.a.TakeOver(t.Context(), w.term, w.nodeB, 1); !did || err != nil {
		t.Errorf("TakeOver: %t, %v", did, err)
	}
	if err := w.b.Beat(t.Context(), w.nodeB, "up", "c"); !errors.Is(err, ErrGone) {
		t.Errorf("Beat: %v", err)
	}
	wantFenced(t, "Start after the take-over", w.b.Start(t.Context(), mark(id, 1)))
	if did, err := w.a.Assign(t.Context(), w.term, id, w.nodeB); did || err != nil {
		t.Errorf("a node that is gone gets a job: %t, %v", did, err)
	}
}

// TestTakeOver_EveryStartIsBeforeItOrFenced races starts with the take-over of their node: a job
// either runs and is seen to run, or waits and does not start any more.
func TestTakeOver_EveryStartIsBeforeItOrFenced(t *testing.T) {
	for range 20 {
		w := newTwo(t)
		var ids []string
		for range 20 {
			id := w.job(t)
			w.assign(t, id, w.nodeB)
			ids = append(ids, id)
		}
		var all sync.WaitGroup
		started := make([]atomic.Bool, len(ids))
		for i, id := range ids {
			all.Go(func() { started[i].Store(w.b.Start(t.Context(), mark(id, 1)) == nil) })
		}
		did, err := w.a.TakeOver(t.Context(), w.term, w.nodeB, 0)
		if err != nil || !did {
			t.Fatal(did, err)
		}
		seen := map[string]job.State{} // by the leader, after the take-over
		for _, id := range ids {
			j, held, err := w.a.Held(t.Context(), id)
			must(t, err)
			if held {
				t.Errorf("a ticket is left")
			}
			seen[id] = j.State
		}
		all.Wait()
		for i, id := range ids {
			if started[i].Load() != (seen[id] == job.Running) {
				t.Errorf("a job started: %t, and the leader saw it %s", started[i].Load(), seen[id])
			}
		}
	}
}

func TestFollowUp_BeginsOnlyOnTheNodeThatHasTheTicket(t *testing.T) {
	w := newTwo(t)
	id := w.job(t)
	w.assign(t, id, w.nodeB)
	must(t, w.b.Start(t.Context(), mark(id, 1)))
	must(t, w.b.Finish(t.Context(), store.Ended{Job: id, Attempt: 1, At: epoch, Next: job.Failed, FollowUps: true}))
	u := job.FollowUp{Attempt: 1, Step: 1, Try: 1, Event: "on_failure", Kind: "run", StartedAt: epoch}
	wantFenced(t, "BeginFollowUp elsewhere", w.a.BeginFollowUp(t.Context(), id, u))
	must(t, w.b.BeginFollowUp(t.Context(), id, u))
	wantFenced(t, "BeginFollowUp again", w.b.BeginFollowUp(t.Context(), id, u))
}

func TestNote_ComesThroughWhole(t *testing.T) {
	w := newTwo(t)
	var ids []int64
	for i := range int64(5000) { // more than one payload holds
		ids = append(ids, i*i*i)
	}
	var mu sync.Mutex
	var got []int64
	listening := make(chan struct{})
	ctx := t.Context()
	go func() {
		_ = w.b.Listen(ctx, func() { close(listening) }, func(n Note) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, n.IDs...)
		})
	}()
	<-listening
	must(t, w.a.Tell(t.Context(), Note{Kind: NoteJobs, IDs: ids}))
	must(t, w.b.Tell(t.Context(), Note{Kind: NoteJobs, IDs: []int64{-1}})) // it knows what it said itself
	eventually(t, "the whole note", func() bool { mu.Lock(); defer mu.Unlock(); return len(got) >= len(ids) })
	slices.Sort(got)
	if diff := cmp.Diff(ids, got); diff != "" {
		t.Errorf("(-told +heard):\n%.500s", diff)
	}
}
