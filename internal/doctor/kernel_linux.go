package doctor

import (
	"context"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tenterhook/tenterhook/internal/launch"
)

func init() { register(check{80, "kernel", lookKernel}) }

// fewFiles is fewer than connections, jobs and the store want in a busy moment.
const fewFiles = 4096

func lookKernel(_ context.Context, s *Subject, r *report) {
	if controllers, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		r.ok("control groups (version 2): %s", strings.Join(strings.Fields(string(controllers)), " "))
	} else {
		r.warn("boot with systemd.unified_cgroup_hierarchy=1", "there are no control groups of version 2: limits: cpu cannot hold, memory only for each process")
	}
	if err := (&launch.Sandbox{Read: []string{"/usr"}}).CanSandbox(); err == nil {
		r.ok("Landlock: sandbox: {read, write} works")
	} else {
		r.warn("boot with lsm=…,landlock on Linux 6.2 or later", "sandbox: {read, write} does not work: %v", err)
	}
	if err := (&launch.Sandbox{Network: launch.NetworkNone}).CanSandbox(); err == nil {
		r.ok("network namespaces: sandbox: {network: none} works")
	} else {
		r.warn("sysctl kernel.unprivileged_userns_clone=1, where it is 0", "sandbox: {network: none} does not work: %v", err)
	}
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err == nil && files.Max < fewFiles {
		r.warn("ulimit -n 16384, or LimitNOFILE=16384 in the unit", "only %d files can be open at once", files.Max)
	} else if err == nil {
		r.ok("%d files can be open at once", files.Max)
	}
}
