package action

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// deadlineless is a context that only the rule's own timeout can end.
var deadlineless = context.Background()

func TestTree_WhateverAScriptLeavesBehindIsEnded(t *testing.T) {
	for name, script := range map[string]string{
		"a child that holds the output":             "sleep 600 &",
		"a child that closed everything":            "sleep 600 </dev/null >/dev/null 2>&1 &",
		"a child in a session of its own":           "setsid sleep 600 &",
		"a child that ignores the hangup":           "nohup sleep 600 &",
		"a child that ignores SIGTERM":              "sh -c 'trap \"\" TERM; while :; do sleep 600; done' &",
		"a grandchild whose parent is gone":         "(sleep 600 & ) ; true",
		"a grandchild in a session, output open":    "setsid sh -c 'sleep 600 & ' ; true",
		"many of them":                              "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 600 & done",
		"a group of its own, with job control":      "set -m; sleep 600 & true",
		"one that starts another when it is killed": "sh -c 'trap \"sleep 600 & exit\" TERM; sleep 600 & wait' &",
	} {
		t.Run(name, func(t *testing.T) {
			f := facts(t)
			r, out := runWith(t, deadlineless, "timeout: 60s\nrun: |\n  "+script+"\n  echo done\n", f)
			succeeded(t, r, out)
			if !strings.Contains(out, "done") || r.Leftovers == 0 {
				t.Errorf("output %q, %d left over", out, r.Leftovers)
			}
			eventually(t, "every process of the job to be gone", func() bool { return alive(f) == 0 })
		})
	}
}

func TestTree_ATimeoutEndsAllOfIt(t *testing.T) {
	for name, script := range map[string]string{
		"children":                       "sleep 600 & sleep 600 & wait",
		"a session of its own":           "setsid sleep 600 & wait",
		"all of it ignores SIGTERM":      "trap '' TERM; sh -c 'while :; do sleep 600; done' & wait; while :; do sleep 600; done",
		"a pipe":                         "yes | sleep 600",
		"its parent does not wait":       "(setsid sleep 600 &) ; sleep 600",
		"stopped":                        "kill -STOP $$",
		"it forks as fast as it can":     "f() { f & sleep 0.02; f & }; sleep 600 & for i in $(seq 200); do sleep 600 & done; wait",
		"it started another, on SIGTERM": "trap 'setsid sleep 600 &' TERM; sleep 600 & wait",
	} {
		t.Run(name, func(t *testing.T) {
			f := facts(t)
			r, out := runWith(t, deadlineless, "timeout: 100ms\ngrace: 100ms\nrun: |\n  "+script+"\n", f)
			if !r.TimedOut || r.Err == nil {
				t.Errorf("got %+v %s", r, out)
			}
			eventually(t, "every process of the job to be gone", func() bool { return alive(f) == 0 })
		})
	}
}

func TestStdin_ACommandThatNeverReadsALargeBodyEnds(t *testing.T) {
	a := compiled(t, "run: echo done")
	p, err := a.Prepare(delivery(`{"x":"`+strings.Repeat("x", 4<<20)+`"}`), facts(t))
	if err != nil {
		t.Fatal(err)
	}
	out := NewOutput(1024)
	if r := p.Run(t.Context(), out); r.Err != nil || string(out.Bytes()) != "done\n" {
		t.Errorf("got %v %s", r.Err, out.Bytes())
	}
}

func TestRunDir_GoesAlsoWhenTheScriptFilledIt(t *testing.T) {
	r, out := ran(t, `run: 'cd "$(dirname "$HOOK_PAYLOAD_FILE")" && mkdir -p a/b && echo x > a/b/c && chmod 500 a/b'`)
	succeeded(t, r, out)
}

func TestSweep_EndsWhatADeadDaemonLeftAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	start := func(job, script string) *exec.Cmd {
		cmd := exec.Command("setsid", "sh", "-c", script)
		cmd.Dir = dir
		cmd.Env = []string{"PATH=" + path, "HOOK_JOB=" + job}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // with what the shell started
			_ = cmd.Wait()
		})
		return cmd
	}
	start("sweep-a", "touch a; sleep 600")
	start("sweep-b", "trap '' TERM; touch b; while :; do sleep 600; done")
	start("sweep-other", "touch other; sleep 600")
	for _, name := range []string{"a", "b", "other"} {
		eventually(t, name+" to run", func() bool { return exists(filepath.Join(dir, name)) })
	}
	n, err := Sweep(t.Context(), []string{"sweep-a", "sweep-b", "sweep-gone"})
	if err != nil || n < 2 {
		t.Errorf("ended %d, %v", n, err)
	}
	for job, want := range map[string]bool{"sweep-a": false, "sweep-b": false, "sweep-other": true} {
		if got := alive(Facts{Job: job}) > 0; got != want {
			t.Errorf("%s alive: %t, want %t", job, got, want)
		}
	}
}

func TestCommand_OurOpenFilesAreNotTheCommands(t *testing.T) {
	f, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	r, out := ran(t, `run: ls -l /proc/self/fd`)
	succeeded(t, r, out)
	if strings.Contains(out, f.Name()) {
		t.Errorf("the command has our open file:\n%s", out)
	}
}

// TestCommand_G14_WhatAsksATerminalFindsNone runs this test again on a terminal of its own, from
// which a command could ask whoever sits there.
func TestCommand_G14_WhatAsksATerminalFindsNone(t *testing.T) {
	const onTerminal = "TENTERHOOK_TEST_TERMINAL"
	if os.Getenv(onTerminal) != "" {
		if _, err := os.OpenFile("/dev/tty", os.O_RDWR, 0); err != nil {
			t.Fatalf("the test itself has no terminal: %v", err)
		}
		r, out := ran(t, "timeout: 60s\nstdin: ''\nrun: |\n  read -r x || echo nothing to read\n  (: < /dev/tty) 2>/dev/null || echo no terminal\n  tty || :\n")
		succeeded(t, r, out)
		if out != "nothing to read\nno terminal\nnot a tty\n" {
			t.Errorf("the command says %q", out)
		}
		return
	}
	script, err := exec.LookPath("script")
	if err != nil {
		t.Skip("a terminal is made by script, which is not installed")
	}
	cmd := exec.Command(script, "-qefc", os.Args[0]+" -test.run ^"+t.Name()+"$ -test.v", "/dev/null")
	cmd.Env = append(os.Environ(), onTerminal+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
}
