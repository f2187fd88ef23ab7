package action

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tree is everything one attempt has started: its session, and whatever carries its mark in its
// environment, which a daemon that left the session still does.
type tree struct {
	session int    // also the process group and the pid of the main process
	mark    []byte // HOOK_JOB=… and HOOK_ATTEMPT=…, as they stand in the environment
}

// markOf is what the environment of an attempt's processes holds and nobody else's.
func markOf(f Facts) []byte {
	return []byte("HOOK_ATTEMPT=" + strconv.Itoa(f.Attempt) + "\x00\x00HOOK_JOB=" + f.Job + "\x00")
}

// any reports whether something of the session is alive. It does not look for escaped ones.
func (t tree) any() bool {
	err := unix.Kill(-t.session, 0)
	return err == nil || errors.Is(err, unix.EPERM)
}

// signalAll signals the group and every process of the tree that left it.
func (t tree) signalAll(sig syscall.Signal) {
	_ = unix.Kill(-t.session, sig) // none left is as good
	for _, p := range t.members() {
		p.signal(sig)
		p.close()
	}
}

// endLeftovers ends what outlived the main process, and returns how many that were.
func (t tree) endLeftovers(grace time.Duration) int {
	members := t.members()
	defer func() {
		for _, p := range members {
			p.close()
		}
	}()
	if grace > 0 {
		for _, p := range members {
			p.signal(unix.SIGTERM)
		}
		waitGone(members, grace)
	}
	for _, p := range members {
		p.signal(unix.SIGKILL)
	}
	for _, p := range t.members() { // started meanwhile
		p.signal(unix.SIGKILL)
		p.close()
	}
	return len(members)
}

// waitGone waits until all have ended, at most so long.
func waitGone(members []*process, most time.Duration) {
	deadline := time.Now().Add(most)
	for _, p := range members {
		p.wait(time.Until(deadline))
	}
}

// process is a process that cannot be mistaken for another: its handle stays its own when its
// number is given away again.
type process struct{ fd int }

func (p *process) signal(sig syscall.Signal) { _ = unix.PidfdSendSignal(p.fd, sig, nil, 0) }
func (p *process) close()                    { _ = unix.Close(p.fd) }

// wait waits for the end, at most so long.
func (p *process) wait(most time.Duration) {
	for most > 0 {
		began := time.Now()
		fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
		_, err := unix.Poll(fds, int(most.Milliseconds())+1)
		if !errors.Is(err, unix.EINTR) {
			return
		}
		most -= time.Since(began)
	}
}

// members are handles of the tree's living processes. The caller closes them.
func (t tree) members() []*process {
	var out []*process
	for _, pid := range pids() {
		if p := open(pid, t.owns); p != nil {
			out = append(out, p)
		}
	}
	return out
}

// owns reports whether a process belongs to the tree.
func (t tree) owns(pid int) bool {
	_, session, state := stat(pid)
	if state == 'Z' || state == 'X' || pid == os.Getpid() {
		return false
	}
	return session == t.session || marked(pid, t.mark)
}

// open takes a handle of the process if it is wanted, and asks again once it is held: between
// two looks the number may have become somebody else's.
func open(pid int, wanted func(pid int) bool) *process {
	if !wanted(pid) {
		return nil
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil
	}
	if !wanted(pid) {
		_ = unix.Close(fd)
		return nil
	}
	return &process{fd}
}

func pids() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var out []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			out = append(out, pid)
		}
	}
	return out
}

// stat reads a process's group, session and state. See proc_pid_stat(5).
func stat(pid int) (group, session int, state byte) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, 'X'
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 4 {
		return 0, 0, 'X'
	}
	group, _ = strconv.Atoi(fields[2])   // 0 is nobody's
	session, _ = strconv.Atoi(fields[3]) // 0 is nobody's
	return group, session, fields[0][0]
}

// marked reports whether a process was started with both variables of a mark.
func marked(pid int, mark []byte) bool {
	if len(mark) == 0 {
		return false
	}
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return false
	}
	env = append([]byte{0}, env...)
	attempt, id, _ := bytes.Cut(mark, []byte("\x00\x00"))
	return bytes.Contains(env, append(append([]byte{0}, attempt...), 0)) && bytes.Contains(env, append([]byte{0}, id...))
}

// Sweep ends what a daemon that died left running: every process that was started for one of
// the jobs. It returns how many it ended. It is called before any job can be started again.
func Sweep(ctx context.Context, jobs []string) (ended int, err error) {
	wanted := map[string]bool{}
	for _, id := range jobs {
		wanted[id] = true
	}
	var members []*process
	for _, pid := range pids() {
		if p := open(pid, func(pid int) bool { return pid != os.Getpid() && wanted[jobOf(pid)] }); p != nil {
			members = append(members, p)
		}
	}
	for _, p := range members {
		p.signal(unix.SIGTERM)
	}
	waitGone(members, leftoverGrace)
	for _, p := range members {
		p.signal(unix.SIGKILL)
		p.wait(reapWait)
		p.close()
	}
	return len(members), ctx.Err()
}

// jobOf is the job a process was started for, or "".
func jobOf(pid int) string {
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return ""
	}
	for _, v := range bytes.Split(env, []byte{0}) {
		if id, ok := bytes.CutPrefix(v, []byte("HOOK_JOB=")); ok {
			return string(id)
		}
	}
	return ""
}

func signalName(sig syscall.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	return strconv.Itoa(int(sig))
}
