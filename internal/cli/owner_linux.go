package cli

import (
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives f the owner that a file had. Only root can give files away; anybody else owns
// what they write.
func keepOwner(f *os.File, was fs.FileInfo) {
	if stat, ok := was.Sys().(*syscall.Stat_t); ok {
		_ = f.Chown(int(stat.Uid), int(stat.Gid)) // refused where it is not ours to give
	}
}
