//go:build !linux

package sqlite

import "os"

// renameNew gives a file a name that nothing has.
func renameNew(from, to string) error {
	if err := os.Link(from, to); err != nil {
		return err
	}
	return os.Remove(from)
}
