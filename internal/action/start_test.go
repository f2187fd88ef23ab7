package action

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestEnvironment_IsExactlyWhatTheLanguageSays(t *testing.T) {
	for _, name := range []string{"NOTIFY_SOCKET", "LISTEN_FDS", "WATCHDOG_USEC", "CREDENTIALS_DIRECTORY", "INVOCATION_ID", "LD_PRELOAD_", "HOOK_OTHER", "TENTERHOOK_SERVER__LISTEN"} {
		t.Setenv(name, "of the daemon")
	}
	rule, dir := inChild(t, "environ", "")
	rule = strings.Replace(rule, "env: {", `env: {NIL: "${{ payload.nil }}", EMPTY: "", PATH: /bin, LANG: C, `, 1)
	f := facts(t)
	f.Event = "pu\x00sh"
	r, out := runWith(t, t.Context(), rule, f)
	succeeded(t, r, out)
	got := map[string]string{}
	for line := range strings.SplitSeq(out, "\n") {
		name, value, _ := strings.Cut(line, "=")
		got[name] = value
	}
	if !strings.HasPrefix(got["HOOK_PAYLOAD_FILE"], f.RunDir+"/") {
		t.Errorf("the payload is in %s", got["HOOK_PAYLOAD_FILE"])
	}
	delete(got, "HOOK_PAYLOAD_FILE")
	want := map[string]string{
		"PATH": "/bin", "LANG": "C", "EMPTY": "", "CHILD": "environ", "DIR": dir, "USER": identity()["USER"], "HOME": identity()["HOME"],
		"HOOK_NAME": "site", "HOOK_RULE": "deploy", "HOOK_EVENT": "push", "HOOK_DELIVERY": "delivery-1", "HOOK_JOB": f.Job, "HOOK_ATTEMPT": "1",
	}
	if tz := identity()["TZ"]; tz != "" {
		want["TZ"] = tz
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

// gone compiles a rule that is fine, then takes away what it needs and runs it.
func gone(t *testing.T, rule string, take func()) Result {
	t.Helper()
	a := compiled(t, rule)
	p := prepared(t, a, facts(t))
	take()
	return p.Run(t.Context(), NewOutput(1024))
}

func TestStart_SaysWhatIsMissing(t *testing.T) {
	folder := func(name string) string {
		dir := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	script := func(text string) string {
		file := filepath.Join(t.TempDir(), "script")
		if err := os.WriteFile(file, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		return file
	}
	must := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	dir, plain, unknown := folder("workdir"), script("#!/bin/sh\n"), script("#!/no/such/interpreter\n")
	removed, binary := script("#!/bin/sh\n"), script("\x7fELF but not really")
	for name, tt := range map[string]struct {
		rule string
		take func()
		want string
	}{
		"the folder is gone":         {"{run: ':', dir: '" + dir + "'}", func() { must(os.Remove(dir)) }, "could not start: folder " + dir + " does not exist"},
		"the program is gone":        {"exec: ['" + removed + "']", func() { must(os.Remove(removed)) }, "could not start: " + removed + ": no such file"},
		"it is not executable":       {"exec: ['" + plain + "']", func() { must(os.Chmod(plain, 0o600)) }, "could not start: " + plain + ": permission denied"},
		"its interpreter is missing": {"exec: ['" + unknown + "']", func() {}, "could not start: " + unknown + ": the interpreter in its first line does not exist"},
		"it is no program":           {"exec: ['" + binary + "']", func() {}, "could not start: " + binary + ": exec format error"},
	} {
		t.Run(name, func(t *testing.T) {
			r := gone(t, tt.rule, tt.take)
			if r.Err == nil || !strings.HasPrefix(r.Err.Error(), tt.want) || r.ExitCode != nil || r.TimedOut {
				t.Errorf("got %+v, want %q", r, tt.want)
			}
		})
	}
}

func TestStart_ManyProgramsAtOnceThatWereJustWritten(t *testing.T) {
	// A fork in another goroutine can hold the file open for writing for a moment: ETXTBSY.
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			for range 5 {
				file := filepath.Join(t.TempDir(), "script")
				if err := os.WriteFile(file, []byte("#!/bin/sh\nexit 0\n"), 0o700); err != nil {
					t.Fatal(err)
				}
				r, out := ran(t, "exec: ['"+file+"']")
				succeeded(t, r, out)
			}
		})
	}
}

func TestStart_WithoutAPrivateFolderSaysSo(t *testing.T) {
	f := facts(t)
	f.RunDir = filepath.Join(f.RunDir, "missing")
	r := prepared(t, compiled(t, "run: ':'"), f).Run(t.Context(), NewOutput(1024))
	if r.Err == nil || !strings.HasPrefix(r.Err.Error(), "could not start: ") {
		t.Errorf("got %+v", r)
	}
}

func TestPrepare_RefusesArgumentsAndEnvironmentThatAreTooLargeTogether(t *testing.T) {
	value := strings.Repeat("x", 120_000)
	for name, rule := range map[string]string{
		"arguments":                 "exec: [echo" + strings.Repeat(`, "${{ payload.x }}"`, 20) + "]",
		"arguments and environment": "exec: [echo" + strings.Repeat(`, "${{ payload.x }}"`, 8) + "]\nenv: {A: '${{ payload.x }}', B: '${{ payload.x }}', C: '${{ payload.x }}', D: '${{ payload.x }}', E: '${{ payload.x }}', F: '${{ payload.x }}'}",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := compiled(t, rule).Prepare(delivery(`{"x":"`+value+`"}`), facts(t))
			if err == nil || !strings.Contains(err.Error(), "together are larger than") || len(err.Error()) > 200 {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestPrepare_WhatItLetsThroughCanStart(t *testing.T) {
	// Just under every bound: the kernel's own must not be met first.
	var rule strings.Builder
	rule.WriteString("exec: ['true', '${{ payload.x }}']\nenv:\n")
	for i := range 10 {
		fmt.Fprintf(&rule, "  V%d: '${{ payload.x }}'\n", i)
	}
	body := `{"x":"` + strings.Repeat("x", largestValue-3) + `"}`
	f := facts(t)
	f.Event = strings.Repeat("e", 1000)
	p, err := compiled(t, rule.String()).Prepare(delivery(body), f)
	if err != nil {
		t.Fatal(err)
	}
	if r := p.Run(t.Context(), NewOutput(1024)); r.Err != nil {
		t.Errorf("got %+v", r)
	}
}

func TestPrepare_RefusesAnEventThatNoVariableCanHold(t *testing.T) {
	f := facts(t)
	f.Event = strings.Repeat("e", largestValue)
	if _, err := compiled(t, "run: ':'").Prepare(delivery("{}"), f); err == nil || !strings.Contains(err.Error(), "HOOK_EVENT") || len(err.Error()) > 200 {
		t.Errorf("got %v", err)
	}
}

func TestRunDir_GoesAlsoWhenItHoldsFoldersNobodyMayWrite(t *testing.T) {
	// The right to pass over file modes is a thread's own; the goroutine takes its thread along.
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		if err := unix.Capget(&header, &data[0]); err != nil {
			t.Error(err)
			return
		}
		data[0].Effective &^= 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH
		if err := unix.Capset(&header, &data[0]); err != nil {
			t.Error(err)
			return
		}
		dir := t.TempDir()
		closed := filepath.Join(dir, "x", "closed")
		if err := os.MkdirAll(filepath.Join(closed, "inner"), 0o700); err != nil {
			t.Error(err)
		}
		outside := filepath.Join(t.TempDir(), "outside")
		if err := os.Mkdir(outside, 0o500); err != nil {
			t.Error(err)
		}
		if err := os.Symlink(outside, filepath.Join(dir, "x", "link")); err != nil {
			t.Error(err)
		}
		for _, mode := range []struct {
			name string
			to   os.FileMode
		}{{filepath.Join(closed, "inner"), 0}, {closed, 0o500}, {filepath.Join(dir, "x"), 0o100}} {
			if err := os.Chmod(mode.name, mode.to); err != nil {
				t.Error(err)
			}
		}
		removeAll(filepath.Join(dir, "x"))
		if exists(filepath.Join(dir, "x")) {
			t.Error("the folder is still there")
		}
		if info, err := os.Stat(outside); err != nil || info.Mode().Perm() != 0o500 {
			t.Errorf("what a link leads to was touched: %v %v", info, err)
		}
	}()
	<-done
}
