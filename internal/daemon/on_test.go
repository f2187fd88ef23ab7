package daemon_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/postgres/postgrestest"
)

// labelled starts a daemon of a name and with labels on a store.
func labelled(t *testing.T, url, name, labels, hooks string) *running {
	t.Helper()
	return startIn(t, onPostgres(t, url, fmt.Sprintf("node: {name: %s, labels: [%s], lease: 4s}\n%s", name, labels, hooks)))
}

// ruleHook is a hook with one rule of these keys.
func ruleHook(name, rule string) string {
	return "  - name: " + name + "\n    path: /" + name + "\n    provider: github\n    secret: " + secret + "\n    rules:\n      - name: work\n        " +
		strings.ReplaceAll(rule, "\n", "\n        ") + "\n"
}

// jobsOf are the jobs of a delivery, oldest first, once there are so many and all have ended.
func (r *running) endedJobs(delivery string, n int) []admin.Job {
	r.t.Helper()
	var jobs []admin.Job
	r.eventually(fmt.Sprint(n, " jobs to end"), func() bool {
		var err error
		jobs, _, err = r.client.Jobs(r.t.Context(), store.Filter{Delivery: delivery, Limit: 100})
		return err == nil && len(jobs) == n && !slices.ContainsFunc(jobs, func(j admin.Job) bool { return !j.State.Terminal() })
	})
	slices.Reverse(jobs)
	return jobs
}

func targets(jobs []admin.Job) (names []string) {
	for _, j := range jobs {
		names = append(names, j.Target)
	}
	slices.Sort(names)
	return names
}

// reason waits until a job says why it waits.
func (r *running) waitsBecause(id, reason string) {
	r.t.Helper()
	r.eventually("the job to say "+reason, func() bool {
		j, err := r.client.Job(r.t.Context(), id)
		return err == nil && !j.State.Terminal() && j.Attempt == 0 && strings.Contains(j.Reason, reason)
	})
}

func TestOn_EveryNodeWithTheLabelRunsAJobAndSoDoesOneThatComesLate(t *testing.T) {
	t.Parallel()
	url := postgrestest.Schema(t)
	hooks := "hooks:\n" + ruleHook("site", "run: echo ran\non: {every: web}\nconcurrency: {key: one, overflow: replace_pending}\nonce: \"${{ payload.id }}\"")
	a, _, c := labelled(t, url, "a", "web", hooks), labelled(t, url, "b", "web, big", hooks), labelled(t, url, "c", "db", hooks)
	sent := c.push("/site", "d1", "push", `{"id":"x"}`)
	if sent.status != http.StatusAccepted || len(sent.json.Jobs) != 2 {
		t.Fatalf("answer %d %s", sent.status, sent.body)
	}
	jobs := c.endedJobs(sent.json.Delivery, 2)
	if got := targets(jobs); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("there are jobs for %v", got)
	}
	for _, j := range jobs {
		if j.State != job.Succeeded || j.Node != j.Target || j.ConcurrencyKey != "one on "+j.Target {
			t.Errorf("job %+v", j)
		}
	}
	labelled(t, url, "d", "web", hooks)
	jobs = c.endedJobs(sent.json.Delivery, 3)
	if last := jobs[2]; last.Target != "d" || last.Node != "d" || last.State != job.Succeeded || !last.CreatedAt.Equal(jobs[0].CreatedAt.Time) {
		t.Errorf("the node that came late has job %+v", last)
	}
	for _, j := range c.endedJobs(a.push("/site", "d2", "push", `{"id":"x"}`).json.Delivery, 3) {
		if j.State != job.Skipped {
			t.Errorf("once holds for each node, and job %+v", j)
		}
	}
	replayed, err := a.client.Replay(t.Context(), sent.json.Delivery, admin.ReplayAll)
	if err != nil || len(replayed) != 3 {
		t.Errorf("a replay makes %v: %v", replayed, err)
	}
}

// A replay of what failed is for the nodes on which it failed: the others, which look for deliveries that
// they have no job of, are not to run it again.
func TestOn_AReplayOfWhatFailedIsForThoseNodesAlone(t *testing.T) {
	t.Parallel()
	url := postgrestest.Schema(t)
	broken := filepath.Join(shortDir(t), "broken")
	write(t, broken, "")
	hooks := "hooks:\n" + ruleHook("site", "run: '[ \"$NAME\" != b ] || [ ! -e \"$BROKEN\" ]'\non: {every: web}\nenv: {BROKEN: \""+broken+"\", NAME: THIS}")
	a := labelled(t, url, "a", "web", strings.ReplaceAll(hooks, "THIS", "a"))
	labelled(t, url, "b", "web", strings.ReplaceAll(hooks, "THIS", "b"))
	sent := a.push("/site", "d1", "push", "{}")
	jobs := a.endedJobs(sent.json.Delivery, 2)
	if jobs[0].State == jobs[1].State {
		t.Fatalf("jobs %+v", jobs)
	}
	must(t, os.Remove(broken))
	replayed, err := a.client.Replay(t.Context(), sent.json.Delivery, admin.ReplayFailed)
	if err != nil || len(replayed) != 1 {
		t.Fatalf("the replay makes %v: %v", replayed, err)
	}
	a.endedJobs(sent.json.Delivery, 3)
	// A node that comes then gets the job of the delivery, and none of the replay, after those that were there were looked at.
	labelled(t, url, "c", "web", strings.ReplaceAll(hooks, "THIS", "c"))
	jobs = a.endedJobs(sent.json.Delivery, 4)
	if got := targets(jobs); !slices.Equal(got, []string{"a", "b", "b", "c"}) {
		t.Errorf("there are jobs for %v", got)
	}
}

