package action

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/launch"
)

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can run commands as another user")
	}
}

// openFolder makes a folder that everybody can enter.
func openFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "th-open")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestBounds_AreThoseOfTheCommand(t *testing.T) {
	for name, tt := range map[string]struct{ rule, want string }{
		"files":              {"limits: {files: 77}\nrun: ulimit -n", "77\n"},
		"file size":          {"limits: {file_size: 1MiB}\nrun: ulimit -f", "2048\n"}, // blocks of 512 bytes
		"no core":            {"limits: {files: 99}\nrun: ulimit -c", "0\n"},
		"umask":              {"umask: \"027\"\nrun: umask", "0027\n"},
		"no new privileges":  {"no_new_privs: true\nrun: grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t1\n"},
		"nothing of ours":    {"umask: \"027\"\nrun: env | grep -c LAUNCH || true", "0\n"},
		"no file of ours":    {"umask: \"027\"\nrun: ls /proc/self/fd | wc -l", "4\n"}, // 0, 1, 2 and the listing's own
		"its own exit":       {"umask: \"027\"\nrun: exit 0", ""},
		"its own first word": {"umask: \"027\"\nexec: [sh, -c, 'echo $0', me]", "me\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, out := ran(t, tt.rule)
			succeeded(t, r, out)
			if out != tt.want {
				t.Errorf("output %q, want %q", out, tt.want)
			}
		})
	}
}

func TestBounds_EndWhatGoesBeyondThem(t *testing.T) {
	for name, tt := range map[string]struct{ rule, signal string }{
		"file size": {"limits: {file_size: 64KiB}\nexec: [sh, -c, 'exec head -c 1000000 /dev/zero > big']", "SIGXFSZ"},
		"memory":    {"limits: {memory: 64MiB}\nrun: tail /dev/zero", ""}, // which keeps a line that never ends
		"files":     {"limits: {files: 8}\nrun: exec 3</dev/null 4</dev/null 5</dev/null 6</dev/null 7</dev/null 8</dev/null; echo all open", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, out := ran(t, "dir: '"+t.TempDir()+"'\n"+tt.rule)
			if r.Err == nil || r.Signal != tt.signal {
				t.Errorf("err %v, signal %q, output %q", r.Err, r.Signal, out)
			}
		})
	}
}

func TestBounds_AProgramThatCannotStartIsTheDaemonsToTell(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "script"), []byte("#!/no/such/interpreter\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, bounds := range []string{"", "umask: \"027\"\n"} {
		r, _ := ran(t, bounds+"dir: '"+dir+"'\nexec: [./script]")
		if r.Err == nil || r.ExitCode != nil || r.Err.Error() != "could not start: "+filepath.Join(dir, "script")+": the interpreter in its first line does not exist" {
			t.Errorf("%q: %v, exit code %v", bounds, r.Err, r.ExitCode)
		}
	}
}

func TestUser_OwnsWhatItIsGivenAndNothingElse(t *testing.T) {
	needsRoot(t)
	dir := openFolder(t)
	r, out := ran(t, `user: nobody
dir: '`+dir+`'
files: {LETTER: "dear ${{ payload.name }}"}
run: |
  id -un; id -gn; echo "$USER"
  cat "$HOOK_PAYLOAD_FILE" > /dev/null && echo reads its payload
  cat "$LETTER"; echo
  stat -c '%a %U' "$HOOK_PAYLOAD_FILE" "$(dirname "$HOOK_PAYLOAD_FILE")"
  cat /etc/shadow 2>/dev/null || echo no shadow
  touch here 2>/dev/null || echo no writing
  grep NoNewPrivs /proc/self/status
`)
	succeeded(t, r, out)
	want := "nobody\nnogroup\nnobody\nreads its payload\ndear O'Hara; rm -rf / $(id)\n400 nobody\n700 nobody\nno shadow\nno writing\nNoNewPrivs:\t1\n"
	if out != want {
		t.Errorf("output\n%s\nwant\n%s", out, want)
	}
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), "tenterhook-*-*", payloadFile))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestUser_G16_CannotTouchTheDaemon tries what a command of the daemon's own user could do.
func TestUser_G16_CannotTouchTheDaemon(t *testing.T) {
	needsRoot(t)
	state := t.TempDir() // as the folder of a store is: its owner's only
	r, out := ran(t, `user: nobody
dir: '`+openFolder(t)+`'
env: {DAEMON: "`+strconv.Itoa(os.Getpid())+`", STATE: "`+state+`"}
run: |
  for sign in 0 STOP KILL; do kill -$sign "$DAEMON" 2>/dev/null && echo sent it $sign; done
  for sign in 0 STOP KILL; do kill -$sign "$PPID" 2>/dev/null && echo sent its parent $sign; done
  for file in environ mem maps fd/1 root/etc/shadow; do head -c 1 "/proc/$DAEMON/$file" >/dev/null 2>&1 && echo read its $file; done
  ls "$STATE" >/dev/null 2>&1 && echo looked at its state
  echo x 2>/dev/null > "$STATE/x" && echo wrote to its state
  echo tried
`)
	succeeded(t, r, out)
	if !strings.HasSuffix(out, "tried\n") || strings.Contains(out, "sent") || strings.Contains(out, "read") || strings.Contains(out, "state\n") {
		t.Errorf("the command could\n%s", out)
	}
}

