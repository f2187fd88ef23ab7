package daemon_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/postgres/postgrestest"
)

// skewed builds the program with a clock that TEST_CLOCK_AHEAD moves, in seconds: the whole of it, by
// another time.Now, and without a word in the program itself. Only the package time is compiled anew,
// and taken by the linker in place of the other one. What others see of it must therefore stay as it
// is, down to its lines and its symbols.
func skewed(t *testing.T) string {
	t.Helper()
	needsBuilt(t)
	dir := t.TempDir()
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(name, args...)
		var said strings.Builder
		cmd.Stderr = &said
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("build with another clock: %s: %v\n%s", name, err, said.String())
		}
		return strings.TrimSpace(string(out))
	}
	folder := filepath.Join(run("go", "env", "GOROOT"), "src", "time")
	source := read(t, filepath.Join(folder, "time.go"))
	const now = "	sec, nsec, mono := runtimeNow()\n	if mono == 0 {\n		return Time{uint64(nsec), sec + unixToInternal, Local}"
	if strings.Count(source, now) == 0 {
		t.Skip("time.Now of this Go is not known here")
	}
	const ahead = `; if v, ok := syscall.Getenv("TEST_CLOCK_AHEAD"); ok { n := int64(0); for _, c := range v { if c != '-' { n = 10*n + int64(c-'0') } }; if v[0] == '-' { n = -n }; sec += n }`
	source = strings.Replace(source, now, strings.Replace(now, "\n", ahead+"\n", 1), 1)
	write(t, filepath.Join(dir, "time.go"), strings.Replace(source, "import (", "import ( \"syscall\";", 1))
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(folder, "time.go"): filepath.Join(dir, "time.go"),
	}})
	must(t, err)
	write(t, filepath.Join(dir, "overlay.json"), string(overlay))
	list := []string{"list", "-export", "-overlay", filepath.Join(dir, "overlay.json"), "-f", "{{.Export}}"}
	if !strings.Contains(run("go", "env", "GOFLAGS"), "-trimpath") { // by which the file would be called as the one it replaces
		list = append(list, "-gcflags=time=-trimpath="+filepath.Join(dir, "time.go")+"=>$GOROOT/src/time/time.go")
	}
	archive := run("go", append(list, "time")...)
	write(t, filepath.Join(dir, "linked"), `#!/bin/sh
tool=$1
case $tool in */link)
	for arg; do
		[ "$before" != -importcfg ] || sed -i "s|^packagefile time=.*|packagefile time=`+archive+`|" "$arg"
		before=$arg
	done ;;
esac
exec "$@"
`)
	must(t, os.Chmod(filepath.Join(dir, "linked"), 0o700))
	program := filepath.Join(dir, "tenterhook")
	run("go", "build", "-toolexec", filepath.Join(dir, "linked"), "-o", program, "../../cmd/tenterhook")
	return program
}

// TestFleet_ANodeWhoseClockIsAnHourOffLosesNothing lets three nodes, two of which are an hour wrong, work
// together, and the wrong ones lead in turn.
func TestFleet_ANodeWhoseClockIsAnHourOffLosesNothing(t *testing.T) {
	t.Parallel()
	program := skewed(t)
	url := postgrestest.Schema(t)
	out := filepath.Join(shortDir(t), "out")
	write(t, out, "")
	begin := "run: echo \"$HOOK_JOB $HOOK_ATTEMPT\" >> \"$OUT\"\nenv: {OUT: \"" + out + "\"}\n"
	hooks := "hooks:\n" + ruleHook("soon", begin+"start_within: 10m") + ruleHook("burst", begin+"debounce: {key: \"${{ payload.key }}\", quiet: 300ms}") +
		ruleHook("again", "run: |\n  echo \"$HOOK_JOB $HOOK_ATTEMPT\" >> \"$OUT\"\n  [ \"$HOOK_ATTEMPT\" = 2 ]\nenv: {OUT: \""+out+"\"}\nretry: {attempts: 3, initial: 200ms, max: 1s}") +
		ruleHook("slow", begin+"throttle: {limit: 20, per: 1s}")
	var nodes []*fleetNode
	for name, ahead := range map[string]string{"fast": "3600", "late": "-3600"} {
		n := &fleetNode{t: t, name: name, dir: onPostgres(t, url, fmt.Sprintf("node: {name: %s, lease: 4s}\n%s", name, hooks))}
		cmd := exec.Command(program, "serve", "-c", filepath.Join(n.dir, "hooks.yaml"), "--log-format", "json")
		cmd.Env = []string{"TEST_CLOCK_AHEAD=" + ahead}
		n.p = launchCommand(t, n.dir, cmd)
		nodes = append(nodes, n)
	}
	right := labelled(t, url, "right", "", hooks)
	var jobs []string
	send := func(round int) {
		t.Helper()
		for i := range 10 {
			for _, n := range nodes {
				for _, kind := range []string{"soon", "burst", "again", "slow"} {
					id := n.push("/"+kind, fmt.Sprint(n.name, round, i), fmt.Sprintf(`{"key":"%s%d"}`, n.name, i))
					if id == "" {
						t.Fatalf("node %s takes nothing\n%s", n.name, n.process().log.String())
					}
					jobs = append(jobs, id)
				}
			}
			jobs = append(jobs, right.push("/soon", fmt.Sprint("r", round, i), "push", "{}").json.Jobs[0])
		}
	}
	send(1)
	for _, id := range jobs {
		right.job(id)
	}
	// Whoever leads, its clock being wrong or not, is killed: another one decides.
	nodes[0].process().kill()
	nodes = nodes[1:]
	send(2)
	begun := map[string]int{}
	for _, id := range jobs {
		j := right.job(id)
		if j.State != job.Succeeded && j.Hook != "burst" {
			t.Errorf("job %+v", j)
		}
		if j.State == job.Expired {
			t.Errorf("job %s of %s expired: %s", j.ID, j.Hook, j.Reason)
		}
	}
	for line := range strings.Lines(read(t, out)) {
		if begun[line]++; begun[line] > 1 {
			t.Errorf("an attempt began twice: %s", line)
		}
	}
	all, err := right.client.Nodes(t.Context())
	must(t, err)
	wrong := 0
	for _, n := range all {
		if n.ClockWrong() {
			wrong++
		}
	}
	if wrong == 0 {
		t.Errorf("nobody says that a clock is wrong: %+v", all)
	}
	deliveries, _, err := right.client.Deliveries(t.Context(), store.Filter{Limit: 500})
	must(t, err)
	newest, oldest := deliveries[0].ReceivedAt.Time, deliveries[0].ReceivedAt.Time
	for _, d := range deliveries {
		if d.ReceivedAt.After(newest) {
			newest = d.ReceivedAt.Time
		}
		if d.ReceivedAt.Before(oldest) {
			oldest = d.ReceivedAt.Time
		}
	}
	t.Logf("%d jobs of 3 nodes, two of them an hour wrong, one of them killed: none lost, none begun twice; received within %v", len(jobs), newest.Sub(oldest))
	if newest.Sub(oldest) > 20*time.Minute {
		t.Errorf("deliveries are kept with times from %v to %v", oldest, newest)
	}
}
