package launch

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// needs are the controllers that the bounds take.
func (b Bounds) needs() (names []string) {
	for name, on := range map[string]bool{"memory": b.Memory > 0, "cpu": b.CPU > 0, "pids": b.Processes > 0} {
		if on {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Groups is a subtree of control groups (version 2) that was delegated to this process: by a unit
// with Delegate=yes, or by whoever set TENTERHOOK_CGROUP to its folder. Nil is none.
type Groups struct {
	dir         string
	controllers []string
}

// runPrefix begins the names of the groups of runs, and daemonGroup is the daemon's own: a group
// with controllers for its children may hold no processes itself.
const (
	runPrefix   = "run-"
	daemonGroup = "daemon"
)

var taken struct {
	sync.Mutex
	done   bool
	groups *Groups
	err    error
}

// Take takes charge of the control groups that were delegated to this process, once. The error
// says why there are none; runs are then followed by their session and environment.
func Take() (*Groups, error) {
	taken.Lock()
	defer taken.Unlock()
	if !taken.done {
		taken.done = true
		taken.groups, taken.err = take()
	}
	return taken.groups, taken.err
}

// Taken returns what Take found. known is false while nobody has called it: this process is not a
// daemon, and what a daemon will find is not known.
func Taken() (groups *Groups, known bool) {
	taken.Lock()
	defer taken.Unlock()
	return taken.groups, taken.done
}

func take() (*Groups, error) {
	dir, err := delegated()
	if err != nil {
		return nil, err
	}
	g := &Groups{dir: dir}
	own := filepath.Join(dir, daemonGroup)
	if err := os.Mkdir(own, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make control group: %w", err)
	}
	if err := g.moveIn(own); err != nil {
		return nil, err
	}
	available, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return nil, fmt.Errorf("read controllers: %w", err)
	}
	for _, name := range strings.Fields(string(available)) {
		if slices.Contains([]string{"memory", "cpu", "pids"}, name) && put(dir, "cgroup.subtree_control", "+"+name) == nil {
			g.controllers = append(g.controllers, name)
		}
	}
	return g, nil
}

// moveIn moves this process, and whatever else the service manager started beside it, into own.
func (g *Groups) moveIn(own string) error {
	pids, err := readPids(g.dir)
	if err != nil {
		return err
	}
	for _, pid := range append(pids, os.Getpid()) {
		if err := put(own, "cgroup.procs", strconv.Itoa(pid)); err != nil && pid == os.Getpid() {
			return fmt.Errorf("move into own control group: %w", err)
		}
	}
	return nil
}

// delegated finds the folder of the delegated group.
func delegated() (string, error) {
	if dir := os.Getenv("TENTERHOOK_CGROUP"); dir != "" {
		return dir, unix.Access(dir, unix.W_OK)
	}
	mount, err := mountPoint()
	if err != nil {
		return "", err
	}
	path, err := ownPath()
	if err != nil {
		return "", err
	}
	if path == "/" {
		return "", errors.New("no control group was delegated (a systemd unit does so with Delegate=yes)")
	}
	dir := filepath.Join(mount, path)
	if unix.Access(dir, unix.W_OK) != nil || unix.Access(filepath.Join(dir, "cgroup.subtree_control"), unix.W_OK) != nil {
		return "", errors.New("no control group was delegated (a systemd unit does so with Delegate=yes)")
	}
	if os.Getuid() == 0 { // root can write to every group; which one is its own, systemd marks
		var mark [1]byte
		if n, err := unix.Getxattr(dir, "trusted.delegate", mark[:]); err != nil || n != 1 || mark[0] != '1' {
			return "", errors.New("no control group was delegated (a systemd unit does so with Delegate=yes)")
		}
	}
	return dir, nil
}

// mountPoint is where version 2 is mounted.
func mountPoint() (string, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if i := slices.Index(fields, "-"); i > 4 && len(fields) > i+1 && fields[i+1] == "cgroup2" {
			return fields[4], nil
		}
	}
	return "", errors.New("control groups of version 2 are not mounted")
}

// ownPath is the group of this process under version 2.
func ownPath() (string, error) {
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			return path, nil
		}
	}
	return "", errors.New("this process is in no control group of version 2")
}

// Missing returns the controllers that the bounds need and the groups do not have.
func (g *Groups) Missing(b Bounds) []string {
	return slices.DeleteFunc(b.needs(), func(name string) bool { return g != nil && slices.Contains(g.controllers, name) })
}

