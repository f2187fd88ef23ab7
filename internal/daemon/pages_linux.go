package daemon

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// dropProgramPages lets go of the pages of the program's file, most of which only its start needed: its code, and
// its constants and tables of functions. They are the file's: those that are used again are mapped again where
// they are, in the system's cache.
func dropProgramPages() {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return
	}
	for _, m := range unchanged(string(smaps), program) {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED) // it is as good to keep them
	}
}

type mapping struct{ from, to uintptr }

// unchanged are the mappings of a file, as /proc/PID/smaps lists them, that nobody writes and that have no page of
// their own. A program that is linked dynamically has one that is read only since its addresses were put in: it has.
func unchanged(smaps, file string) []mapping {
	var found []mapping
	var now mapping
	ours := false
	for line := range strings.Lines(smaps) {
		line = strings.TrimSuffix(line, "\n")
		var next mapping
		var mode string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &next.from, &next.to, &mode); n == 3 {
			now = next
			ours = (mode == "r-xp" || mode == "r--p") && strings.HasSuffix(line, " "+file)
			continue
		}
		if kept, ok := strings.CutPrefix(line, "Anonymous:"); ok && ours && strings.TrimSpace(kept) == "0 kB" {
			found = append(found, now)
		}
	}
	return found
}
