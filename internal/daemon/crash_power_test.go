package daemon_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestPowerCut_A13_WhatWasAcknowledgedIsOnDisk has the store on a file system of its own, which it
// shuts down under load without writing anything back, as a power cut does: what was not synced is
// gone. The daemon is killed, the file system mounted again, and everything acknowledged must be
// there and end.
//
// Unlike after a power cut the daemon runs on until it is killed, and the kernel is no help: it
// reports success of a sync that was under way when the file system was shut down, and drops its
// data. (A program that only writes and syncs showed it: of 213,000 syncs in 600 shutdowns none was
// lost that had returned before, but 125 that returned 0 afterwards.) So what is acknowledged or
// begun after that moment is no more than a request without an answer and a process without power.
// TENTERHOOK_POWER_CUTS sets how many.
func TestPowerCut_A13_WhatWasAcknowledgedIsOnDisk(t *testing.T) {
	t.Parallel()
	d := newCutDisk(t)
	w := newWalkOn(t, shortDir(t), d.path)
	cuts := 0
	for range rounds(t, "TENTERHOOK_POWER_CUTS", 2) {
		cuts++
		p := launch(t, w.dir)
		stop := w.load(p)
		w.until(int(w.count()) + 1 + rand.IntN(200))
		w.powerOff(d.cut, func() { p.kill(); stop() })
		d.remount()
	}
	w.finish()
	t.Logf("%d requests without an answer were sent again", w.resent)
	none(t, int64(cuts), "power cuts lost what was acknowledged")
	none(t, w.acked, "deliveries that were acknowledged before a power cut was lost")
}

// powerOff cuts the power, lets end do away with the daemon, and takes back what was seen of it
// after the cut.
func (w *walk) powerOff(cut, end func()) {
	w.t.Helper()
	w.mu.Lock()
	w.dark = true
	before := w.written()
	cut()
	after := w.written()
	w.mu.Unlock()
	end()
	within(w.t, 20*time.Second, "the scripts to be gone", w.endScripts)
	text, err := os.ReadFile(w.ledger)
	must(w.t, err)
	kept := string(text[:before])
	for line := range strings.Lines(string(text[before:after])) {
		kept += "perhaps " + line // before or after the cut
	}
	must(w.t, os.WriteFile(w.ledger, []byte(kept), 0o600))
	w.dark = false
}

// written is how long the ledger is.
func (w *walk) written() int64 {
	info, err := os.Stat(w.ledger)
	if errors.Is(err, os.ErrNotExist) {
		must(w.t, os.WriteFile(w.ledger, nil, 0o600))
		return 0
	}
	must(w.t, err)
	return info.Size()
}

// endScripts kills what writes to the ledger and reports whether nothing is left that does.
func (w *walk) endScripts() (gone bool) {
	all, err := filepath.Glob("/proc/[0-9]*/environ")
	must(w.t, err)
	gone = true
	for _, path := range all {
		if environ := readOr(path); strings.Contains(environ, "LEDGER="+w.ledger+"\x00") {
			gone = false
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			must(w.t, err)
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	return gone
}

// cutDisk is an ext4 file system in a file.
type cutDisk struct {
	t           *testing.T
	image, path string
}

func newCutDisk(t *testing.T) *cutDisk {
	d := &cutDisk{t: t, image: filepath.Join(shortDir(t), "image"), path: shortDir(t)}
	f, err := os.Create(d.image)
	must(t, err)
	must(t, f.Truncate(256<<20))
	must(t, f.Close())
	if out, err := exec.Command("mkfs.ext4", "-q", d.image).CombinedOutput(); err != nil {
		t.Skipf("a file system cannot be made here: %v %s", err, out)
	}
	if err := d.mount(); err != nil {
		t.Skipf("a file system in a file cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", d.path).Run() })
	return d
}

func (d *cutDisk) mount() error {
	out, err := exec.Command("mount", "-o", "loop", d.image, d.path).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// cut is EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH, of linux/ext4.h.
func (d *cutDisk) cut() {
	d.t.Helper()
	dir, err := os.Open(d.path)
	must(d.t, err)
	defer func() { _ = dir.Close() }()
	const ext4Shutdown, noLogFlush = 0x8004587d, uint32(2)
	flags := noLogFlush
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, dir.Fd(), ext4Shutdown, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		d.t.Fatalf("shut the file system down: %v", errno)
	}
}

func (d *cutDisk) remount() {
	d.t.Helper()
	within(d.t, 20*time.Second, "the file system to be left by everyone", func() bool { return unix.Unmount(d.path, 0) == nil })
	must(d.t, d.mount())
}
