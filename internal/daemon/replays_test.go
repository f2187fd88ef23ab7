package daemon_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/sqlite"
)

// bench is a daemon with a hook whose one rule takes what is paid, and n deliveries of that.
func bench(t *testing.T, n int) *running {
	t.Helper()
	r := start(t, paidHook(`event == "paid"`))
	for i := range n {
		r.job(r.push("/pay", fmt.Sprint("d-", i), "paid", fmt.Sprintf(`{"amount":%d}`, i)).json.Jobs[0])
	}
	return r
}

func paidHook(match string) string {
	return "hooks: [{name: pay, path: /pay, provider: github, secret: " + secret + ", rules: [{name: book, match: '" + match + "', run: 'true'}]}]\n"
}

// begin starts a replay.
func (r *running) begin(q admin.ReplayRequest) admin.Replay {
	r.t.Helper()
	one, err := r.client.StartReplay(r.t.Context(), q)
	must(r.t, err)
	return one
}

// through waits until a replay does not run any more.
func (r *running) through(id string) (one admin.Replay) {
	r.t.Helper()
	r.eventually("the replay to end", func() bool {
		var err error
		one, err = r.client.Replayed(r.t.Context(), id)
		must(r.t, err)
		return one.Status != job.ReplayRunning
	})
	return one
}

// jobsOf counts the jobs of each delivery, oldest first.
func (r *running) jobsOf() (counts []int) {
	r.t.Helper()
	list, _, err := r.client.Deliveries(r.t.Context(), store.Filter{Limit: 500})
	must(r.t, err)
	for _, d := range list {
		counts = append([]int{len(d.Jobs)}, counts...)
	}
	return counts
}

func paid(which string) admin.ReplayRequest {
	return admin.ReplayRequest{ReplayFilter: job.ReplayFilter{Hook: "pay", Which: which}, Rate: admin.MostRate}
}

func TestReplays_GoThroughWhatAFilterFinds(t *testing.T) {
	r := bench(t, 4)
	q := paid("")
	q.Match = "payload.amount >= 2"
	count, err := r.client.CountReplay(t.Context(), q)
	must(t, err)
	if count != (admin.ReplayCount{DryRun: true, Deliveries: 2, Jobs: 2}) {
		t.Errorf("counted %+v", count)
	}
	one := r.through(r.begin(q).ID)
	if one.Status != job.ReplayDone || one.Total != 4 || one.Done != 4 || one.Made != 2 || one.Skipped != 2 || one.FinishedAt.IsZero() {
		t.Errorf("%+v", one)
	}
	if got := fmt.Sprint(r.jobsOf()); got != "[1 1 2 2]" {
		t.Errorf("jobs of the deliveries: %s", got)
	}
	jobs, _, err := r.client.Jobs(t.Context(), store.Filter{Limit: 2})
	must(t, err)
	if jobs[0].ReplayOf == "" || jobs[0].CreatedAt.Before(jobs[1].CreatedAt.Time) {
		t.Errorf("%+v", jobs)
	}
	if failed := r.through(r.begin(paid("failed")).ID); failed.Made != 0 || failed.Skipped != 4 {
		t.Errorf("nothing failed, and was replayed: %+v", failed)
	}
	log, err := r.client.AuditLog(t.Context(), 0, 10)
	must(t, err)
	last := log.Entries[len(log.Entries)-1]
	if last.Action != "replay" || last.Subject != one.ID || !strings.Contains(last.Detail, "payload.amount") {
		t.Errorf("%+v", last)
	}
}

func TestReplays_MakeWhatIsMissingOnceTheRuleWantsIt(t *testing.T) {
	r := start(t, paidHook(`event == "other"`))
	for i := range 3 {
		r.push("/pay", fmt.Sprint("d-", i), "paid", "{}")
	}
	write(t, filepath.Join(r.dir, "hooks.yaml"), header(r.dir)+paidHook(`event == "paid"`))
	_, err := r.client.Reload(t.Context())
	must(t, err)
	q := paid("missing")
	q.Rule = "book"
	if one := r.through(r.begin(q).ID); one.Made != 3 {
		t.Errorf("%+v", one)
	}
	if one := r.through(r.begin(q).ID); one.Made != 0 || one.Skipped != 3 {
		t.Errorf("asked twice, it runs twice: %+v", one)
	}
}

