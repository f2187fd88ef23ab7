package doctor

import (
	"context"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

func init() { register(check{30, "disk", lookDisk}) }

// fileSystems are the kinds one meets, by the kernel's magic number.
var fileSystems = map[uint32]string{
	unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs", unix.TMPFS_MAGIC: "tmpfs",
	unix.OVERLAYFS_SUPER_MAGIC: "overlay", unix.F2FS_SUPER_MAGIC: "f2fs", 0x2fc12fc1: "zfs", unix.FUSE_SUPER_MAGIC: "fuse",
	unix.NFS_SUPER_MAGIC: "nfs", 0xff534d42: "cifs", 0xfe534d42: "smb", 0x01021997: "9p", unix.RAMFS_MAGIC: "ramfs", 0xca451a4e: "bcachefs",
}

// The free space that is too little for a day, and for a minute.
const (
	little    = 2 << 30
	tooLittle = 200 << 20
)

func lookDisk(_ context.Context, s *Subject, r *report) {
	if s.file() == "" {
		return
	}
	dir := filepath.Dir(s.file())
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir) // it is made at the first start
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		r.problem("", "the disk of %s cannot be looked at: %v", dir, err)
		return
	}
	free := disk.Bavail * uint64(disk.Bsize)
	const fix = "free some, or store less: store: {retention: {for: 7d}}"
	switch {
	case free < tooLittle:
		r.problem(fix, "only %s are free for the store in %s", size(free), dir)
	case free < little:
		r.warn(fix, "%s are free for the store in %s", size(free), dir)
	default:
		r.ok("%s are free for the store in %s", size(free), dir)
	}
	if disk.Files > 0 && disk.Ffree < 1000 {
		r.problem("remove files that are not needed", "the disk of %s has room for %d more files", dir, disk.Ffree)
	}
	lookFileSystem(fileSystems[uint32(disk.Type)], dir, r)
}

func lookFileSystem(kind, dir string, r *report) {
	switch kind {
	case "nfs", "cifs", "smb", "9p":
		r.problem("store: {url: sqlite:/var/lib/tenterhook/tenterhook.db}", "%s is on a network (%s), where SQLite is not safe", dir, kind)
	case "tmpfs", "ramfs":
		r.warn("store: {url: sqlite:/var/lib/tenterhook/tenterhook.db}", "%s is in memory (%s): a restart of the machine loses everything", dir, kind)
	case "overlay":
		r.warn("mount a volume there", "%s belongs to a container (overlay): it is gone when the container is made anew", dir)
	case "":
		r.ok("the file system is of a kind this program does not know by name")
	default:
		r.ok("the file system is %s", kind)
	}
}
