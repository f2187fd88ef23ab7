package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
)

// applicationID marks the file as ours; the first schema sets it.
const applicationID = 0x74656e74

// prepareFolder returns the absolute path of the database, whose folder exists then and is not
// on a network file system.
func prepareFolder(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", err
		}
		if err := syncDir(filepath.Dir(dir)); err != nil {
			return "", err
		}
	}
	name, err := networkFileSystem(dir)
	if err != nil {
		return "", fmt.Errorf("ask for the file system of %q: %w", dir, err)
	}
	if name != "" {
		return "", fmt.Errorf("%s does not keep the locks and shared memory SQLite needs; choose a folder on a local disk", name)
	}
	return path, nil
}

// prepareFile creates the database file when it is missing, and refuses one that must not be
// written to. It runs before SQLite opens the file, because turning on the write-ahead log
// already changes a file of another program. It returns the bytes of the log that is there: any
// mean that the last process did not close the store.
func prepareFile(path string, log *slog.Logger) (wal int64, err error) {
	if wal, err = logSize(path); err != nil {
		return 0, err
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if wal > 0 {
			return 0, fmt.Errorf("the file is missing but its log %q holds data: put the database back, or move the log away", path+"-wal")
		}
		return 0, create(path)
	}
	if err != nil {
		return 0, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		log.Warn("store can be read by others", "path", path, "mode", info.Mode().Perm().String(), "want", "-rw-------")
	}
	return wal, checkHeader(path, info, wal)
}

// prepareReading is prepareFile for a reader: it creates nothing.
func prepareReading(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	log, err := logSize(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	return path, checkHeader(path, info, log)
}

func logSize(path string) (int64, error) {
	info, err := os.Stat(path + "-wal")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// create makes an empty file and makes sure that its name survives a power cut.
func create(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close(), syncDir(filepath.Dir(path)))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// checkHeader reads the first bytes of an existing file.
func checkHeader(path string, info fs.FileInfo, log int64) error {
	if !info.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	if info.Size() == 0 {
		if log > 0 {
			return fmt.Errorf("the file is empty but its log %q holds data: the database was cut off; restore it, or move the log away", path+"-wal")
		}
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	var header [100]byte
	if _, err := io.ReadFull(file, header[:]); err != nil || string(header[:16]) != "SQLite format 3\x00" {
		return errors.New("the file is not a database")
	}
	pages, id := binary.BigEndian.Uint32(header[28:]), binary.BigEndian.Uint32(header[68:])
	// A store of ours that was cut off while it was made has one page, or its mark is still in
	// the log.
	if id != applicationID && (id != 0 || pages > 1 && log == 0) {
		return errOtherProgram
	}
	steps, err := schema()
	if err != nil {
		return err
	}
	return checkVersion(int(binary.BigEndian.Uint32(header[60:])), len(steps))
}

var errOtherProgram = errors.New("the file is a database of another program")
