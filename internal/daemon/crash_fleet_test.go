package daemon_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store/postgres"
	"github.com/tenterhook/tenterhook/internal/store/postgres/postgrestest"
)

// mostBehind is how many jobs may not have ended when more are sent, of as many as are to be sent in all.
func mostBehind(jobs int) int { return min(jobs/2, 3000) }

// fleetLease is short, so that faults three leases long fit into a test.
const fleetLease = 2 * time.Second

// calmLease is one that no node loses because the machine is busy, for tests of what one loses it by.
const calmLease = 6 * time.Second

// fleetNode is a daemon of a fleet, in a process of its own, that can be killed and started again.
type fleetNode struct {
	t    *testing.T
	name string
	dir  string

	mu  sync.Mutex
	p   *process
	all []*process // the earlier ones too
}

func newFleetNode(t *testing.T, url, name, hooks string) *fleetNode {
	t.Helper()
	return leasedNode(t, url, name, fleetLease, hooks)
}

func leasedNode(t *testing.T, url, name string, lease time.Duration, hooks string) *fleetNode {
	t.Helper()
	n := &fleetNode{t: t, name: name, dir: onPostgres(t, url, fmt.Sprintf("node: {name: %s, lease: %s}\n", name, lease)+hooks)}
	n.start()
	return n
}

func (n *fleetNode) start() {
	n.t.Helper()
	p := launch(n.t, n.dir)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.p = p
	n.all = append(n.all, p)
}

func (n *fleetNode) process() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.p
}

// freeze stops the process for a while, as a machine that swaps or a hypervisor does.
func (n *fleetNode) freeze(d time.Duration) {
	n.t.Helper()
	p := n.process().cmd.Process
	must(n.t, p.Signal(syscall.SIGSTOP))
	<-time.After(d) // how long the fault lasts
	must(n.t, p.Signal(syscall.SIGCONT))
}

// push sends a delivery to a node and returns its job, "" when it was not acknowledged.
func (n *fleetNode) push(path, id, body string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", n.process().url+path, strings.NewReader(body))
	must(n.t, err)
	req.Header = http.Header{"X-Hub-Signature-256": {sign(secret, body)}, "X-Github-Delivery": {id}, "X-Github-Event": {"push"}}
	a, err := sendRequest(req)
	if err != nil || a.status != http.StatusAccepted || len(a.json.Jobs) == 0 {
		return ""
	}
	return a.json.Jobs[0]
}

// TestFleet_EveryControlHoldsWhenNodesAreKilledAndFrozen sends jobs to three daemons on one
// database, to rules with all flow controls, and meanwhile kills daemons, and freezes them for
// three leases, until so many jobs are sent. At the end every acknowledged job has ended as its
// controls allow, none was superseded by one that was stored before it, no attempt has begun twice,
// and no lane had more running than its limit.
// TENTERHOOK_FLEET_FAULTS (at least), TENTERHOOK_FLEET_JOBS and TENTERHOOK_FLEET_KEYS set how much.
func TestFleet_EveryControlHoldsWhenNodesAreKilledAndFrozen(t *testing.T) {
	t.Parallel()
	url := postgrestest.Schema(t)
	ledger := filepath.Join(shortDir(t), "ledger")
	write(t, ledger, "")
	faults, jobs, keys := 0, count("TENTERHOOK_FLEET_JOBS", 600), count("TENTERHOOK_FLEET_KEYS", 100)
	hooks := strings.Replace(flowHooks(ledger), "workers: 16", "workers: 6", 1)
	var nodes []*fleetNode
	for _, name := range []string{"a", "b", "c"} {
		nodes = append(nodes, newFleetNode(t, url, name, hooks))
	}
	w := &flowWalk{t: t}
	began := time.Now()
	s, err := postgres.OpenReader(t.Context(), url)
	must(t, err)
	defer func() { _ = s.Close() }()
	enough := w.sendToAll(s, nodes, keys, mostBehind(jobs))
	tell := every(10 * time.Second)
	atLeast := count("TENTERHOOK_FLEET_FAULTS", 4)
	for ; faults == 0 || !timeIsOver() && (faults < atLeast || w.accepted.Load() < int64(jobs)); faults++ {
		if tell() {
			t.Logf("progress: %d faults, %d of %d jobs in %v", faults, w.accepted.Load(), jobs, time.Since(began).Round(time.Second))
		}
		n := nodes[rand.IntN(3)]
		<-time.After(time.Duration(500+rand.IntN(1500)) * time.Millisecond) // the moment of the fault
		if faults%2 == 0 {
			n.process().kill()
			<-time.After(time.Duration(rand.IntN(2)) * 2 * fleetLease) // it is taken over, or is back before
			n.start()
		} else {
			n.freeze(3 * fleetLease)
		}
	}
	enough()
	w.checkFleet(s, nodes, ledger)
	t.Logf("%d faults, %d jobs acknowledged over %d keys in %v, %d requests with unknown outcome; ends: %v",
		faults, w.accepted.Load(), keys, time.Since(began).Round(time.Second), w.unknown.Load(), w.ends)
	none(t, w.accepted.Load(), "jobs of a fleet was lost, began twice or ran beyond its lane's limit in %d kills and freezes", faults)
}

