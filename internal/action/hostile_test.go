package action

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// hostileRuns are the processes of which a runner must be afraid. Each has a second of grace.
var hostileRuns = []struct{ what, rule string }{
	{"ignores SIGTERM", "timeout: 300ms\nrun: |\n  trap '' TERM; while :; do sleep 600; done"},
	{"forks twice", "run: |\n  sh -c 'sleep 600 & sleep 600 &' & sleep 0.1"},
	{"leaves the session", "run: |\n  setsid sleep 600 </dev/null >/dev/null 2>&1 &"},
	{"leaves the session, ignores SIGTERM", "run: |\n  setsid sh -c 'trap \"\" TERM; sleep 600; sleep 600' </dev/null >/dev/null 2>&1 & sleep 0.1"},
	{"clears its environment", "run: |\n  env -i sleep 600 &"},
	{"closes its output", "timeout: 300ms\nrun: |\n  exec >&- 2>&-; sleep 600"},
	{"hands its output on", "run: |\n  sleep 600 &"},
	{"10 GB of output", "timeout: 10m\nrun: |\n  head -c 10000000000 /dev/zero"},
	{"one line without an end", "timeout: 2s\nrun: |\n  yes | tr -d '\\n'"},
	{"says nothing for long", "timeout: 2s\nrun: |\n  sleep 600"},
	{"stops itself", "timeout: 300ms\nrun: |\n  kill -STOP $$"},
	{"waits for input", "timeout: 2s\nrun: |\n  cat; read x || exit 0; sleep 600"},
	{"forks when it is terminated", "timeout: 300ms\nrun: |\n  trap 'setsid sleep 600 & setsid sleep 600 & exit' TERM; while :; do sleep 0.05; done"},
	{"a fork bomb under limits.processes", "user: games\nlimits: {processes: 40}\ndir: /\ntimeout: 1s\nrun: |\n  bomb() { bomb | bomb & }; bomb 2>/dev/null; sleep 600"},
	{"writes without end under limits.file_size", "limits: {file_size: 1MiB}\nrun: |\n  cat /dev/zero > endless"},
	{"takes memory without end under limits.memory", "limits: {memory: 64MiB}\ntimeout: 1m\nrun: |\n  tail /dev/zero"},
	{"a folder that it closes", "run: |\n  mkdir \"$(dirname \"$HOOK_PAYLOAD_FILE\")/x\"; chmod 0 \"$(dirname \"$HOOK_PAYLOAD_FILE\")/x\""},
}

// slack is what a machine that tests may add to the grace time and the five seconds after it.
const slack = 15 * time.Second

func TestHostile_IsOverInTimeAndLeavesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("10 GB take a while")
	}
	t.Logf("%-46s %-12s %-10s %-20s %s", "what", "ended after", "left over", "memory of the daemon", "how")
	for _, tt := range hostileRuns {
		if strings.HasPrefix(tt.rule, "user:") && os.Getuid() != 0 {
			continue // only root can bound another user's processes
		}
		dir := "dir: '" + t.TempDir() + "'\n"
		if strings.Contains(tt.rule, "dir: /") {
			dir = ""
		}
		f := facts(t)
		began := time.Now()
		r, _ := runWith(t, context.Background(), dir+"grace: 1s\n"+tt.rule, f)
		took := time.Since(began)
		left := alive(f) + len(leftIn(t, f.RunDir))
		t.Logf("%-46s %-12s %-10d %-20s %v", tt.what, took.Round(10*time.Millisecond), left, fmt.Sprint(resident(t)>>20, " MiB"), cut(fmt.Sprint(r.Err), 60))
		if left > 0 {
			t.Errorf("%s: %d processes or files are left", tt.what, left)
		}
		if strings.Contains(tt.rule, "timeout: 300ms") && took > 300*time.Millisecond+time.Second+5*time.Second+slack {
			t.Errorf("%s: over after %s (%v)", tt.what, took, r.Err)
		}
		if resident(t) > 400<<20 {
			t.Errorf("%s: the daemon takes %d MiB", tt.what, resident(t)>>20)
		}
	}
}

func leftIn(t *testing.T, dir string) []os.DirEntry {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return left
}

// resident is how much memory this process has.
func resident(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal(fmt.Errorf("no VmRSS"))
	return 0
}

func cut(s string, most int) string {
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
