package daemon_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDiskFull_B1_IsOverWhenThereIsSpaceAgain fills the store's file system under load again and
// again, and frees it. While it is full deliveries are refused, and afterwards the same daemon
// takes them; what it acknowledged, full or not, is there and ends.
// TENTERHOOK_DISK_FULLS sets how often.
func TestDiskFull_B1_IsOverWhenThereIsSpaceAgain(t *testing.T) {
	t.Parallel()
	disk := shortDir(t)
	size := fmt.Sprintf("size=%dm", 64+16*count("TENTERHOOK_DISK_FULLS", 2)) // what is taken while it is full stays
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, size); err != nil {
		t.Skipf("a small file system to fill cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	w := newWalkOn(t, shortDir(t), disk)
	p := launch(t, w.dir)
	fulls := 0
	must(t, w.send(p.url, w.serial.Add(1), ""))
	atFirst := p.openBelow(t, disk)
	for range rounds(t, "TENTERHOOK_DISK_FULLS", 2) {
		fulls++
		for range 50 {
			must(t, w.send(p.url, w.serial.Add(1), ""))
		}
		free := w.fill()                                        // while their jobs run
		eventually(t, "a delivery to be refused", func() bool { // what the log of the store has room for is still taken
			n := w.serial.Add(1)
			much := make([]byte, 25_000)
			for i := range much {
				much[i] = byte(rand.Int()) // which nothing makes smaller
			}
			a, err := w.post(p.url, n, fmt.Sprintf(`{"n":%d,"pause":0,"much":"%x"}`, n, much))
			if err != nil && (a.status != 503 || a.header.Get("Retry-After") == "" || a.json.Error != "cannot_store") {
				t.Fatalf("on a full disk a delivery is answered %d %s %v", a.status, a.body, a.header)
			}
			return err != nil
		})
		free()
		eventually(t, "deliveries to be taken again", func() bool { return w.send(p.url, w.serial.Add(1), "") == nil })
	}
	if files := p.openBelow(t, disk); files > atFirst+10 { // each fault opens the store anew
		t.Errorf("%d files of the store were open before the disk was full, %d after %d times", atFirst, files, fulls)
	}
	p.end(t) // it is the same one, and ends in order
	w.finish()
	t.Logf("%d deliveries were refused and sent again", w.resent)
	none(t, int64(fulls), "full disks wanted a restart")
	none(t, w.acked, "deliveries acknowledged before, on and after full disks was lost")
}

// openBelow is how many files in a folder the process has open. Others come and go with its jobs.
func (p *process) openBelow(t *testing.T, dir string) (n int) {
	t.Helper()
	fds := fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid)
	all, err := os.ReadDir(fds)
	must(t, err)
	for _, fd := range all {
		if path, err := os.Readlink(filepath.Join(fds, fd.Name())); err == nil && strings.HasPrefix(path, dir) {
			n++
		}
	}
	if n == 0 {
		t.Errorf("the process has nothing of %s open", dir)
	}
	return n
}

// fill takes all the space there is.
func (w *walk) fill() (free func()) {
	w.t.Helper()
	path := filepath.Join(w.disk, "filler")
	f, err := os.Create(path)
	must(w.t, err)
	for step := int64(1 << 20); step >= 4096; {
		size, err := f.Seek(0, 2)
		must(w.t, err)
		if unix.Fallocate(int(f.Fd()), 0, size, step) != nil {
			step /= 2
		}
	}
	must(w.t, f.Close())
	return func() { must(w.t, os.Remove(path)) }
}
