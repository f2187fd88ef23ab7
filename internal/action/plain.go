package action

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// The package os makes every file it opens ready to be waited for, which those on a disk cannot
// be: five calls more for each. A job has several files, therefore these.

// openPlain opens a file on a disk for reading.
func openPlain(name string) (*os.File, error) {
	fd, err := openFD(name, syscall.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// writePlain is os.WriteFile for a file that only its owner may read.
func writePlain(name string, content []byte) error {
	fd, err := openFD(name, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_TRUNC, 0o400)
	if err != nil {
		return err
	}
	for len(content) > 0 {
		n, err := syscall.Write(fd, content)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			_ = syscall.Close(fd) // the file is not whole anyway
			return &fs.PathError{Op: "write", Path: name, Err: err}
		}
		content = content[max(n, 0):]
	}
	return closeFD(fd, name)
}

func openFD(name string, flags int, mode uint32) (fd int, err error) {
	for {
		if fd, err = syscall.Open(name, flags|syscall.O_CLOEXEC, mode); !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return fd, nil
}

func closeFD(fd int, name string) error {
	if err := syscall.Close(fd); err != nil && !errors.Is(err, syscall.EINTR) { // Linux has closed it then
		return &fs.PathError{Op: "close", Path: name, Err: err}
	}
	return nil
}
