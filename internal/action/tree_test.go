package action

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/config"
)

// noneAlive wants every process of the attempt gone now, not soon: the next job of the same
// concurrency key is started at once.
func noneAlive(t *testing.T, f Facts) {
	t.Helper()
	if n := alive(f); n != 0 {
		t.Errorf("%d processes of the job are alive after the run", n)
	}
}

func TestTree_IsGoneWhenTheRunIsOver(t *testing.T) {
	for name, script := range map[string]string{
		"a session of its own, all files closed":        "setsid sleep 600 </dev/null >/dev/null 2>&1 &",
		"a group of its own, all files closed":          "set -m; sleep 600 </dev/null >/dev/null 2>&1 &",
		"a session of its own that ignores SIGTERM":     "setsid sh -c 'trap \"\" TERM; touch ready; while :; do sleep 600; done' </dev/null >/dev/null 2>&1 &\nuntil test -e ready; do sleep 0.01; done",
		"one that starts another when it is terminated": "sh -c 'trap \"setsid sleep 600 & exit\" TERM; touch ready; sleep 600 & wait' </dev/null >/dev/null 2>&1 &\nuntil test -e ready; do sleep 0.01; done",
		"one that forgot its environment":               "env -i sleep 600 </dev/null >/dev/null 2>&1 &",
		"one that forgot it and holds the output":       "env -i sleep 600 &",
		"a stopped one": "sh -c 'kill -STOP $$' >/dev/null 2>&1 &",
		"a hundred of them in ten sessions of their own": "for i in 1 2 3 4 5 6 7 8 9 10; do setsid sh -c 'for j in 1 2 3 4 5 6 7 8 9 10; do sleep 600 & done; wait' >/dev/null 2>&1 & done",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := facts(t)
			rule := "timeout: 60s\ndir: '" + t.TempDir() + "'\nrun: |\n  " + strings.ReplaceAll(script, "\n", "\n  ") + "\n  echo done\n"
			r, out := runWith(t, context.Background(), rule, f)
			succeeded(t, r, out)
			noneAlive(t, f)
			if r.Leftovers == 0 || !strings.HasSuffix(out, "done\n") {
				t.Errorf("%d left over, output %q", r.Leftovers, out)
			}
		})
	}
}

func TestTree_ADaemonThatForkedTwiceIsEnded(t *testing.T) {
	t.Parallel()
	rule, _ := inChild(t, "daemon", "timeout: 60s")
	f := facts(t)
	r, out := runWith(t, context.Background(), rule, f)
	succeeded(t, r, out)
	noneAlive(t, f)
	if r.Leftovers == 0 {
		t.Error("the daemon was not seen")
	}
}

func TestTree_AChainOfSessionsIsEnded(t *testing.T) {
	t.Parallel()
	// Each link of the chain is gone before it can be signalled, unless it is caught on the way.
	rule, dir := inChild(t, "chain", "timeout: 60s")
	rule = strings.Replace(rule, "env: {", "env: {LEFT: '200', ", 1)
	f := facts(t)
	r, out := runWith(t, context.Background(), rule, f)
	succeeded(t, r, out)
	noneAlive(t, f)
	if !exists(filepath.Join(dir, "ready")) || r.Leftovers == 0 {
		t.Errorf("%d left over", r.Leftovers)
	}
}

func TestTree_WhatLeftTheSessionHasTheGraceTimeToo(t *testing.T) {
	t.Parallel()
	rule, dir := inChild(t, "slow", "")
	// The shell is gone at once; what it started in another session is given its time to tidy up.
	rule = strings.Replace(rule, "exec: [", "timeout: 60s\ngrace: 20s\nrun: 'setsid ", 1)
	rule = strings.Replace(rule, "]\n", " & wait'\n", 1)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	go cancelWhen(ctx, cancel, filepath.Join(dir, "ready"))
	f := facts(t)
	r, out := runWith(t, ctx, rule, f)
	if !errors.Is(r.Err, ErrCancelled) {
		t.Errorf("got %v %s", r.Err, out)
	}
	if !exists(filepath.Join(dir, "tidied")) {
		t.Error("it was killed before its grace time was over")
	}
	noneAlive(t, f)
}

