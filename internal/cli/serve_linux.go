package cli

import (
	"math"

	"golang.org/x/sys/unix"
)

// keepOpenFiles keeps every open file but the standard ones from commands.
func keepOpenFiles() error {
	return unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
}
