package sqlite

import "golang.org/x/sys/unix"

// networkFileSystems are those on which SQLite's log, which needs shared memory and working
// locks, is not safe. Everything else is taken, FUSE too: it is also how containers see a disk.
var networkFileSystems = map[uint32]string{
	0x6969:     "NFS",
	0x517b:     "SMB",
	0xff534d42: "CIFS",
	0xfe534d42: "SMB",
	0x01021997: "9p",
	0x5346414f: "AFS",
	0x6b414653: "AFS",
	0x00c36400: "Ceph",
	0x73757245: "Coda",
	0x564c:     "NCP",
	0x0bd00bd0: "Lustre",
	0x786f4256: "a VirtualBox shared folder",
}

// networkFileSystem names the network file system dir is on, or returns "".
func networkFileSystem(dir string) (string, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return "", err
	}
	return networkFileSystems[uint32(s.Type)], nil
}