// New makes a group for one run. name is unique among those that run.
func (g *Groups) New(name string, b Bounds) (*Group, error) {
	if missing := g.Missing(b); len(missing) > 0 {
		return nil, fmt.Errorf("the control group has no %s", strings.Join(missing, ", "))
	}
	run := &Group{dir: filepath.Join(g.dir, runPrefix+name)}
	if err := os.Mkdir(run.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make control group: %w", err)
	}
	err := run.bound(b)
	if err == nil {
		run.file, err = os.Open(run.dir)
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(run.dir))
	}
	return run, nil
}

// Sweep kills what is left in the groups of an earlier daemon, and removes them, except those
// whose names begin with one of keep. It returns how many processes that were.
func (g *Groups) Sweep(keep []string) (ended int) {
	old, _ := filepath.Glob(filepath.Join(g.dir, runPrefix+"*")) // the pattern is a good one
	for _, dir := range old {
		name := strings.TrimPrefix(filepath.Base(dir), runPrefix)
		if slices.ContainsFunc(keep, func(k string) bool { return strings.HasPrefix(name, k+"-") }) {
			continue
		}
		run := &Group{dir: dir}
		ended += len(run.Pids())
		run.Kill()
		run.Remove()
	}
	return ended
}

// Group is the control group of one run: everything the run starts is in it, whatever it does.
type Group struct {
	dir  string
	file *os.File
}

func (g *Group) bound(b Bounds) error {
	var errs []error
	if b.Memory > 0 {
		errs = append(errs, put(g.dir, "memory.max", strconv.FormatUint(b.Memory, 10)), put(g.dir, "memory.oom.group", "1"))
		_ = put(g.dir, "memory.swap.max", "0") // not where there is no swap
	}
	if b.CPU > 0 {
		const period = 100_000 // microseconds
		errs = append(errs, put(g.dir, "cpu.max", fmt.Sprintf("%d %d", max(1000, int(b.CPU*period)), period)))
	}
	if b.Processes > 0 {
		errs = append(errs, put(g.dir, "pids.max", strconv.FormatUint(b.Processes, 10)))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("bound control group: %w", err)
	}
	return nil
}

// Leave lets go of the group without removing it, and returns its folder for OpenGroup.
func (g *Group) Leave() (dir string) {
	_ = g.file.Close() // nothing was written
	return g.dir
}

// OpenGroup opens a group that another process made for a run.
func OpenGroup(dir string) (*Group, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open control group: %w", err)
	}
	return &Group{dir: dir, file: f}, nil
}

// FD is the group's folder, for SysProcAttr.CgroupFD. It stays the group's own.
func (g *Group) FD() int { return int(g.file.Fd()) }

// Pids are the processes in the group and in those that it made inside.
func (g *Group) Pids() []int {
	var all []int
	_ = filepath.WalkDir(g.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			pids, _ := readPids(path) // one that is gone has none
			all = append(all, pids...)
		}
		return nil
	})
	return all
}

// Kill kills everything in the group at once; nothing forks away from it.
func (g *Group) Kill() { _ = put(g.dir, "cgroup.kill", "1") } // gone is as good

// OutOfMemory reports whether the kernel killed the group for its bound of memory.
func (g *Group) OutOfMemory() bool {
	data, err := os.ReadFile(filepath.Join(g.dir, "memory.events"))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(data)) {
		if name, n, _ := strings.Cut(strings.TrimSpace(line), " "); strings.HasPrefix(name, "oom_kill") && n != "0" {
			return true
		}
	}
	return false
}

// removeWait bounds how long a group is tried to be removed whose processes were just killed.
const removeWait = 2 * time.Second

// Remove removes the group, once its last process is gone. One that the kernel does not let go is
// left for the next start's Sweep.
func (g *Group) Remove() {
	if g.file != nil {
		_ = g.file.Close() // nothing was written
	}
	for deadline := time.Now().Add(removeWait); ; time.Sleep(5 * time.Millisecond) {
		var dirs []string
		_ = filepath.WalkDir(g.dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		for _, dir := range slices.Backward(dirs) { // those inside first
			_ = os.Remove(dir)
		}
		if _, err := os.Stat(g.dir); err != nil || time.Now().After(deadline) {
			return
		}
	}
}

func put(dir, name, value string) error {
	return os.WriteFile(filepath.Join(dir, name), []byte(value), 0)
}

func readPids(dir string) ([]int, error) {
	f, err := os.Open(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	var pids []int
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if pid, err := strconv.Atoi(lines.Text()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