func TestUser_CannotHaveTheDaemonReadForIt(t *testing.T) {
	needsRoot(t)
	p := prepared(t, compiled(t, "user: nobody\ndir: '"+openFolder(t)+"'\nexec: [cat]"), facts(t)).(*preparedCommand)
	dir, err := p.makeDir()
	if err != nil {
		t.Fatal(err)
	}
	defer dir.remove()
	// Another process of the user puts a link to what only root reads in the payload's place.
	payload := filepath.Join(dir.path, payloadFile)
	if err := os.Remove(payload); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/shadow", payload); err != nil {
		t.Fatal(err)
	}
	out := NewOutput(4096)
	if r := p.runIn(t.Context(), dir.path, nil, out); r.Err != nil || string(out.Bytes()) != sample {
		t.Errorf("%v, output %q", r.Err, out.Bytes())
	}
}

func TestUser_ProcessesAreCounted(t *testing.T) {
	needsRoot(t)
	r, out := ran(t, `user: games
dir: '`+openFolder(t)+`'
limits: {processes: 5}
timeout: 60s
run: |
  for i in 1 2 3 4 5 6 7 8; do sleep 5 & done
  echo all there
`)
	if r.Err == nil || strings.Contains(out, "all there") {
		t.Errorf("eight processes began: %v %s", r.Err, out)
	}
}

func TestSandbox_LetsThroughWhatItNames(t *testing.T) {
	box := launch.Sandbox{Read: []string{"/"}, Network: launch.NetworkNone}
	if err := box.CanSandbox(); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	for _, folder := range []string{"in", "out", "secret"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, folder, "file"), []byte(folder), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		script string
		works  bool
	}{
		"reads what it may":            {"cat in/file", true},
		"reads what it may write":      {"cat out/file", true},
		"writes what it may":           {"echo x > out/new && rm out/new", true},
		"moves within what it may":     {"echo x > out/b && mkdir out/a && mv out/b out/a/ && mv out/a/b out/", true},
		"its payload":                  {"cat \"$HOOK_PAYLOAD_FILE\"", true},
		"a file of its own":            {"echo x > \"$(dirname \"$HOOK_PAYLOAD_FILE\")/tmp\"", true},
		"throws output away":           {"echo x > /dev/null", true},
		"writes what it may only read": {"echo x > in/file", false},
		"reads what it may not":        {"cat secret/file", false},
		"through a link":               {"ln -s ../secret/file out/link && cat out/link", false},
		"lists what it may not":        {"ls secret", false},
		"writes elsewhere":             {"echo x > /tmp/th-sandbox-escape", false},
		"reads the daemon's folder":    {"ls /root", false},
		"no network":                   {"grep -v lo: /proc/net/dev | grep :", false},
		"not even loopback":            {"grep -q 'lo:' /proc/net/dev && cat /sys/class/net/lo/operstate 2>/dev/null | grep -q up", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, out := ran(t, "dir: '"+dir+"/in'\nsandbox: {read: ['"+dir+"/in'], write: ['"+dir+"/out'], network: none}\nrun: |\n  cd '"+dir+"'; "+tt.script+"\n")
			if (r.Err == nil) != tt.works {
				t.Errorf("err %v, output %q", r.Err, out)
			}
		})
	}
}

