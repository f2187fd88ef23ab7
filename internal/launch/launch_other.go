//go:build !linux

package launch

import (
	"context"
	"errors"
	"os/exec"
	"time"
)

// What follows lets the commands that run nothing be built for other systems: check, send, explain,
// …. There the daemon does not start.

// Always and AlwaysWrite are what a sandbox lets every program reach.
var Always, AlwaysWrite []string

var errLinux = errors.New("commands run on Linux only")

// Groups are control groups: there are none here.
type Groups struct{}

// Take finds none.
func Take() (*Groups, error) { return nil, errLinux }

// Taken knows of none.
func Taken() (*Groups, bool) { return nil, false }

// Missing is empty: what limits a rule has is judged where it runs.
func (*Groups) Missing(Bounds) []string { return nil }

// New makes none.
func (*Groups) New(string, Bounds) (*Group, error) { return nil, errLinux }

// Sweep finds none.
func (*Groups) Sweep([]string) int { return 0 }

// Group is never made.
type Group struct{}

// OpenGroup finds none.
func OpenGroup(string) (*Group, error) { return nil, errLinux }

// Leave does nothing.
func (*Group) Leave() string { return "" }

// OutOfMemory is false.
func (*Group) OutOfMemory() bool { return false }

// Remove does nothing.
func (*Group) Remove() {}

// Exit is of no child.
type Exit struct{}

// ExitOf is the end of no child.
func ExitOf(int) *Exit { return &Exit{} }

// Close does nothing.
func (*Exit) Close() {}

// Has is true: nothing runs.
func (*Exit) Has() bool { return true }

// Await returns at once.
func (*Exit) Await(context.Context, time.Duration) bool { return true }

// Wait fails.
func Wait(*exec.Cmd) error { return errLinux }

// Bury fails.
func Bury(*exec.Cmd) error { return errLinux }

// Begin starts nothing.
func Begin(*exec.Cmd, *Spec) error { return errLinux }

// Adopt fails.
func Adopt() error { return errLinux }

// BuryOrphans waits for ctx to end.
func BuryOrphans(ctx context.Context, _ time.Duration) { <-ctx.Done() }

// OwnFiles does nothing.
func OwnFiles() {}

// CanSandbox is nil: a sandbox is judged where it is used.
func (*Sandbox) CanSandbox() error { return nil }

func isolate(*exec.Cmd, *Spec) {}
