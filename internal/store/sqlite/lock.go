package sqlite

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lockFile keeps a second daemon off the database. The kernel drops the lock when the process
// ends, however it ends; the file itself stays.
type lockFile struct{ file *os.File }

// A daemon that was killed while it started a job's process holds the lock until that process
// has become its program: a moment, but one in which a fast restart comes.
const (
	lockWait = 900 * time.Millisecond
	lockTry  = 10 * time.Millisecond
)

// lock takes the lock, within a second, or says which process holds it.
func lock(path string) (*lockFile, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	for end := time.Now().Add(lockWait); errors.Is(err, unix.EWOULDBLOCK) && time.Now().Before(end); {
		time.Sleep(lockTry)
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		holder, _ := io.ReadAll(io.LimitReader(file, 64))
		return nil, errors.Join(fmt.Errorf("in use by another process%s", naming(string(holder))), file.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %q: %w", path, err), file.Close())
	}
	l := &lockFile{file}
	if err := file.Truncate(0); err != nil {
		return nil, errors.Join(fmt.Errorf("write %q: %w", path, err), l.release())
	}
	// A full disk must not keep the daemon from starting: the pid is only a courtesy.
	_, _ = file.WriteAt(fmt.Appendf(nil, "pid %d\n", os.Getpid()), 0)
	return l, nil
}

func naming(holder string) string {
	if holder = strings.TrimSpace(holder); holder == "" {
		return ""
	}
	return " (" + holder + ")"
}

func (l *lockFile) release() error { return l.file.Close() }