func TestSandbox_TheDirItselfMustBeReadable(t *testing.T) {
	_, d := compileRule(t, "run: ':'\nsandbox: {read: [/etc/hostname]}")
	if err := d.Err(); err == nil {
		t.Error("a command that cannot read its own folder was let through")
	}
}

func TestSandbox_ALoopbackOfItsOwn(t *testing.T) {
	box := launch.Sandbox{Network: launch.NetworkLoopback}
	if err := box.CanSandbox(); err != nil {
		t.Skip(err)
	}
	r, out := ran(t, "sandbox: {network: loopback}\nrun: |\n  cat /proc/net/dev | grep -c : ; grep -c 'lo' /proc/net/if_inet6 || true; cat /proc/net/route | wc -l\n")
	succeeded(t, r, out)
	if !strings.HasPrefix(out, "1\n1\n") { // one interface, and it is up: it has ::1
		t.Errorf("output %q", out)
	}
}

// TestGroup_HoldsWhatLeavesEverythingElse runs in a control group that it makes for itself, as a
// unit with Delegate=yes gives one to the daemon.
func TestGroup_HoldsWhatLeavesEverythingElse(t *testing.T) {
	if dir := os.Getenv("TENTERHOOK_CGROUP"); dir != "" {
		inGroup(t, dir)
		return
	}
	needsRoot(t)
	mount := ""
	for _, candidate := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if _, err := os.Stat(filepath.Join(candidate, "cgroup.procs")); err == nil {
			mount = candidate
		}
	}
	dir := filepath.Join(mount, "tenterhook-test")
	if err := os.Mkdir(dir, 0o755); mount == "" || err != nil {
		t.Skip("control groups of version 2 cannot be made here")
	}
	t.Cleanup(func() {
		for _, group := range []string{filepath.Join(dir, "daemon"), dir} {
			_ = os.Remove(group)
		}
	})
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "TENTERHOOK_CGROUP="+dir)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

func inGroup(t *testing.T, dir string) {
	groups, err := launch.Take()
	if err != nil {
		t.Fatal(err)
	}
	for name, script := range map[string]string{
		"left the session and its environment": "setsid env -i sleep 600 </dev/null >/dev/null 2>&1 &",
		"the same, ignoring SIGTERM":           "setsid env -i sh -c 'trap \"\" TERM; touch ready; while :; do sleep 600; done' </dev/null >/dev/null 2>&1 &\nuntil test -e ready; do sleep 0.01; done",
		"a group inside the group":             "mkdir $(find " + dir + " -maxdepth 1 -name \"run-$HOOK_JOB-*\")/inside; setsid env -i sleep 600 & echo $! > $(find " + dir + " -maxdepth 1 -name \"run-$HOOK_JOB-*\")/inside/cgroup.procs",
		"nothing":                              ":",
	} {
		t.Run(name, func(t *testing.T) {
			f := facts(t)
			began := time.Now()
			r, out := runWith(t, context.Background(), "dir: '"+t.TempDir()+"'\nrun: |\n  "+strings.ReplaceAll(script, "\n", "\n  ")+"\n", f)
			succeeded(t, r, out)
			if name != "nothing" && r.Leftovers == 0 {
				t.Errorf("%d left over", r.Leftovers)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "run-*")); len(left) > 0 {
				t.Errorf("groups are left: %v", left)
			}
			t.Logf("over after %s", time.Since(began).Round(time.Millisecond))
		})
	}
	t.Run("a daemon that died left some", func(t *testing.T) {
		group, err := groups.New("old", launch.Bounds{})
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("sleep", "600")
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: group.FD()}
		err = cmd.Start()
		runtime.KeepAlive(group) // whose folder it was started in
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		if n := groups.Sweep(nil); n != 1 {
			t.Errorf("%d ended, want 1", n)
		}
		if err := <-ended; err == nil || err.Error() != "signal: killed" {
			t.Errorf("ended with %v", err)
		}
	})
}
