package zones

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

const inside = "ZONES_TEST_IN_AN_EMPTY_FOLDER"

// TestLoadLocation_WhereTheMachineHasNoZones asks package time in a process that sees an empty folder only.
func TestLoadLocation_WhereTheMachineHasNoZones(t *testing.T) {
	if os.Getenv(inside) != "" {
		loadWithoutFiles(t)
		return
	}
	t.Parallel()
	child := exec.Command("/proc/self/exe", "-test.run", "^"+t.Name()+"$", "-test.v")
	child.Env = []string{inside + "=1", "TMPDIR=" + t.TempDir()}
	child.SysProcAttr = &syscall.SysProcAttr{}
	if id := os.Getuid(); id != 0 { // who is not root may do it in a namespace
		child.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		child.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: id, Size: 1}}
	}
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func loadWithoutFiles(t *testing.T) {
	if err := syscall.Chroot(t.TempDir()); err != nil {
		t.Skip("not allowed to change the root:", err)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	if name, offset := time.Date(2026, 7, 1, 0, 0, 0, 0, berlin).Zone(); name != "CEST" || offset != 7200 {
		t.Errorf("summer in Berlin is %s, %d s before UTC", name, offset)
	}
	if _, err := time.LoadLocation("Europe/Berlim"); err == nil {
		t.Error("a zone that there is not was loaded")
	}
}
