package launch

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Exit is the end of a child, which can be waited for without burying it: as long as nobody has,
// its number, which can be a session's and a group's too, cannot become somebody else's.
//
// It waits for a handle of the process (pidfd_open(2)) among everything else this process waits
// for. Without handles, on an old kernel, a thread stands still for it. Neither is made for a
// process that has ended by the time somebody waits. One goroutine uses it at a time.
type Exit struct {
	pid    int
	over   bool // it is known to have ended
	handle *os.File
	raw    syscall.RawConn
	ended  chan struct{} // closed by the thread; nil with a handle, or without a wait
}

// ExitOf is the end of a child that Begin started and nobody has buried. Close it once.
func ExitOf(pid int) *Exit { return &Exit{pid: pid} }

// stand lets a thread wait, as long as the process lives.
func (e *Exit) stand() {
	e.ended = make(chan struct{})
	go func() {
		defer close(e.ended)
		for errors.Is(unix.Waitid(unix.P_PID, e.pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
		}
	}()
}

func (e *Exit) open() bool {
	fd, err := unix.PidfdOpen(e.pid, unix.PIDFD_NONBLOCK) // else it could not be waited for with others
	if err != nil {
		return false
	}
	handle := os.NewFile(uintptr(fd), "child")
	raw, err := handle.SyscallConn()
	if err != nil || handle.SetReadDeadline(time.Time{}) != nil { // it cannot be waited for with others
		_ = handle.Close()
		return false
	}
	e.handle, e.raw = handle, raw
	return true
}

// Close releases the handle. Nobody may wait any more.
func (e *Exit) Close() {
	if e.handle != nil {
		_ = e.handle.Close() // nothing was written
	}
}

// Has reports whether the process has ended. One that is not there has.
func (e *Exit) Has() bool {
	for !e.over {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, e.pid, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		e.over = err == nil && info.Signo != 0 || errors.Is(err, unix.ECHILD)
		break
	}
	return e.over
}

// Await waits for the end, until ctx ends, at most so long. It reports whether the end has come.
func (e *Exit) Await(ctx context.Context, most time.Duration) bool {
	if e.Has() {
		return true
	}
	if e.handle == nil && e.ended == nil && !e.open() {
		e.stand()
	}
	if e.handle == nil {
		timer := time.NewTimer(most)
		defer timer.Stop()
		select {
		case <-e.ended:
		case <-timer.C:
		case <-ctx.Done():
		}
		return e.Has()
	}
	deadline := time.Now().Add(most)
	defer context.AfterFunc(ctx, func() { _ = e.handle.SetReadDeadline(time.Unix(1, 0)) })()
	for {
		_ = e.handle.SetReadDeadline(deadline) // it can, see open
		if ctx.Err() != nil {                  // after the line above: it may have undone what ctx's end did
			return e.Has()
		}
		err := e.raw.Read(func(uintptr) bool { return e.Has() })
		// An earlier ctx may have ended the wait.
		if e.over || !errors.Is(err, os.ErrDeadlineExceeded) || !time.Now().Before(deadline) {
			return e.Has()
		}
	}
}

// Wait waits for a command that Begin started, and buries it.
func Wait(cmd *exec.Cmd) error {
	exit := ExitOf(cmd.Process.Pid)
	for !exit.Await(context.Background(), time.Hour) {
	}
	exit.Close()
	return Bury(cmd)
}

// Bury buries a command that Begin started and that has ended.
func Bury(cmd *exec.Cmd) error {
	family.RLock()
	defer family.RUnlock()
	err := cmd.Wait()
	family.knowing.Lock()
	defer family.knowing.Unlock()
	delete(family.known, cmd.Process.Pid)
	return err
}