func TestOn_WaitsForANodeWithTheLabelAndSaysSo(t *testing.T) {
	t.Parallel()
	url := postgrestest.Schema(t)
	hooks := "hooks:\n" + ruleHook("every", "run: echo ran\non: {every: web}") + ruleHook("one", "run: echo ran\non: {label: web}") +
		ruleHook("short", "run: echo ran\non: {label: gpu}\nstart_within: 3s") + ruleHook("any", "run: echo ran")
	c := labelled(t, url, "c", "db", hooks)
	every, one, short := c.push("/every", "d1", "push", "{}"), c.push("/one", "d1", "push", "{}"), c.push("/short", "d1", "push", "{}")
	for _, sent := range []answer{every, one} {
		if len(sent.json.Jobs) != 1 {
			t.Fatalf("answer %d %s", sent.status, sent.body)
		}
		c.waitsBecause(sent.json.Jobs[0], "waits for a node with the label web: ")
	}
	if j := c.job(short.json.Jobs[0]); j.State != job.Expired || !strings.Contains(j.Reason, "a node with the label gpu") {
		t.Errorf("job %+v", j)
	}
	if j := c.job(c.push("/any", "d1", "push", "{}").json.Jobs[0]); j.State != job.Succeeded {
		t.Errorf("what can run waits behind what cannot: %+v", j)
	}
	b := labelled(t, url, "b", "web", hooks)
	if j := b.job(one.json.Jobs[0]); j.State != job.Succeeded || j.Node != "b" {
		t.Errorf("job %+v", j)
	}
	jobs := b.endedJobs(every.json.Delivery, 2)
	if w := jobs[0]; w.State != job.Superseded || w.SupersededBy != jobs[1].ID || jobs[1].Node != "b" || jobs[1].State != job.Succeeded {
		t.Errorf("jobs %+v", jobs)
	}
	// A reload that corrects the label reaches what waits.
	must(t, b.stop())
	late := c.push("/one", "d2", "push", "{}").json.Jobs[0]
	c.waitsBecause(late, "waits for a node with the label web: none is up")
	file := filepath.Join(c.dir, "hooks.yaml")
	write(t, file, strings.Replace(read(t, file), "on: {label: web}", "on: {label: db}", 1))
	if j := c.job(late); j.State != job.Succeeded || j.Node != "c" {
		t.Errorf("job %+v", j)
	}
}

func TestOn_ADeadNodesJobMovesOnlyWhereItsRuleLetsIt(t *testing.T) {
	t.Parallel()
	url := postgrestest.Schema(t)
	out := filepath.Join(shortDir(t), "out")
	write(t, out, "")
	run := "run: |\n  echo \"$HOOK_JOB $HOOK_ATTEMPT\" >> \"$OUT\"\n  [ -e \"$OUT.go\" ] || exec sleep 60\nenv: {OUT: \"" + out + "\"}\non_interrupt: retry\n"
	hooks := "hooks:\n" + ruleHook("every", run+"on: {every: web}") + ruleHook("one", run+"on: {label: web}")
	c := labelled(t, url, "c", "db", hooks)
	a := &fleetNode{t: t, name: "a", dir: onPostgres(t, url, "node: {name: a, labels: [web], lease: 2s}\n"+hooks)}
	a.start()
	every, one := c.push("/every", "d1", "push", "{}").json, c.push("/one", "d1", "push", "{}").json
	c.eventually("both to run", func() bool { return strings.Count(read(t, out), "\n") == 2 })
	a.process().kill()
	write(t, out+".go", "")
	b := labelled(t, url, "b", "web", hooks)
	if j := b.job(one.Jobs[0]); j.State != job.Succeeded || j.Node != "b" || j.Attempt != 2 {
		t.Errorf("the job of one node with the label is %+v", j)
	}
	b.waitsFor(c.share(every.Delivery, "a"), 1, "waits for node a with the label web: none is up")
	a.start()
	for _, name := range []string{"a", "b"} {
		if j := b.job(b.share(every.Delivery, name)); j.State != job.Succeeded || j.Node != name {
			t.Errorf("the job of each node with the label is %+v", j)
		}
	}
}

// share is the job of a delivery for a node, once there is one.
func (r *running) share(delivery, node string) (id string) {
	r.t.Helper()
	r.eventually("a job for node "+node, func() bool {
		jobs, _, err := r.client.Jobs(r.t.Context(), store.Filter{Delivery: delivery})
		for _, j := range jobs {
			if j.Target == node {
				id = j.ID
			}
		}
		return err == nil && id != ""
	})
	return id
}

// waitsFor waits until a job that has begun so often says why it waits.
func (r *running) waitsFor(id string, attempt int, reason string) {
	r.t.Helper()
	r.eventually("the job to say "+reason, func() bool {
		j, err := r.client.Job(r.t.Context(), id)
		return err == nil && j.State == job.Queued && j.Attempt == attempt && strings.Contains(j.Reason, reason)
	})
}

func TestOn_OneDaemonOnAFileIsEveryNode(t *testing.T) {
	t.Parallel()
	r := start(t, "node: {name: solo, labels: [web]}\nhooks:\n"+ruleHook("site", "run: echo ran\non: {every: web}"))
	sent := r.push("/site", "d1", "push", "{}")
	if len(sent.json.Jobs) != 1 {
		t.Fatalf("answer %d %s", sent.status, sent.body)
	}
	if j := r.job(sent.json.Jobs[0]); j.State != job.Succeeded || j.Target != "solo" || j.Node != "solo" {
		t.Errorf("job %+v", j)
	}
}
