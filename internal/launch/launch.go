// Package launch starts a program under bounds that os/exec cannot set in a child: resource limits,
// umask, another user, no new privileges, a sandbox for files and network. It does so by starting
// this same binary once more, which binds itself and then becomes the program (execve); a program
// that needs none of it is started directly. It also keeps a control group for each run, where one
// was delegated to the daemon.
package launch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/tenterhook/tenterhook/internal/crashpoint"
)

// Spec is what a program is bound by. The zero value binds nothing.
type Spec struct {
	Files     uint64 `json:",omitempty"` // open at once (RLIMIT_NOFILE); 0 leaves it
	FileSize  uint64 `json:",omitempty"` // bytes of one file it writes (RLIMIT_FSIZE)
	Data      uint64 `json:",omitempty"` // bytes of memory of each process (RLIMIT_DATA)
	Processes uint64 `json:",omitempty"` // of the user, in all (RLIMIT_NPROC)

	Umask           *int     `json:",omitempty"`
	User            *User    `json:",omitempty"`
	NoNewPrivileges bool     `json:",omitempty"` // setuid programs such as sudo give it none
	Sandbox         *Sandbox `json:",omitempty"`
}

// User is who a program runs as.
type User struct {
	Name, Home string
	UID, GID   int
	Groups     []int // supplementary ones
}

// Network is what of the network a sandbox lets through.
type Network string

// The networks of a sandbox.
const (
	NetworkAll      Network = "all"      // the machine's own
	NetworkLoopback Network = "loopback" // a loopback interface of its own, on which nobody else listens
	NetworkNone     Network = "none"     // nothing, not even that
)

// Sandbox is what of the file system and the network a program can reach. With neither Read nor
// Write it can reach every file that its user can.
type Sandbox struct {
	Read, Write []string // files and folders; what can be written can be read, what can be read can be run
	Network     Network
}

// Bounds are what a control group holds a whole process tree to; 0 is no bound.
type Bounds struct {
	Memory    uint64  // bytes
	CPU       float64 // cores
	Processes uint64
}

// binds reports whether the helper is needed.
func (s *Spec) binds() bool {
	return s.Files+s.FileSize+s.Data+s.Processes > 0 || s.Umask != nil || s.User != nil || s.NoNewPrivileges || s.Sandbox != nil
}

const (
	helperName = "tenterhook-launch" // its argv[0]
	specName   = "TENTERHOOK_LAUNCH" // the variable with its Spec, which the program does not get
	reportFile = 3                   // where it says why it could not become the program
	maxReport  = 4 << 10             // bytes of that
	selfExe    = "/proc/self/exe"    // this binary, also when it was replaced on disk
	variable   = specName + "="      //
)

// Start starts cmd under s. When it returns nil the program itself runs, or has run; an error of
// execve is the *fs.PathError that os/exec would have returned.
func Start(cmd *exec.Cmd, s *Spec) error {
	if !s.binds() {
		err := cmd.Start()
		crashpoint.Reach(crashpoint.AfterFork)
		return err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write launch: %w", err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = read.Close() }()
	program := cmd.Path
	cmd.Args = append([]string{helperName, program}, cmd.Args...)
	cmd.Path, cmd.ExtraFiles = selfExe, []*os.File{write}
	cmd.Env = append(slices.Clone(cmd.Env), variable+string(text))
	isolate(cmd, s)
	err = cmd.Start()
	_ = write.Close() // the helper's copy is the last
	if err != nil {
		return fmt.Errorf("start launch helper: %w", err)
	}
	said, _ := io.ReadAll(io.LimitReader(read, maxReport)) // ends when the helper becomes the program, or ends
	if len(said) == 0 {
		return nil
	}
	_ = cmd.Wait() // it ended with what it said
	return readReport(said, program)
}

// report is why the helper could not become the program.
type report struct {
	What  string        // that it could not do; "" for execve itself
	Errno syscall.Errno // 0 for none
	Text  string
}

func readReport(said []byte, program string) error {
	var r report
	if err := json.Unmarshal(said, &r); err != nil {
		return errors.New("the launch helper ended without a word")
	}
	var cause error = r.Errno
	if r.Errno == 0 {
		cause = errors.New(r.Text)
	}
	if r.What == "" {
		return &fs.PathError{Op: "fork/exec", Path: program, Err: cause}
	}
	return fmt.Errorf("%s: %w", r.What, cause)
}

// LookupUser finds "name", "name:group" or the same with numbers.
func LookupUser(text string) (*User, error) {
	name, group, _ := strings.Cut(text, ":")
	u, err := user.Lookup(name)
	if _, atoi := strconv.Atoi(name); err != nil && atoi == nil {
		u, err = user.LookupId(name)
	}
	if err != nil {
		return nil, fmt.Errorf("user %q does not exist", name)
	}
	out := &User{Name: u.Username, Home: u.HomeDir}
	out.UID, _ = strconv.Atoi(u.Uid) // numbers on every system this runs on
	out.GID, _ = strconv.Atoi(u.Gid)
	ids, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("groups of user %q: %w", name, err)
	}
	if group != "" {
		g, err := user.LookupGroup(group)
		if _, atoi := strconv.Atoi(group); err != nil && atoi == nil {
			g, err = user.LookupGroupId(group)
		}
		if err != nil {
			return nil, fmt.Errorf("group %q does not exist", group)
		}
		out.GID, _ = strconv.Atoi(g.Gid)
	}
	for _, id := range ids {
		if n, err := strconv.Atoi(id); err == nil {
			out.Groups = append(out.Groups, n)
		}
	}
	return out, nil
}

// CanEnter reports whether the user can be in a folder, as far as modes say: each folder on the
// way must let it pass.
func (u *User) CanEnter(folder string) error {
	if u.UID == 0 {
		return nil
	}
	for path := folder; ; path = path[:strings.LastIndexByte(path, '/')] {
		if path == "" {
			return nil
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if !u.passes(info) {
			return fmt.Errorf("user %s cannot enter %s (%s)", u.Name, path, info.Mode().Perm())
		}
		if !strings.Contains(path, "/") {
			return nil
		}
	}
}

func (u *User) passes(info os.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	bits := info.Mode().Perm()
	switch {
	case int(s.Uid) == u.UID:
		return bits&0o100 != 0
	case int(s.Gid) == u.GID || slices.Contains(u.Groups, int(s.Gid)):
		return bits&0o010 != 0
	}
	return bits&0o001 != 0
}
