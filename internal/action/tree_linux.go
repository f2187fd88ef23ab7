package action

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tenterhook/tenterhook/internal/launch"
)

// tree is everything one attempt has started: its session, and whatever carries its mark in its
// environment, which a daemon that left the session still does. What did both, left the session
// and threw away its environment, is found when it is in the attempt's control group.
type tree struct {
	session int           // also the process group and the pid of the main process
	born    func() uint64 // when the main process began, in the kernel's ticks: nothing older is ours
	mark    []byte        // HOOK_JOB=… and HOOK_ATTEMPT=…, as they stand in the environment
	group   *launch.Group // holds all of it whatever it does; nil where none was delegated
}

// newTree is the tree of a main process that is not reaped before the tree is no longer used. Few
// trees are ever looked at, therefore what only a look needs is found out then.
func newTree(pid int, f Facts, group *launch.Group) tree {
	return tree{session: pid, born: sync.OnceValue(func() uint64 { return stat(pid).born }), mark: markOf(f), group: group}
}

// markOf is what the environment of an attempt's processes holds and nobody else's.
func markOf(f Facts) []byte {
	return []byte("HOOK_ATTEMPT=" + strconv.Itoa(f.Attempt) + "\x00\x00HOOK_JOB=" + f.Job + "\x00")
}

// owns says whether a process belongs to the tree.
func (t tree) owns(pid int) verdict {
	s := stat(pid)
	switch {
	case s.state == 0:
		return unsure
	case s.born < t.born() || s.session == 0 || pid == os.Getpid(): // the kernel's own have session 0
		return no
	case !s.lives() && pid == t.session: // waits to be reaped
		return no
	case !s.lives():
		return unsure
	case t.group != nil, s.session == t.session:
		return yes
	}
	return marked(pid, t.mark)
}

// end ends the tree. The main process must not have been reaped yet.
func (t tree) end(grace time.Duration) ending {
	return end(t.candidates, t.owns, t.kill, grace)
}

// candidates are the processes among which the tree's are. What is in the group is the tree's and
// nobody else's; without one it can be anywhere.
func (t tree) candidates() []int {
	if t.group == nil {
		return pids()
	}
	return t.group.Pids()
}

// kill kills all at once, so that none forks away; none left is as good.
func (t tree) kill() {
	if t.group != nil {
		t.group.Kill()
	}
	_ = unix.Kill(-t.session, unix.SIGKILL)
}

// settle gives what is just about to end the time to, and reports whether nothing is left.
func (t tree) settle(most time.Duration) bool {
	if t.group == nil && launch.NoOrphans() {
		return true
	}
	for deadline := time.Now().Add(most); ; {
		found := gather(t.candidates, t.owns, func(process) {})
		gone := waitGone(found, time.Until(deadline))
		closeAll(found)
		if len(found) == 0 || !gone {
			return gone
		}
	}
}

// verdict says whether a process is one of those looked for. It is unsure of one that has just
// vanished, and so may have started another, or is just becoming another program.
type verdict int

const (
	no verdict = iota
	yes
	unsure
)

// ending is how processes went.
type ending struct {
	met    int  // how many there were
	killed bool // SIGTERM was not enough
	gone   bool // none is left
}

// The pauses between two looks for processes that are to end.
const (
	firstLook   = 5 * time.Millisecond
	longestLook = 250 * time.Millisecond
)

// end ends every candidate that is wanted: by SIGTERM, once each, and after the grace time by kill
// and SIGKILL. It looks again until there is none, because any may start
// another before it ends; after the grace time and reapWait it gives up.
func end(candidates func() []int, wanted func(pid int) verdict, kill func(), grace time.Duration) ending {
	var e ending
	seen := map[process]bool{}
	term := time.Now().Add(grace)
	giveUp := term.Add(reapWait)
	for pause := firstLook; ; pause = min(2*pause, longestLook) {
		until, killing := term, !time.Now().Before(term)
		if killing {
			until = giveUp
			kill()
		}
		found := gather(candidates, wanted, func(p process) {
			who := process{pid: p.pid, born: p.born}
			p.ask(killing, seen[who])
			seen[who] = true
		})
		e.met, e.killed = len(seen), killing
		if e.gone = len(found) == 0; e.gone || !time.Now().Before(giveUp) {
			closeAll(found)
			return e
		}
		waitGone(found, min(pause, time.Until(until)))
		closeAll(found)
	}
}

// waitGone waits until all have ended, at most so long, and reports whether they have.
func waitGone(found []process, most time.Duration) bool {
	deadline := time.Now().Add(most)
	for _, p := range found {
		if !p.wait(time.Until(deadline)) {
			return false
		}
	}
	return true
}

// process is a process that cannot be mistaken for another: its handle stays its own when its
// number is given away again. Without a handle (none left, or a kernel that knows none) it is
// signalled by its number.
type process struct {
	pid  int
	born uint64
	fd   int // the handle, or -1
}

