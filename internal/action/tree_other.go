//go:build !linux

package action

import (
	"context"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tenterhook/tenterhook/internal/launch"
)

// tree is what an attempt has started: nothing, where the daemon does not start.
type tree struct{}

func newTree(int, Facts, *launch.Group) tree { return tree{} }

// ending is how processes went.
type ending struct {
	met          int
	killed, gone bool
}

func (tree) end(time.Duration) ending  { return ending{gone: true} }
func (tree) settle(time.Duration) bool { return true }

// Sweep finds nothing.
func Sweep(ctx context.Context, _ []string) (int, error) { return 0, ctx.Err() }

func signalName(sig syscall.Signal) string { return unix.SignalName(sig) }

// status is of no process.
type status struct{ born uint64 }

func (status) lives() bool { return false }

func stat(int) status { return status{} }

func joinGroup(*syscall.SysProcAttr, *launch.Group) {}

func pipe() (read, write *os.File, err error) { return os.Pipe() }
