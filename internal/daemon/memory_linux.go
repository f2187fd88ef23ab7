package daemon

import "golang.org/x/sys/unix"

// leastRunSpace is how much memory a folder for payloads must have to give.
const leastRunSpace = 256 << 20

// roomyMemory reports whether a folder is in memory, has room, and can hold programs.
func roomyMemory(dir string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(dir, &fs) == nil && fs.Type == unix.TMPFS_MAGIC && fs.Flags&unix.ST_NOEXEC == 0 &&
		fs.Bavail*uint64(fs.Bsize) >= leastRunSpace
}