// hold takes a handle of a process. It has no pid when the process is gone.
func hold(pid int) process {
	fd, err := unix.PidfdOpen(pid, 0)
	switch {
	case errors.Is(err, unix.ESRCH):
		return process{fd: -1}
	case err != nil:
		fd = -1
	}
	return process{pid, stat(pid).born, fd}
}

// ask tells the process to end. One that is stopped is woken up for it.
func (p process) ask(kill, again bool) {
	switch {
	case kill:
		p.signal(unix.SIGKILL)
	case !again:
		p.signal(unix.SIGTERM)
		p.signal(unix.SIGCONT)
	}
}

// signal fails when the process has ended, which is as good.
func (p process) signal(sig syscall.Signal) {
	if p.fd < 0 {
		_ = unix.Kill(p.pid, sig)
		return
	}
	_ = unix.PidfdSendSignal(p.fd, sig, nil, 0)
}

// wait waits for the end, at most so long, and reports whether it has come. Without a handle
// that is not known, and the time passes.
func (p process) wait(most time.Duration) bool {
	for {
		began := time.Now()
		fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}} // one below 0 is passed over
		n, err := unix.Poll(fds, int(max(most, 0).Milliseconds()))
		if !errors.Is(err, unix.EINTR) {
			return n > 0
		}
		most -= time.Since(began)
	}
}

func closeAll(found []process) {
	for _, p := range found {
		p.close()
	}
}

func (p process) close() {
	if p.fd >= 0 {
		_ = unix.Close(p.fd)
	}
}

// The bounds of one look at the processes.
const (
	mostHandles = 256 // held at once; the others' turn comes with the next look
	mostLooks   = 8   // when processes vanish while they are looked at
)

// gather returns handles of the living candidates that are wanted, each given to seize as soon as
// it is found. The caller closes them.
//
// A process that vanishes between the list and the look at it may have started one that the
// list has not: when nothing else was found, it is looked once more.
func gather(candidates func() []int, wanted func(pid int) verdict, seize func(process)) []process {
	for range mostLooks {
		found, certain := look(candidates(), wanted, seize)
		if len(found) > 0 || certain {
			return found
		}
	}
	return nil
}

func look(candidates []int, wanted func(pid int) verdict, seize func(process)) (found []process, certain bool) {
	certain = true
	for _, pid := range slices.Backward(candidates) { // the newest first: those may be gone in a moment
		if v := wanted(pid); v != yes {
			certain = certain && v == no
			continue
		}
		p := hold(pid)
		if p.pid == 0 || wanted(pid) != yes { // between two looks the number may have become somebody else's
			p.close()
			certain = false
			continue
		}
		seize(p)
		if found = append(found, p); len(found) == mostHandles {
			break
		}
	}
	return found, certain
}

// pids are all processes there are, by number.
func pids() []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer func() { _ = dir.Close() }() // nothing was written
	names, _ := dir.Readdirnames(-1)   // those that were read
	var out []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			out = append(out, pid)
		}
	}
	slices.Sort(out)
	return out
}

// status is what the kernel says of a process; the zero value of one that is not there.
type status struct {
	session int
	born    uint64
	state   byte
}

func (s status) lives() bool { return s.state != 0 && s.state != 'Z' && s.state != 'X' }

// stat reads a process's status. See proc_pid_stat(5).
func stat(pid int) status {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return status{}
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 20 {
		return status{}
	}
	session, _ := strconv.Atoi(fields[3])            // 0 is nobody's
	born, _ := strconv.ParseUint(fields[19], 10, 64) // the kernel writes digits
	return status{session, born, fields[0][0]}
}

// marked says whether a process was started with both variables of a mark.
func marked(pid int, mark []byte) verdict {
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	switch {
	case errors.Is(err, os.ErrPermission): // another user's
		return no
	case err != nil || len(env) == 0:
		return unsure
	}
	env = append([]byte{0}, env...)
	attempt, id, _ := bytes.Cut(mark, []byte("\x00\x00"))
	if bytes.Contains(env, append(append([]byte{0}, attempt...), 0)) && bytes.Contains(env, append([]byte{0}, id...)) {
		return yes
	}
	return no
}

// Sweep ends what a daemon that died left running: every process that was started for one of
// the jobs. It returns how many that were. It is called before any job can be started again. What
// the kernel does not let go, not even killed, is left after a few seconds.
func Sweep(ctx context.Context, jobs []string) (ended int, err error) {
	wanted := map[string]bool{}
	for _, id := range jobs {
		wanted[id] = true
	}
	delete(wanted, "") // what carries no job's id
	if len(wanted) == 0 {
		return 0, ctx.Err()
	}
	e := end(pids, func(pid int) verdict {
		if pid != os.Getpid() && wanted[jobOf(pid)] && stat(pid).lives() {
			return yes
		}
		return no
	}, func() {}, leftoverGrace)
	return e.met, ctx.Err()
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
