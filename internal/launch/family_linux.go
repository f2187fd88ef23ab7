package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// family knows this process's own children from those that it adopted.
//
// As a subreaper (prctl(2), PR_SET_CHILD_SUBREAPER) the daemon becomes the parent of every process
// below it whose parent has ended. So when the main process of a run is gone and the daemon has no
// child but those it started, nothing of the run is left, whatever it did: there is nothing to
// look for among all processes of the machine. And the zombies of the adopted are the daemon's to
// bury.
//
// Linux lists the children of a thread truly only while none is buried (proc_tid_children(5)).
// Therefore whoever buries one holds the lock for reading, and whoever lists holds it for writing.
//
// A child that is just being started is in the list before it is known. Whoever starts one holds
// starting for reading, which takes as long as the program to be loaded; whoever finds a child
// that is not known looks again with it held for writing. Nobody else waits for starts.
// Starting is taken before the lock.
var family struct {
	sync.RWMutex
	adopts   bool
	session  int
	children *os.File // the kernel's list; open for as long as the process lives
	list     []byte   // what was read of it

	starting sync.RWMutex

	knowing sync.Mutex // guards known among those that do not hold the lock for writing
	known   map[int]bool
	begun   chan struct{} // capacity 1: there was a first one
}

// Adopt makes this process the parent of what its runs leave. The error says why it cannot be;
// NoOrphans is then never sure.
func Adopt() error {
	family.starting.Lock()
	defer family.starting.Unlock()
	family.Lock()
	defer family.Unlock()
	if family.adopts {
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become a subreaper: %w", err)
	}
	list, err := os.Open(fmt.Sprintf("/proc/self/task/%d/children", os.Getpid()))
	if err != nil {
		return fmt.Errorf("list children: %w", err)
	}
	session, err := unix.Getsid(0)
	if err != nil {
		return fmt.Errorf("own session: %w", err)
	}
	forgoChildSignal()
	family.adopts, family.session, family.children = true, session, list
	family.known, family.begun = map[int]bool{}, make(chan struct{}, 1)
	return nil
}

// forgoChildSignal gives SIGCHLD its default back, which is that nothing happens. Go's runtime takes
// every signal that there is, and would be interrupted for the end of each child; nobody here waits
// for them that way. Children stay to be buried: that ends with SIG_IGN only, see sigaction(2).
func forgoChildSignal() {
	var byDefault [64]byte // as long as any system's struct sigaction: no handler, no flags
	_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGCHLD), uintptr(unsafe.Pointer(&byDefault)), 0, sizeofSignals, 0, 0)
}

// sizeofSignals is the kernel's size of a set of signals, on all systems but MIPS. An error leaves
// everything as it is.
const sizeofSignals = 8

// Begin starts cmd under s, as Start does. It is to be waited for with Wait.
func Begin(cmd *exec.Cmd, s *Spec) error {
	family.starting.RLock()
	defer family.starting.RUnlock()
	err := Start(cmd, s)
	if err == nil && family.known != nil {
		family.knowing.Lock()
		defer family.knowing.Unlock()
		if family.known[cmd.Process.Pid] = true; len(family.known) == 1 {
			select {
			case family.begun <- struct{}{}:
			default: // it is told already
			}
		}
	}
	return err
}

// NoOrphans reports whether nothing is left of any run whose main process is gone. It is false
// also when that is not known. Adopted children that have ended are buried.
func NoOrphans() bool {
	if adopts, strange := anyStrange(); !adopts || !strange {
		return adopts
	}
	family.starting.Lock()
	defer family.starting.Unlock()
	family.Lock()
	defer family.Unlock()
	for range mostLooks {
		living, died, err := visit()
		switch {
		case err != nil || living:
			return false
		case !died:
			return true
		}
	}
	return false
}

// anyStrange reports whether this process is a parent of what its runs leave, and whether it has a
// child now that Begin has not told of.
func anyStrange() (adopts, strange bool) {
	family.Lock()
	defer family.Unlock()
	if !family.adopts {
		return false, true
	}
	children, err := adopted()
	if err != nil {
		return true, true
	}
	family.knowing.Lock()
	defer family.knowing.Unlock()
	return true, slices.ContainsFunc(children, func(pid int) bool { return !family.known[pid] })
}

// BuryOrphans buries the processes that runs left and that have ended, within about pause, until
// ctx ends. The end of a run buries them too, but the next one may be tomorrow's. While nothing that
// was started here runs and nothing was left, it looks once in a long while: the first process of a
// container is given what others in it left.
func BuryOrphans(ctx context.Context, pause time.Duration) {
	family.RLock()
	begun := family.begun
	family.RUnlock()
	if begun == nil {
		return // nothing is adopted
	}
	idle := time.NewTicker(longPause)
	defer idle.Stop()
	for {
		select {
		case <-begun:
		case <-idle.C:
		case <-ctx.Done():
			return
		}
		for sleep(ctx, pause) && (!NoOrphans() || hasChildren()) {
		}
	}
}

const longPause = time.Minute

// sleep reports whether the time passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func hasChildren() bool {
	family.RLock()
	defer family.RUnlock()
	family.knowing.Lock()
	defer family.knowing.Unlock()
	return len(family.known) > 0
}

// mostLooks bounds how often the list of children is read anew. A daemon that forks on and on is
// seen alive sooner or later.
const mostLooks = 100

// visit looks once at every child that Begin did not start, and buries those that have ended. When
// one of them had (died), what it left became ours after the list was read, perhaps: nothing is
// sure before another look.
func visit() (living, died bool, err error) {
	children, err := adopted()
	for _, pid := range children {
		if family.known[pid] {
			continue
		}
		switch session, state := sessionOf(pid); {
		case state == 'Z' || state == 'X':
			if session != family.session { // else a child of somebody else in this process, who waits for it
				died = true
				_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil) // it has ended
			}
		case state == 0:
			died = true
		case session != family.session:
			living = true
		}
	}
	return living, died, err
}

// mostChildren is how many bytes of a list of children are read: beyond that, nothing is sure.
const mostChildren = 64 << 10

// adopted lists the children of the main thread. The kernel gives orphans to the first thread of
// a subreaper that lives (find_alive_thread in kernel/exit.c), and Go's main thread does not end.
func adopted() ([]int, error) {
	if family.list == nil {
		family.list = make([]byte, mostChildren)
	}
	buf := family.list
	n, err := family.children.ReadAt(buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if n == len(buf) {
		return nil, errors.New("too many children")
	}
	var pids []int
	for _, word := range strings.Fields(string(buf[:n])) {
		if pid, err := strconv.Atoi(word); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// sessionOf reads a process's session and state; state 0 of one that is not there.
func sessionOf(pid int) (session int, state byte) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	if len(fields) < 4 {
		return 0, 0
	}
	session, _ = strconv.Atoi(fields[3]) // the kernel writes digits
	return session, fields[0][0]
}