// sendToAll sends to all nodes, from six senders, until the function that it returns is called.
func (w *flowWalk) sendToAll(s *postgres.Reader, nodes []*fleetNode, keys, mostBehind int) (enough func()) {
	var senders sync.WaitGroup
	var ended, behind atomic.Bool
	for i := range 6 {
		senders.Go(func() {
			for at := i; !ended.Load(); {
				if behind.Load() {
					<-time.After(20 * time.Millisecond)
				} else if !w.sendToFleet(nodes[at%len(nodes)], keys/len(flowKinds)) {
					at++ // to another node, as a load balancer does
				}
			}
		})
	}
	senders.Go(func() { // so that there are faults as long as jobs run
		for !ended.Load() {
			if counts, err := s.Counts(w.t.Context()); err == nil {
				behind.Store(total(counts) > mostBehind)
			}
			<-time.After(200 * time.Millisecond)
		}
	})
	return func() { ended.Store(true); senders.Wait() }
}

// checkFleet waits for every job to end and checks what became of all.
func (w *flowWalk) checkFleet(s *postgres.Reader, nodes []*fleetNode, ledger string) {
	live := -1
	defer func() {
		if !w.t.Failed() {
			return
		}
		w.t.Logf("%d jobs have not ended", live)
		for _, id := range w.odd {
			w.t.Logf("job %s:\n%s", id, everything(id, ledger, nodes))
		}
		for _, n := range nodes {
			log := strings.Split(n.process().log.String(), "\n")
			w.t.Logf("end of the log of %s:\n%s", n.name, strings.Join(log[max(0, len(log)-15):], "\n"))
		}
	}()
	within(w.t, 10*time.Minute, "every job to end", func() bool {
		counts, err := s.Counts(w.t.Context())
		must(w.t, err)
		live = total(counts)
		return live == 0
	})
	w.check(s, read(w.t, ledger))
}

// everything is what the ledger and the logs have of a job.
func everything(id, ledger string, nodes []*fleetNode) string {
	var b strings.Builder
	about := func(who, text string) {
		for line := range strings.Lines(text) {
			if strings.Contains(line, id) {
				b.WriteString(who + " " + line)
			}
		}
	}
	content, _ := os.ReadFile(ledger)
	about("ledger", string(content))
	for _, n := range nodes {
		for _, p := range n.all {
			about(n.name, p.log.String())
		}
	}
	return b.String()
}