// cancelWhen cancels as a person does when a file is there.
func cancelWhen(ctx context.Context, cancel context.CancelCauseFunc, file string) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !exists(file) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
	cancel(ErrCancelled)
}

func TestTree_WhatIgnoresSIGTERMIsKilledAfterTheGraceTime(t *testing.T) {
	t.Parallel()
	rule, dir := inChild(t, "stubborn", "grace: 300ms")
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	go cancelWhen(ctx, cancel, filepath.Join(dir, "ready"))
	f := facts(t)
	began := time.Now()
	r, _ := runWith(t, ctx, rule, f)
	if r.Signal != "SIGKILL" || !errors.Is(r.Err, ErrCancelled) || !strings.HasSuffix(r.Err.Error(), "killed 300ms later") {
		t.Errorf("got %+v", r)
	}
	if took := time.Since(began); took < 300*time.Millisecond || took > 20*time.Second {
		t.Errorf("took %v", took)
	}
	noneAlive(t, f)
}

func TestTree_AStoppedCommandIsTerminatedNotKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	go cancelWhen(ctx, cancel, filepath.Join(dir, "ready"))
	f := facts(t)
	r, out := runWith(t, ctx, "dir: '"+dir+"'\ngrace: 20s\nrun: |\n  trap 'exit 5' TERM\n  touch ready\n  kill -STOP $$\n  sleep 600\n", f)
	if r.ExitCode == nil || *r.ExitCode != 5 {
		t.Errorf("got %+v %s", r, out)
	}
	noneAlive(t, f)
}

func TestRun_DoesNotStartWhatIsCancelledAlready(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(ErrStopping)
	r, _ := runWith(t, ctx, "{run: touch began, dir: '"+dir+"'}", facts(t))
	if !errors.Is(r.Err, ErrStopping) || exists(filepath.Join(dir, "began")) {
		t.Errorf("got %v, began: %t", r.Err, exists(filepath.Join(dir, "began")))
	}
}

func TestRun_TimeoutAndCancellationAreToldApart(t *testing.T) {
	t.Parallel()
	r, _ := runWith(t, context.Background(), "{exec: [sleep, '600'], timeout: 1ms}", facts(t))
	if !r.TimedOut || errors.Is(r.Err, ErrCancelled) || errors.Is(r.Err, ErrStopping) || r.Final {
		t.Errorf("got %+v", r)
	}
}

func TestTree_WhatIsJustAboutToEndIsLeftToIt(t *testing.T) {
	t.Parallel()
	// The shell does not wait for what its output goes through.
	r, out := ran(t, "shell: [bash, -c]\nrun: |\n  exec > >(while read -r line; do echo \"got $line\"; done)\n  for i in 1 2 3 4 5; do echo $i; done\n")
	succeeded(t, r, out)
	if out != "got 1\ngot 2\ngot 3\ngot 4\ngot 5\n" || r.Leftovers != 0 {
		t.Errorf("output %q, %d left over", out, r.Leftovers)
	}
}

func TestStdin_ACommandMayCloseItEarly(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{"at once": "exec 0<&-; echo done", "after a byte": "head -c 1 >/dev/null; echo done", "in the middle of a pipe": "cat | head -c 1 >/dev/null; echo done"} {
		f := facts(t)
		p, err := compiled(t, "run: '"+script+"'").Prepare(delivery(`"`+strings.Repeat("x", 1<<20)+`"`), f)
		if err != nil {
			t.Fatal(err)
		}
		out := NewOutput(1024)
		if r := p.Run(t.Context(), out); r.Err != nil || string(out.Bytes()) != "done\n" {
			t.Errorf("%s: %v %q", name, r.Err, out.Bytes())
		}
	}
}

func BenchmarkRun_OfAProgramThatDoesNothing(b *testing.B) {
	file, d := config.Parse("hooks.yaml", []byte("exec: ['true']"), config.Options{})
	a := Compile(file.Root.Map(d), file.Root, Context{Dir: b.TempDir(), Diagnostics: d})
	f := Facts{Job: "benchmark", Attempt: 1, RunDir: b.TempDir()}
	for b.Loop() {
		p, err := a.Prepare(delivery("{}"), f)
		if err != nil {
			b.Fatal(err)
		}
		if r := p.Run(b.Context(), NewOutput(1024)); r.Err != nil {
			b.Fatal(r.Err)
		}
	}
}
