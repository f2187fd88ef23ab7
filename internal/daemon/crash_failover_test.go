package daemon_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/store/postgres"
)

// TestFleet_K7_AFailoverLosesNothingAndEveryNodeGoesOn has a standby that confirms every commit, crashes the
// server under three daemons with all flow controls, and promotes the standby.
func TestFleet_K7_AFailoverLosesNothingAndEveryNodeGoesOn(t *testing.T) {
	t.Parallel()
	server, standby, both := withStandby(t)
	ledger := filepath.Join(shortDir(t), "ledger")
	write(t, ledger, "")
	hooks := strings.Replace(flowHooks(ledger), "workers: 16", "workers: 4", 1)
	nodes := []*fleetNode{newFleetNode(t, both, "a", hooks), newFleetNode(t, both, "b", hooks), newFleetNode(t, both, "c", hooks)}
	s, err := postgres.OpenReader(t.Context(), both)
	must(t, err)
	defer func() { _ = s.Close() }()
	w := &flowWalk{t: t}
	enough := w.sendToAll(s, nodes, 100, mostBehind(600))
	defer enough() // also when what is waited for does not come
	within(t, time.Minute, "jobs to run", func() bool { return strings.Count(read(t, ledger), "begin ") > 100+rand.IntN(100) })
	server.Crash(t)
	crashed := time.Now()
	<-time.After(time.Duration(rand.IntN(3000)) * time.Millisecond) // until somebody notices
	promote(t, standby)
	promoted := time.Now()

	var took []string
	for i, n := range nodes {
		within(t, time.Minute, "node "+n.name+" to take deliveries again", func() bool {
			return n.push("/queue", fmt.Sprint("again", n.name, time.Now().UnixNano()), fmt.Sprintf(`{"n":%d,"key":"again%d","pause":0}`, 1_000_000+i, i)) != ""
		})
		took = append(took, fmt.Sprintf("%s %v", n.name, time.Since(promoted).Round(10*time.Millisecond)))
	}
	begun := strings.Count(read(t, ledger), "begin ")
	within(t, time.Minute, "jobs to run again", func() bool { return strings.Count(read(t, ledger), "begin ") > begun+50 })
	t.Logf("the standby was promoted %v after the crash; after that deliveries were taken by %s, and 50 jobs had begun after %v",
		promoted.Sub(crashed).Round(10*time.Millisecond), strings.Join(took, ", "), time.Since(promoted).Round(10*time.Millisecond))
	enough()
	w.checkFleet(s, nodes, ledger)
	none(t, w.accepted.Load(), "jobs of a fleet was lost, or began twice, in a failover to a standby that confirms commits")
}
