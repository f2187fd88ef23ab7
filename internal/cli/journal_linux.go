package cli

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

func tooLarge(err error) bool { return errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.ENOBUFS) }

// sendFile sends an entry that is too large for a message: in a sealed file in memory, which the
// journal is given.
func (w *journalWriter) sendFile(entry []byte) error {
	fd, err := unix.MemfdCreate("journal-entry", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return fmt.Errorf("make a file for an entry: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	if _, err := unix.Write(fd, entry); err != nil {
		return fmt.Errorf("write an entry: %w", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE|unix.F_SEAL_SEAL); err != nil {
		return fmt.Errorf("seal an entry: %w", err)
	}
	_, _, err = w.conn.WriteMsgUnix(nil, unix.UnixRights(fd), w.to)
	return err
}
