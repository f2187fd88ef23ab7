package daemon_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/postgres/postgrestest"
)

// TestFleet_AnyNodeShowsAndDoesWhatIsAskedOfAnother runs jobs on one node only and looks at them from
// the other, which leads.
func TestFleet_AnyNodeShowsAndDoesWhatIsAskedOfAnother(t *testing.T) {
	t.Parallel()
	url := postgrestest.Schema(t)
	out := filepath.Join(shortDir(t), "go")
	hooks := "hooks:\n" + ruleHook("talk", "run: |\n  echo first\n  while [ ! -e \"$GO\" ]; do sleep 0.05; done\n  echo second\nenv: {GO: \""+out+"\"}\nlimits: {log: 1MiB}\non: {label: worker}") +
		ruleHook("quick", "run: echo quick\non: {label: worker}") +
		ruleHook("long", "run: exec sleep 60\non: {label: worker}\nconcurrency: {key: one}")
	look, work := labelled(t, url, "a", "front", hooks), labelled(t, url, "b", "worker", hooks)
	events := look.events("?kind=job")
	id := work.push("/talk", "d1", "push", "{}").json.Jobs[0]
	look.eventually("its output so far", func() bool {
		got, err := look.client.Output(t.Context(), id, 0)
		return err == nil && string(got.Body) == "first\n"
	})
	status, stream := make(chan int, 1), make(chan string, 1)
	go func() {
		code, body := look.admin("jobs/" + id + "/stream") // until the job has ended
		status <- code
		stream <- body
	}()
	must(t, os.WriteFile(out, nil, 0o600))
	if j := look.job(id); j.State != job.Succeeded || j.Node != "b" {
		t.Errorf("job %+v", j)
	}
	select {
	case code := <-status:
		if body := <-stream; code != 200 || !strings.Contains(body, "second") || !strings.Contains(body, "event: end") {
			t.Errorf("the stream of the job is %d %s", code, body)
		}
	case <-time.After(10 * time.Second):
		t.Error("the stream of a job on another node does not end with it")
	}
	look.eventually("its whole output", func() bool { // a node that is busy may not answer at once
		log, err := look.client.Log(t.Context(), id, 1)
		return err == nil && string(log) == "first\nsecond\n"
	})
	if _, err := look.client.Log(t.Context(), id, 2); err == nil {
		t.Error("an attempt that was not has a log")
	}

	running, waits := look.push("/long", "d1", "push", "{}").json.Jobs[0], look.push("/long", "d2", "push", "{}").json.Jobs[0]
	look.eventually("the first to run", func() bool {
		j, err := look.client.Job(t.Context(), running)
		return err == nil && j.State == job.Running
	})
	must(t, look.client.Cancel(t.Context(), waits))
	must(t, look.client.Cancel(t.Context(), running))
	for _, id := range []string{waits, running} {
		if j := work.job(id); j.State != job.Cancelled {
			t.Errorf("job %+v", j)
		}
	}
	// Soon after somebody listens on one node the other one tells what happens there.
	n := 0
	look.eventually("what happens on the other node to be told", func() bool {
		n++
		work.push("/quick", fmt.Sprint("d", n), "push", "{}")
		for {
			select {
			case e := <-events:
				if strings.Contains(e[1], `"hook":"quick"`) && strings.Contains(e[1], `"state":"succeeded"`) && strings.Contains(e[1], `"node":"b"`) {
					return true
				}
			default:
				return false
			}
		}
	})
}

func TestFleet_APauseHoldsOnEveryNode(t *testing.T) {
	t.Parallel()
	url := postgrestest.Schema(t)
	hooks := "hooks:\n" + ruleHook("site", "run: echo ran")
	a, b := labelled(t, url, "a", "", hooks), labelled(t, url, "b", "", hooks)
	must(t, b.client.SetPause(t.Context(), "site", "work", true))
	id := a.push("/site", "d1", "push", "{}").json.Jobs[0]
	if s := b.status(); len(s.Paused) != 1 {
		t.Errorf("paused are %+v", s.Paused)
	}
	a.eventually("the pause to be known there", func() bool { return len(a.status().Paused) == 1 })
	late := a.push("/site", "d2", "push", "{}").json.Jobs[0]
	if j, err := a.client.Job(t.Context(), late); err != nil || j.State != job.Queued {
		t.Errorf("a job of a paused rule is %+v: %v", j.State, err)
	}
	must(t, a.client.SetPause(t.Context(), "site", "work", false))
	for _, id := range []string{id, late} {
		if j := b.job(id); j.State != job.Succeeded {
			t.Errorf("job %+v", j)
		}
	}
}

func TestFleet_AReplayRunsOnceWhoeverIsAsked(t *testing.T) {
	t.Parallel()
	url := postgrestest.Schema(t)
	a, b := node(t, url, "a", paidHook("true")), node(t, url, "b", paidHook("true"))
	for i := range 20 {
		a.job(a.push("/pay", fmt.Sprint("d-", i), "paid", fmt.Sprintf(`{"amount":%d}`, i)).json.Jobs[0])
	}
	one := b.through(b.begin(paid("")).ID)
	if one.Status != job.ReplayDone || one.Made != 20 {
		t.Errorf("the replay came to %+v", one)
	}
	a.eventually("the node that was not asked to know", func() bool {
		r, err := a.client.Replayed(t.Context(), one.ID)
		return err == nil && r.Status == job.ReplayDone
	})
	slow := paid("")
	slow.Rate, slow.Fresh = 1, true
	second := b.begin(slow)
	b.eventually("it to be on its way", func() bool {
		r, err := b.client.Replayed(t.Context(), second.ID)
		return err == nil && r.Done > 0
	})
	ended, err := b.client.CancelReplay(t.Context(), second.ID)
	if err != nil || ended.Status != job.ReplayCancelled {
		t.Errorf("cancelled it is %+v: %v", ended, err)
	}
	list, _, err := a.client.Jobs(t.Context(), store.Filter{Limit: 500})
	must(t, err)
	if len(list) < 40 || len(list) > 50 {
		t.Errorf("there are %d jobs", len(list))
	}
}
