package daemon

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestUnchanged_LeavesOutWhatWasWritten is of a program that is linked dynamically: its fourth mapping is read only,
// and its pages are not the file's.
func TestUnchanged_LeavesOutWhatWasWritten(t *testing.T) {
	const smaps = `00400000-01494000 r-xp 00000000 fe:00 131 /usr/bin/tenterhook
Rss:                7360 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me sd
01494000-01de1000 r--p 01094000 fe:00 131 /usr/bin/tenterhook
Rss:                9000 kB
Anonymous:             0 kB
01de1000-01de2000 rw-p 019e1000 fe:00 131 /usr/bin/tenterhook
Rss:                   4 kB
Anonymous:             0 kB
01de2000-01de3000 r--p 019e2000 fe:00 131 /usr/bin/tenterhook
Rss:                   4 kB
Anonymous:             4 kB
7f0000000000-7f0000100000 r--p 00000000 fe:00 77 /usr/lib/libc.so.6
Rss:                 100 kB
Anonymous:             0 kB
`
	want := []mapping{{0x400000, 0x1494000}, {0x1494000, 0x1de1000}}
	if diff := cmp.Diff(want, unchanged(smaps, "/usr/bin/tenterhook"), cmp.AllowUnexported(mapping{})); diff != "" {
		t.Error(diff)
	}
}
