package daemon_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSystemd_L4_AWriterThatIsStuckIsNotFed lets one sync of the store take 20 seconds while a
// service manager listens that would restart what is silent for 3.
func TestSystemd_L4_AWriterThatIsStuckIsNotFed(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("the hang is injected by strace, which is not installed")
	}
	w := newWalk(t)
	first := launch(t, w.dir)
	must(t, w.send(first.url, w.serial.Add(1), ""))
	first.end(t)

	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(w.dir, "notify"), Net: "unixgram"})
	must(t, err)
	defer func() { _ = manager.Close() }()
	cmd := serveCommand(t, w.dir, "strace", "-f", "-qq", "-o", filepath.Join(w.dir, "trace"), "-P", filepath.Join(w.disk, "t.db-wal"),
		"-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:delay_enter=20000000:when=4")
	cmd.Env = []string{"NOTIFY_SOCKET=" + filepath.Join(w.dir, "notify"), "WATCHDOG_USEC=3000000"}
	p := spawn(t, w.dir, cmd)
	defer func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); p.kill() }()
	select {
	case p.url = <-p.ready:
	case <-time.After(60 * time.Second):
		t.Fatalf("the daemon did not start\n%s", p.log)
	}
	fed(t, manager)
	for range 100 {
		if err := w.send(p.url, w.serial.Add(1), ""); err != nil {
			break // the sync hangs
		}
	}
	var longest time.Duration
	began := time.Now()
	for last := began; longest < 3*time.Second; last = time.Now() {
		if time.Since(began) > 60*time.Second {
			t.Fatalf("a daemon whose sync hangs is fed, at the latest after %v", longest)
		}
		fed(t, manager)
		longest = max(longest, time.Since(last))
	}
	t.Logf("a manager that restarts after 3 s heard nothing for %.1f s while a sync hung for 20 s", longest.Seconds())
	if !strings.Contains(p.log.String(), "the watchdog is not fed") {
		t.Errorf("the log does not say why\n%s", p.log)
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	p.kill()
	w.finish()
}

// fed waits until the manager is told that the daemon makes progress.
func fed(t *testing.T, manager *net.UnixConn) {
	t.Helper()
	must(t, manager.SetReadDeadline(time.Now().Add(60*time.Second)))
	buf := make([]byte, 4096)
	for {
		n, err := manager.Read(buf)
		if err != nil {
			t.Fatalf("wait for WATCHDOG=1: %v", err)
		}
		if strings.Contains(string(buf[:n]), "WATCHDOG=1") {
			return
		}
	}
}

// exposure is the last line of systemd-analyze security.
var exposure = regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`)

// TestSystemd_TheUnitsAreAsTightAsTheySay has systemd judge the example units, from 0 (no
// exposure) to 10.
func TestSystemd_TheUnitsAreAsTightAsTheySay(t *testing.T) {
	folder := filepath.Join("..", "..", "examples", "systemd")
	unit := read(t, filepath.Join(folder, "tenterhook.service"))
	if !strings.Contains(unit, "\nLoadCredential=") {
		t.Error("the unit's secret is no credential")
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("the units are not judged: systemd-analyze is not here")
	}
	for name, c := range map[string]struct {
		dropIn string
		most   float64
	}{
		"the strict unit":         {"", 1.5},
		"the profile for scripts": {read(t, filepath.Join(folder, "scripts.conf")), 6},
	} {
		t.Run(name, func(t *testing.T) {
			dir := shortDir(t)
			write(t, filepath.Join(dir, "tenterhook.service"), unit)
			if c.dropIn != "" {
				must(t, os.Mkdir(filepath.Join(dir, "tenterhook.service.d"), 0o700))
				write(t, filepath.Join(dir, "tenterhook.service.d", "scripts.conf"), c.dropIn)
			}
			out, err := exec.Command(analyze, "security", "--offline=yes", "--no-pager", filepath.Join(dir, "tenterhook.service")).CombinedOutput()
			m := exposure.FindSubmatch(out)
			if m == nil {
				t.Skipf("this systemd-analyze cannot judge a unit that does not run: %v %s", err, out)
			}
			score, err := strconv.ParseFloat(string(m[1]), 64)
			must(t, err)
			t.Logf("exposure %.1f", score)
			if score > c.most {
				t.Errorf("exposure %.1f, at most %.1f is promised", score, c.most)
			}
		})
	}
}
