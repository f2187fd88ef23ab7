package daemon_test

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store/postgres/postgrestest"
)

// island is a network of its own, reached by one cable that can be pulled: packets are lost then, and
// nobody is told.
type island struct {
	t             *testing.T
	name          string
	here, there   string // ends of the cable
	address, away string // of its ends
}

// newIsland makes a network namespace, or skips the test where that is not permitted.
func newIsland(t *testing.T) *island {
	t.Helper()
	id := os.Getpid() % 10000
	n := &island{
		t: t, name: fmt.Sprint("th", id), here: fmt.Sprint("tha", id), there: fmt.Sprint("thb", id),
		address: fmt.Sprintf("10.213.%d.1", id%250), away: fmt.Sprintf("10.213.%d.2", id%250),
	}
	if out, err := exec.Command("ip", "netns", "add", n.name).CombinedOutput(); err != nil {
		t.Skipf("a network namespace cannot be made here, which takes root: %v %s", err, out)
	}
	t.Cleanup(func() {
		_ = exec.Command("ip", "netns", "del", n.name).Run()
		_ = exec.Command("ip", "link", "del", n.here).Run()
	})
	for _, args := range []string{
		"link add " + n.here + " type veth peer name " + n.there,
		"link set " + n.there + " netns " + n.name,
		"addr add " + n.address + "/30 dev " + n.here,
		"link set " + n.here + " up",
		"netns exec " + n.name + " ip addr add " + n.away + "/30 dev " + n.there,
		"netns exec " + n.name + " ip link set " + n.there + " up",
		"netns exec " + n.name + " ip link set lo up",
	} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Skipf("a network namespace cannot be joined here: ip %s: %v %s", args, err, out)
		}
	}
	return n
}

// cable pulls the cable out, or puts it in again.
func (n *island) cable(in bool) {
	n.t.Helper()
	state := "down"
	if in {
		state = "up"
	}
	out, err := exec.Command("ip", "link", "set", n.here, state).CombinedOutput()
	if err != nil {
		n.t.Fatalf("set %s %s: %v %s", n.here, state, err, out)
	}
}

// TestFleet_ANodeWhoseCableIsPulledEndsWhatItRunsBeforeAnotherRunsIt loses every packet between a node
// and the database, without a word to either, and gives them back later.
func TestFleet_ANodeWhoseCableIsPulledEndsWhatItRunsBeforeAnotherRunsIt(t *testing.T) {
	t.Parallel()
	n := newIsland(t)
	raw := postgrestest.Schema(t)
	out := filepath.Join(shortDir(t), "out")
	write(t, out, "")
	hooks := "hooks:\n" + ruleHook("slow", "run: |\n  echo \"$HOOK_ATTEMPT begins\" >> \"$OUT\"\n  [ \"$HOOK_ATTEMPT\" = 1 ] || exit 0\n"+
		"  trap 'echo \"$HOOK_ATTEMPT ended\" >> \"$OUT\"; exit 1' TERM\n  while :; do sleep 0.05 || true; done\nenv: {OUT: \""+out+"\"}\non_interrupt: retry\non: {label: web}")
	look := labelled(t, raw, "c", "", hooks)
	u, err := url.Parse(raw)
	must(t, err)
	_, cuttable := throughAt(t, net.JoinHostPort(n.address, "0"), u)
	a := &fleetNode{t: t, name: "a", dir: onPostgres(t, cuttable, "node: {name: a, labels: [web], lease: 4s}\n"+hooks)}
	cmd := exec.Command("ip", "netns", "exec", n.name, build(t), "serve", "-c", filepath.Join(a.dir, "hooks.yaml"), "--log-format", "json")
	a.p = launchCommand(t, a.dir, cmd)
	id := look.push("/slow", "d1", "push", "{}").json.Jobs[0]
	look.eventually("the job to run", func() bool { return strings.Contains(readOr(out), "1 begins") })
	labelled(t, raw, "b", "web", hooks)
	pulled := time.Now()
	n.cable(false)
	j := look.job(id)
	if j.State != job.Succeeded || j.Attempt != 2 || j.Node != "b" {
		t.Errorf("job %+v", j)
	}
	if got := read(t, out); got != "1 begins\n1 ended\n2 begins\n" {
		t.Errorf("it went %q", got)
	}
	t.Logf("with a lease of 4s the job had ended on another node %v after the cable was pulled", time.Since(pulled).Round(100*time.Millisecond))
	back := time.Now()
	n.cable(true)
	look.eventually("the node to be back", func() bool {
		nodes, err := look.client.Nodes(t.Context())
		must(t, err)
		for _, node := range nodes {
			if node.Name == "a" && node.State == "up" && time.Since(node.BeatAt.Time) < 2*time.Second {
				return true
			}
		}
		return false
	})
	t.Logf("it was back %v after the cable was put in again", time.Since(back).Round(100*time.Millisecond))
}
