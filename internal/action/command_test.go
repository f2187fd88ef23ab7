package action

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCommand_EnvironmentIsBuiltFromNothing(t *testing.T) {
	t.Setenv("SECRET_OF_THE_DAEMON", "s3cret")
	t.Setenv("TZ", "")
	r, out := ran(t, `
run: env | sort
env: {WHO: "${{ payload.name }}", NUMBER: "${{ payload.n }}", GONE: "${{ payload.nil }}", LIST: "${{ payload.list }}", EMPTY: ""}
files: {BIG: "${{ payload.name }}", NO_FILE: "${{ payload.nil }}"}
`)
	succeeded(t, r, out)
	got := map[string]string{}
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		got[name] = value
	}
	for _, name := range []string{"HOME", "USER", "BIG", "HOOK_PAYLOAD_FILE", "HOOK_JOB"} {
		if got[name] == "" {
			t.Errorf("%s is not set", name)
		}
		delete(got, name)
	}
	delete(got, "_")     // of the shell
	delete(got, "SHLVL") // of the shell
	delete(got, "PWD")   // of the shell, or where it runs
	delete(got, "OLDPWD")
	delete(got, "TMPDIR")
	want := map[string]string{
		"PATH": path, "LANG": "C.UTF-8", "WHO": "O'Hara; rm -rf / $(id)", "NUMBER": "9007199254740993", "LIST": `[1,"a"]`, "EMPTY": "",
		"HOOK_NAME": "site", "HOOK_RULE": "deploy", "HOOK_EVENT": "push", "HOOK_DELIVERY": "delivery-1", "HOOK_ATTEMPT": "1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment: want -, got +:\n%s", diff)
	}
}

func TestCommand_TheBodyIsItsInputAndInAFile(t *testing.T) {
	r, out := ran(t, `run: 'cat; echo; cat "$HOOK_PAYLOAD_FILE"'`)
	succeeded(t, r, out)
	if out != sample+"\n"+sample {
		t.Errorf("got %q", out)
	}
}

func TestCommand_StdinAndFilesCanBeChosen(t *testing.T) {
	r, out := ran(t, `
run: 'cat; echo; cat "$NAME"; stat -c %a "$NAME" "$(dirname "$NAME")"'
stdin: "n is ${{ payload.n }}"
files: {NAME: "${{ payload.name }}"}
`)
	succeeded(t, r, out)
	if out != "n is 9007199254740993\nO'Hara; rm -rf / $(id)400\n700\n" {
		t.Errorf("got %q", out)
	}
}

func TestCommand_ExecPassesEachElementAsOneArgument(t *testing.T) {
	r, out := ran(t, `exec: [printf, "[%s]", "${{ payload.name }}", "${{ payload.nil }}", "a b", "*", "${{ payload.list }}"]`)
	succeeded(t, r, out)
	if want := `[O'Hara; rm -rf / $(id)][][a b][*][[1,"a"]]`; out != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

func TestCommand_RunsInItsFolder(t *testing.T) {
	dir := t.TempDir()
	r, out := ran(t, "{run: pwd, dir: '"+dir+"'}")
	succeeded(t, r, out)
	if strings.TrimSpace(out) != dir {
		t.Errorf("ran in %q", out)
	}
}

func TestCommand_EndsAreTold(t *testing.T) {
	for _, tt := range []struct {
		rule, err, signal string
		code              int // -1: none
	}{
		{"run: exit 0", "", "", 0},
		{"run: exit 3", "exit status 3", "", 3},
		{"run: 'false; echo not reached'", "exit status 1", "", 1},
		{`run: 'echo "$UNSET"'`, "exit status", "", 2},
		{"run: kill -9 $$", "killed by signal SIGKILL", "SIGKILL", -1},
		{"{exec: [sleep, '600'], timeout: 50ms}", "timed out after 50ms; terminated", "SIGTERM", -1},
		{`{run: "trap '' TERM; while :; do sleep 600; done", timeout: 1s, grace: 50ms}`, "timed out after 1s; killed 50ms later", "SIGKILL", -1},
		{`{run: "trap 'exit 7' TERM; while :; do sleep 0.01 || :; done", timeout: 1s}`, "timed out after 1s; terminated", "", 7},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			r, _ := ran(t, tt.rule)
			err := ""
			if r.Err != nil {
				err = r.Err.Error()
			}
			if tt.err == "" && err != "" || !strings.HasPrefix(err, tt.err) || r.Signal != tt.signal {
				t.Errorf("got %q, signal %q; want %q, signal %q", err, r.Signal, tt.err, tt.signal)
			}
			if r.TimedOut != strings.Contains(tt.err, "timed out") {
				t.Errorf("timed out: %t", r.TimedOut)
			}
			if tt.code < 0 && r.ExitCode != nil || tt.code >= 0 && (r.ExitCode == nil || *r.ExitCode != tt.code) {
				t.Errorf("exit code %s, want %d", codeOf(r), tt.code)
			}
		})
	}
}

func codeOf(r Result) string {
	if r.ExitCode == nil {
		return "none"
	}
	return strconv.Itoa(*r.ExitCode)
}

