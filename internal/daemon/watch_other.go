//go:build !linux

package daemon

import "errors"

// folderWatch tells which names changed in folders: on Linux only, and elsewhere no daemon starts.
type folderWatch struct {
	names  chan string
	faults chan error
}

func newFolderWatch() (*folderWatch, error) { return nil, errors.ErrUnsupported }

func (*folderWatch) add(string) error { return errors.ErrUnsupported }

func (*folderWatch) remove(string) {}

func (*folderWatch) close() {}
