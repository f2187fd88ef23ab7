package launch

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"
)

// The helper is this binary, whatever it is: the check is made before its main.
func init() {
	if len(os.Args) > 2 && os.Args[0] == helperName && os.Getenv(specName) != "" {
		become(os.Args[1], os.Args[2:])
	}
}

// become binds the process and turns it into the program. It does not return. It runs on the one
// thread that init has, and what a thread is bound by stays when it becomes another program.
func become(program string, argv []string) {
	OwnFiles()
	var s Spec
	err := json.Unmarshal([]byte(os.Getenv(specName)), &s)
	if err == nil {
		err = s.bind()
	}
	r := report{What: "bind the program"}
	if err == nil {
		env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, variable) })
		err = syscall.Exec(program, argv, env)
		r.What = ""
	}
	var step *stepError
	if errors.As(err, &step) {
		r.What = step.what
	}
	if !errors.As(err, &r.Errno) {
		r.Text = err.Error()
	}
	out, _ := json.Marshal(r) // a report of numbers and texts can be written
	_, _ = syscall.Write(reportFile, out)
	os.Exit(127)
}

// OwnFiles keeps every open file but the standard ones from the programs that are started from now
// on, also those that whoever started this process left open in it.
func OwnFiles() {
	const first = 3
	if unix.CloseRange(first, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	for fd := range 1024 - first { // a kernel before 5.11
		syscall.CloseOnExec(first + fd)
	}
}

type stepError struct {
	what string
	err  error
}

func (e *stepError) Error() string { return e.what + ": " + e.err.Error() }
func (e *stepError) Unwrap() error { return e.err }

// bind applies a spec, in an order in which nothing takes the rights that a later step needs.
func (s *Spec) bind() error {
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"set limits", s.limit},
		{"set up the sandbox's network", s.network},
		{"set no new privileges", s.noNewPrivileges},
		{"sandbox files", s.files},
		{"become another user", s.become},
	} {
		if err := step.do(); err != nil {
			return &stepError{step.what, err}
		}
	}
	return nil
}

func (s *Spec) limit() error {
	if s.Umask != nil {
		syscall.Umask(*s.Umask)
	}
	for _, l := range []struct {
		name  string
		which int
		value uint64
		on    bool
	}{
		{"core", syscall.RLIMIT_CORE, 0, true},
		{"files", syscall.RLIMIT_NOFILE, s.Files, s.Files > 0},
		{"file_size", syscall.RLIMIT_FSIZE, s.FileSize, s.FileSize > 0},
		{"memory", syscall.RLIMIT_DATA, s.Data, s.Data > 0},
		{"processes", unix.RLIMIT_NPROC, s.Processes, s.Processes > 0},
	} {
		if !l.on {
			continue
		}
		var now syscall.Rlimit
		if err := syscall.Getrlimit(l.which, &now); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		if now.Max < l.value && os.Getuid() != 0 {
			continue // a stricter one holds already
		}
		if err := syscall.Setrlimit(l.which, &syscall.Rlimit{Cur: l.value, Max: l.value}); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	return nil
}

func (s *Spec) noNewPrivileges() error {
	if !s.NoNewPrivileges {
		return nil
	}
	return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}

func (s *Spec) become() error {
	u := s.User
	if u == nil {
		return nil
	}
	return errors.Join(syscall.Setgroups(u.Groups), syscall.Setgid(u.GID), syscall.Setuid(u.UID))
}

// Always are what every sandboxed program may read and run, and AlwaysWrite what it may write.
var (
	Always      = []string{"/bin", "/sbin", "/usr", "/lib", "/lib32", "/lib64", "/etc", "/proc", "/dev/urandom", "/dev/random", "/dev/zero", "/run/systemd/resolve"}
	AlwaysWrite = []string{"/dev/null", "/dev/full", "/dev/tty", "/dev/shm"}
)

// files lets the program reach what the sandbox names, and nothing else.
func (s *Spec) files() error {
	if s.Sandbox == nil || len(s.Sandbox.Read)+len(s.Sandbox.Write) == 0 {
		return nil
	}
	var rules []landlock.Rule
	add := func(paths []string, folder, file func(...string) landlock.FSRule) {
		for _, path := range paths {
			info, err := os.Stat(path)
			switch {
			case err != nil: // of those that must be there, the load has said so
			case info.IsDir():
				rules = append(rules, folder(path))
			default:
				rules = append(rules, file(path))
			}
		}
	}
	add(append(slices.Clone(Always), s.Sandbox.Read...), landlock.RODirs, landlock.ROFiles)
	add(append(slices.Clone(AlwaysWrite), s.Sandbox.Write...), rwDirs, landlock.RWFiles)
	return landlock.V3.RestrictPaths(rules...)
}

// rwDirs lets files be renamed and linked between folders too.
func rwDirs(paths ...string) landlock.FSRule { return landlock.RWDirs(paths...).WithRefer() }

// network brings the loopback interface up that a new network namespace has down.
func (s *Spec) network() error {
	if s.Sandbox == nil || s.Sandbox.Network != NetworkLoopback {
		return nil
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return errors.Join(unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request), dropAmbient())
}

// dropAmbient gives back the right to set up the network, which only an unprivileged daemon's
// helper was lent.
func dropAmbient() error {
	if os.Getuid() == 0 {
		return nil
	}
	return unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
}

// isolate asks for the namespaces of a sandbox.
func isolate(cmd *exec.Cmd, s *Spec) {
	if s.Sandbox == nil || s.Sandbox.Network == NetworkAll || s.Sandbox.Network == "" {
		return
	}
	attr := cmd.SysProcAttr
	attr.Cloneflags |= syscall.CLONE_NEWNET
	if uid, gid := os.Getuid(), os.Getgid(); uid != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
		attr.AmbientCaps = []uintptr{unix.CAP_NET_ADMIN}
	}
}

// CanSandbox reports whether the kernel can do what s asks for: nil, or why not.
func (s *Sandbox) CanSandbox() error {
	if len(s.Read)+len(s.Write) > 0 {
		const version = 1 // LANDLOCK_CREATE_RULESET_VERSION
		abi, _, errno := syscall.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, version)
		if errno != 0 || abi < 3 {
			return errors.New("the kernel has no Landlock that is recent enough (Linux 6.2, with landlock among its security modules)")
		}
	}
	if s.Network == NetworkAll || s.Network == "" {
		return nil
	}
	cmd := exec.Command(selfExe) // this binary once more, which ends at once
	cmd.Env, cmd.SysProcAttr = []string{probeName + "=1"}, &syscall.SysProcAttr{}
	err := Begin(cmd, &Spec{Sandbox: &Sandbox{Network: s.Network}})
	if err == nil {
		err = Wait(cmd)
	}
	if err != nil {
		return fmt.Errorf("the kernel does not let this user make a network namespace: %w", err)
	}
	return nil
}

// probeName ends a process of this binary at its start: it was only to be seen whether it starts.
const probeName = "TENTERHOOK_LAUNCH_PROBE"

func init() {
	if os.Getenv(probeName) != "" && os.Args[0] == selfExe {
		os.Exit(0)
	}
}
