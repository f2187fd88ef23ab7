package daemon_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// storageFaults are system calls of the store that fail, and how.
var storageFaults = []struct{ id, calls, fault string }{
	{"B3", "fsync,fdatasync", "EIO"},
	{"B2", "pwrite64,write", "EIO"},
	{"B1", "pwrite64,ftruncate", "ENOSPC"},
}

// TestStorageFault_NothingIsAcknowledgedFalsely has the Nth write or sync of the running daemon
// fail, once and from then on: it may refuse, and it may end, but what it acknowledged is there
// when it is started again on a disk that works.
// TENTERHOOK_FAULTS sets up to which N; without it a few are tried.
func TestStorageFault_NothingIsAcknowledgedFalsely(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("faults are injected by strace, which is not installed")
	}
	build(t)
	for _, f := range storageFaults {
		for _, sticky := range []string{"", "+"} {
			t.Run(f.id+"_"+f.calls+"_"+f.fault+sticky, func(t *testing.T) {
				t.Parallel()
				w := newWalk(t)
				first := launch(t, w.dir) // makes the file: that is not what is to fail
				must(t, w.send(first.url, w.serial.Add(1), ""))
				first.end(t)
				met, refused, runs := 0, 0, 0
				for i := range rounds(t, "TENTERHOOK_FAULTS", len(fewFaults)) {
					n := fewFaults[i%len(fewFaults)]
					if os.Getenv("TENTERHOOK_FAULTS") != "" {
						n = i + 1
					}
					runs++
					injected, no := w.fault(f.calls, fmt.Sprintf("error=%s:when=%d%s", f.fault, n, sticky))
					met, refused = met+injected, refused+no
				}
				w.finish()
				t.Logf("%d runs with %s of %s: %d calls failed, %d requests without an acknowledgement", runs, f.fault, f.calls, met, refused)
				none(t, w.acked, "deliveries acknowledged while a call failed was lost")
				if met == 0 {
					t.Error("no call failed, nothing was shown")
				}
			})
		}
	}
}

// fewFaults are the calls that fail in the short form, counted for each thread.
var fewFaults = []int{3, 10, 25, 90}

// fault runs the daemon under a fault until it ends, or was refused or acknowledged enough.
func (w *walk) fault(calls, how string) (injected, refused int) {
	w.t.Helper()
	trace := filepath.Join(w.dir, "trace")
	path, err := plain()
	must(w.t, err)
	// Only files of the store: what the log or a socket meets is not the disk's fault.
	args := []string{
		"-f", "-qq", "-o", trace, "-P", filepath.Join(w.disk, "t.db"), "-P", filepath.Join(w.disk, "t.db-wal"),
		"-e", "trace=" + calls, "-e", "inject=" + calls + ":" + how, path,
	}
	cmd := exec.Command("strace", append(args, "serve", "-c", filepath.Join(w.dir, "hooks.yaml"), "--log-format", "json")...)
	p := spawn(w.t, w.dir, cmd)
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // strace and the daemon
		p.kill()
	}()
	select {
	case p.url = <-p.ready:
	case err := <-p.exit: // it did not even start
		p.exit <- err
		return strings.Count(readOr(trace), "(INJECTED)"), 0
	case <-time.After(30 * time.Second):
		w.t.Fatalf("the daemon neither started nor ended\n%s", p.log)
	}
	for i := 0; i < 60 && refused < 5; i++ {
		if w.send(p.url, w.serial.Add(1), "") != nil {
			refused++
		}
	}
	return strings.Count(readOr(trace), "(INJECTED)"), refused
}

func readOr(path string) string {
	text, _ := os.ReadFile(path) // missing is nothing
	return string(text)
}