func TestReplays_GoOnAfterARestartAndMakeNothingTwice(t *testing.T) {
	r := bench(t, 8)
	q := paid("")
	q.Rate = 20
	one := r.begin(q)
	if again := r.begin(q); again.ID != one.ID {
		t.Errorf("the same asked for twice is two replays: %s and %s", one.ID, again.ID)
	}
	other := paid("failed")
	if _, err := r.client.StartReplay(t.Context(), other); err == nil || !strings.Contains(err.Error(), "one runs at a time") {
		t.Errorf("a second one beside it: %v", err)
	}
	r.eventually("some of it", func() bool {
		jobs, _, err := r.client.Jobs(t.Context(), store.Filter{Limit: 100})
		must(t, err)
		return len(jobs) > 9
	})
	must(t, r.stop())

	// As after a crash: what was done last was not written down.
	s, err := sqlite.Open(t.Context(), filepath.Join(r.dir, "t.db"), sqlite.Options{})
	must(t, err)
	all, err := s.Replays(t.Context())
	must(t, err)
	if all[0].Status != job.ReplayRunning {
		t.Errorf("it was %s when the daemon stopped", all[0].Status)
	}
	all[0].Last, all[0].Done = "", 0
	must(t, s.KeepReplay(t.Context(), all[0]))
	must(t, s.Close())

	r = startIn(t, r.dir)
	if got := r.through(one.ID); got.Status != job.ReplayDone || got.Done != 8 {
		t.Errorf("%+v", got)
	}
	if got := fmt.Sprint(r.jobsOf()); got != "[2 2 2 2 2 2 2 2]" {
		t.Errorf("jobs of the deliveries: %s", got)
	}
}

func TestReplays_OneThatWasCancelledGoesOnWhenItIsAskedForAgain(t *testing.T) {
	r := bench(t, 6)
	q := paid("")
	q.Rate = 2
	one := r.begin(q)
	cancelled, err := r.client.CancelReplay(t.Context(), one.ID)
	must(t, err)
	if cancelled.Status != job.ReplayCancelled || cancelled.Done == 6 {
		t.Errorf("%+v", cancelled)
	}
	if _, err := r.client.CancelReplay(t.Context(), one.ID); err == nil {
		t.Error("it was cancelled twice")
	}
	if _, err := r.client.CancelReplay(t.Context(), job.NewID()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("one that is not there: %v", err)
	}
	count, err := r.client.CountReplay(t.Context(), q)
	must(t, err)
	q.Rate = admin.MostRate
	again := r.begin(q)
	if again.ID != one.ID || count.Unfinished != one.ID {
		t.Errorf("it began anew: %s, %s and %s", one.ID, again.ID, count.Unfinished)
	}
	if got := r.through(one.ID); got.Status != job.ReplayDone || got.Made != 6 {
		t.Errorf("%+v", got)
	}
	if got := fmt.Sprint(r.jobsOf()); got != "[2 2 2 2 2 2]" {
		t.Errorf("jobs of the deliveries: %s", got)
	}
}

func TestReplays_RefuseWhatCannotBeMeant(t *testing.T) {
	r := bench(t, 0)
	for _, c := range []struct {
		q    admin.ReplayRequest
		want string
	}{
		{admin.ReplayRequest{}, "the filter is empty"},
		{admin.ReplayRequest{ReplayFilter: job.ReplayFilter{Hook: "nope"}}, `hook "nope" is not configured`},
		{admin.ReplayRequest{ReplayFilter: job.ReplayFilter{Hook: "pay", Match: "payload.amount >"}}, "match: "},
		{admin.ReplayRequest{ReplayFilter: job.ReplayFilter{Since: "24h", Match: "true"}}, "match needs a hook"},
		{admin.ReplayRequest{ReplayFilter: job.ReplayFilter{Since: "yesterday"}}, "since: "},
		{admin.ReplayRequest{ReplayFilter: job.ReplayFilter{Hook: "pay", State: "done"}}, "state must be one of"},
		{admin.ReplayRequest{ReplayFilter: job.ReplayFilter{Hook: "pay"}, Rate: 5000}, "rate is a number"},
		{admin.ReplayRequest{ReplayFilter: job.ReplayFilter{Hook: strings.Repeat("x", 10000)}}, "hook is longer"},
	} {
		if _, err := r.client.StartReplay(t.Context(), c.q); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.q, err)
		}
	}
}
