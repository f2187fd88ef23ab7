package action

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// LogPath is the file in dir for the whole output of an attempt. PruneLogs knows it by its name.
func LogPath(dir, job string, attempt int) string {
	return filepath.Join(dir, job+"-"+strconv.Itoa(attempt)+logSuffix)
}

const logSuffix = ".log"

// LogFile keeps the whole output of an attempt, of which Output keeps the head and the tail, in a
// file up to a limit. It belongs behind what masks secrets, as Output does, and takes one writer.
//
// A log is not worth a job: Write never fails. What could not be written is left out, and the last
// line of the file says so; Close tells the daemon.
type LogFile struct {
	path  string
	limit int64

	file   *os.File // nil before the first byte, and when it could not be made
	kept   int64    // bytes in file
	total  int64    // bytes that came
	err    error    // the first thing that went wrong; then nothing more is written
	closed bool
}

// NewLogFile keeps at most limit bytes at path, beside a line that says so. The file, and the
// folder it is in, are made when there is something to write; only the daemon's user can read
// them. What was at path is replaced, but a symbolic link is not followed.
func NewLogFile(path string, limit int64) *LogFile { return &LogFile{path: path, limit: limit} }

// Write takes everything and returns no error.
func (l *LogFile) Write(p []byte) (int, error) {
	n := len(p)
	l.total += int64(n)
	p = p[:min(int64(n), max(l.limit-l.kept, 0))]
	if l.closed || l.err != nil || len(p) == 0 {
		return n, nil
	}
	if l.file == nil {
		l.err = l.open()
	}
	if l.err == nil {
		var written int
		written, l.err = l.file.Write(p)
		l.kept += int64(written)
	}
	return n, nil
}

func (l *LogFile) open() error {
	if err := os.MkdirAll(filepath.Dir(l.path), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW, 0o600)
	l.file = file
	return err
}

// Close ends the file, with a line about what is missing. The error is what kept output from the
// file: the disk's, not the limit. It may be called again.
func (l *LogFile) Close() error {
	if l.file != nil && !l.closed {
		if l.total > l.kept {
			l.err = errors.Join(l.err, l.end())
		}
		l.err = errors.Join(l.err, l.file.Close())
	}
	l.closed = true
	if l.err != nil {
		return fmt.Errorf("keep the log: %w", l.err)
	}
	return nil
}

// end writes the last line: over the end of the output when the disk is full, where there is room
// for it.
func (l *LogFile) end() error {
	reason := fmt.Sprintf("the log of an attempt is limited to %d", l.limit)
	if l.err != nil {
		reason = cause(l.err).Error()
	}
	line := fmt.Sprintf("\n[… %d bytes left out: %s …]\n", l.total-l.kept, reason)
	if _, err := l.file.WriteAt([]byte(line), l.kept); err == nil {
		return nil
	}
	at := max(0, l.kept-int64(len(line))-8) // the number may become longer
	line = fmt.Sprintf("\n[… %d bytes left out: %s …]\n", l.total-at, reason)
	_, err := l.file.WriteAt([]byte(line), at)
	return errors.Join(err, l.file.Truncate(at+int64(len(line))))
}

// cause is what the kernel said, without the name of the file.
func cause(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
