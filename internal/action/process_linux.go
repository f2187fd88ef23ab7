package action

import (
	"os"
	"syscall"

	"github.com/tenterhook/tenterhook/internal/launch"
)

// joinGroup lets a command begin in its control group.
func joinGroup(attr *syscall.SysProcAttr, group *launch.Group) {
	attr.UseCgroupFD, attr.CgroupFD = true, group.FD()
}

// pipe is os.Pipe with an end to write that is the commands' from the beginning: os.Pipe makes it
// ready to be waited for here, and takes that back when it is given away.
func pipe() (read, write *os.File, err error) {
	var ends [2]int
	if err := syscall.Pipe2(ends[:], syscall.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	_ = syscall.SetNonblock(ends[0], true) // else reading takes a thread
	return os.NewFile(uintptr(ends[0]), "output"), os.NewFile(uintptr(ends[1]), "output"), nil
}