func TestCommand_WhatCannotStartSaysWhy(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "gone.sh")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	a := compiled(t, "exec: ["+script+"]")
	if err := os.Remove(script); err != nil {
		t.Fatal(err)
	}
	r := prepared(t, a, facts(t)).Run(t.Context(), NewOutput(1024))
	if r.Err == nil || !strings.Contains(r.Err.Error(), "could not start") || !strings.Contains(r.Err.Error(), "gone.sh") {
		t.Errorf("got %v", r.Err)
	}
}

func TestPrepare_RefusesWhatTheKernelCannotPass(t *testing.T) {
	long := strings.Repeat("x", 1<<17)
	for _, tt := range []struct{ rule, body, want string }{
		{`exec: [echo, "${{ payload.nul }}"]`, sample, "NUL byte"},
		{`{run: ":", env: {X: "${{ payload.nul }}"}}`, sample, "NUL byte"},
		{`exec: [echo, "${{ payload.x }}"]`, `{"x":"` + long + `"}`, "larger than 128 KiB"},
		{`{run: ":", env: {X: "${{ payload.x }}"}}`, `{"x":"` + long + `"}`, "larger than 128 KiB"},
		{`{run: ":", env: {X: "${{ payload.n * \"a\" }}"}}`, `{"n":1}`, "env X"},
	} {
		a := compiled(t, tt.rule)
		if _, err := a.Prepare(delivery(tt.body), facts(t)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.rule, err, tt.want)
		}
	}
}

func TestPrepare_RefusesAnEnvironmentThatIsTooLargeInAll(t *testing.T) {
	var rule strings.Builder
	rule.WriteString("run: \":\"\nenv:\n")
	for i := range 20 {
		fmt.Fprintf(&rule, "  V%d: \"${{ payload.x }}\"\n", i)
	}
	body := `{"x":"` + strings.Repeat("x", 100_000) + `"}`
	if _, err := compiled(t, rule.String()).Prepare(delivery(body), facts(t)); err == nil || !strings.Contains(err.Error(), "all values together") {
		t.Errorf("got %v", err)
	}
}

func TestOutput_OfAnySizeIsBoundedAndKeepsHeadAndTail(t *testing.T) {
	r, out := ran(t, `{run: "echo first; head -c 50000000 /dev/zero | tr '\\0' x; echo; echo last", limits: {output: 4KiB}}`)
	succeeded(t, r, out)
	if !strings.HasPrefix(out, "first\n") || !strings.HasSuffix(out, "\nlast\n") || !strings.Contains(out, "bytes left out") || len(out) > 4<<10+100 {
		t.Errorf("%d bytes: %.40q … %.40q", len(out), out, out[len(out)-40:])
	}
}

func TestOutput_SecretsAreMaskedAlsoWhenTheyComeInPieces(t *testing.T) {
	r, out := ran(t, `run: 'printf "a hun"; printf "ter2 b hunter22 c hunte"; printf "\n"; echo "$S" >&2'
env: {S: "hunter2hunter2"}`, "hunter2", "hunter22")
	succeeded(t, r, out)
	if want := "a [redacted] b [redacted] c hunte\n[redacted][redacted]\n"; out != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

func TestDescribe_ShowsWhatWouldRunWithoutSecrets(t *testing.T) {
	p := prepared(t, compiled(t, `{exec: [echo, hunter2, "${{ payload.n }}"], env: {TOKEN: hunter2}}`, "hunter2"), facts(t))
	shown := fmt.Sprint(p.Describe())
	if strings.Contains(shown, "hunter2") || !strings.Contains(shown, "9007199254740993") {
		t.Errorf("described as %s", shown)
	}
}

// FuzzMasker splits an output anywhere: no secret comes through whole, and nothing else changes.
func FuzzMasker(f *testing.F) {
	f.Add([]byte("a hunter2 b hunter2hunter2"), uint8(3))
	f.Add([]byte("hunterhunter2"), uint8(1))
	f.Fuzz(func(t *testing.T, output []byte, step uint8) {
		secrets := []string{"hunter2", "ter2h", "xyzxyz"}
		var clean bytes.Buffer
		m := newMask(secrets).writer(&clean)
		for rest := output; len(rest) > 0; {
			n := min(len(rest), int(step)+1)
			if _, err := m.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := m.Flush(); err != nil {
			t.Fatal(err)
		}
		for _, s := range secrets {
			if bytes.Contains(clean.Bytes(), []byte(s)) {
				t.Errorf("%q of %q is in %q", s, output, clean.Bytes())
			}
		}
		var whole bytes.Buffer
		at := newMask(secrets).writer(&whole)
		_, _ = at.Write(output)
		_ = at.Flush()
		if !bytes.Equal(whole.Bytes(), clean.Bytes()) {
			t.Errorf("in pieces %q, in one %q", clean.Bytes(), whole.Bytes())
		}
	})
}

func TestRun_ACancelledRunSaysByWhom(t *testing.T) {
	for _, cause := range []error{ErrCancelled, ErrStopping} {
		ctx, cancel := context.WithCancelCause(context.Background())
		dir := t.TempDir()
		f := facts(t)
		go func() {
			for !exists(filepath.Join(dir, "began")) { // the test fails by its own deadline
				if ctx.Err() != nil {
					return
				}
			}
			cancel(cause)
		}()
		r, out := runWith(t, ctx, "{run: 'touch began; sleep 600', dir: '"+dir+"'}", f)
		cancel(nil)
		if !errors.Is(r.Err, cause) || r.TimedOut {
			t.Errorf("got %v %s", r.Err, out)
		}
	}
}