// sendToFleet sends one delivery to a node. It reports whether it was acknowledged.
func (w *flowWalk) sendToFleet(n *fleetNode, keys int) bool {
	kinds := []string{"queue", "newest", "cancel", "skip", "burst", "first", "throttle", "rate", "sequence", "once"}
	serial := w.serial.Add(1)
	kind, key := kinds[rand.IntN(len(kinds))], rand.IntN(max(1, keys))
	body := fmt.Sprintf(`{"n":%d,"key":"%d","group":"%d-%d","pause":%d}`, serial, key, key, serial/40, rand.IntN(9))
	id := n.push("/"+kind, fmt.Sprint(serial), body)
	if id == "" {
		w.unknown.Add(1)
		<-time.After(20 * time.Millisecond) // a node that is gone refuses at once
		return false
	}
	w.accepted.Add(1)
	w.acked.Store(id, serial)
	return true
}

// TestFleet_ADeadNodesJobsAreTakenOver kills the node that leads and runs a job.
func TestFleet_ADeadNodesJobsAreTakenOver(t *testing.T) {
	t.Parallel()
	url := postgrestest.Schema(t)
	out := filepath.Join(shortDir(t), "out")
	hooks := "workers: 2\n" + strings.Replace(strings.Replace(slowHook, "OUTFILE", out, 1), "sleep 0.2", `[ "$HOOK_ATTEMPT" != 1 ] || sleep 60`, 1) +
		"        on_interrupt: retry\n"
	a := leasedNode(t, url, "a", calmLease, hooks)
	id := a.push("/slow", "d1", `{"key":"k"}`)
	s, err := postgres.OpenReader(t.Context(), url)
	must(t, err)
	defer func() { _ = s.Close() }()
	state := func(want job.State, attempt int) func() bool {
		return func() bool {
			j, err := s.Job(t.Context(), id)
			must(t, err)
			return j.State == want && j.Attempt == attempt
		}
	}
	eventually(t, "the job to run", state(job.Running, 1))
	b := leasedNode(t, url, "b", calmLease, hooks)
	if nodes := listNodes(t, b.dir); len(nodes) != 2 || !nodes[0].Leads || nodes[1].Leads || nodes[0].Jobs != 1 || !nodes[1].Differs { // each has a file of its own
		t.Errorf("nodes: %+v", nodes)
	}
	killed := time.Now()
	a.process().kill()
	eventually(t, "the other node to run it again", state(job.Succeeded, 2))
	took := time.Since(killed)
	j, err := s.Job(t.Context(), id)
	must(t, err)
	if j.Node != "b" {
		t.Errorf("it ran on %q", j.Node)
	}
	t.Logf("with a lease of %v, the job of a leader that was killed had ended elsewhere after %v", calmLease, took.Round(10*time.Millisecond))
}

// TestFleet_WhatFollowsAJobEndsThoughItsNodeAndTheLeaderDie kills the only node while it runs what follows a
// job: the next life leads, and finds a job that neither waits nor is with a node.
func TestFleet_WhatFollowsAJobEndsThoughItsNodeAndTheLeaderDie(t *testing.T) {
	t.Parallel()
	url := postgrestest.Schema(t)
	begun := filepath.Join(shortDir(t), "begun")
	hooks := "hooks:\n" + ruleHook("site", "run: \"true\"\non_success: [{run: 'touch \"$BEGUN\"; sleep 60', env: {BEGUN: \""+begun+"\"}}]")
	n := newFleetNode(t, url, "a", hooks)
	id := n.push("/site", "d1", "{}")
	eventually(t, "what follows to begin", func() bool { _, err := os.Stat(begun); return err == nil })
	n.process().kill()
	n.start()
	s, err := postgres.OpenReader(t.Context(), url)
	must(t, err)
	defer func() { _ = s.Close() }()
	eventually(t, "the job to end", func() bool {
		j, err := s.Job(t.Context(), id)
		must(t, err)
		return j.State == job.Succeeded
	})
}

type listedNode struct {
	Name, State    string
	Leads, Differs bool
	Jobs           int
}

// listNodes is "tenterhook nodes".
func listNodes(t *testing.T, dir string) (nodes []listedNode) {
	t.Helper()
	out, err := exec.Command(build(t), "nodes", "-c", filepath.Join(dir, "hooks.yaml"), "--json").Output()
	must(t, err)
	must(t, json.Unmarshal(out, &nodes))
	return nodes
}
