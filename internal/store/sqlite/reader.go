package sqlite

import (
	"context"
	"errors"
	"fmt"
)

// Reader reads a store's file without being able to change it, beside a running daemon or
// without one.
type Reader struct{ reads }

// OpenReader opens the database at path for reading. It takes no lock a daemon waits for, and
// refuses a file that is missing, no database, another program's, or of another schema.
func OpenReader(ctx context.Context, path string) (*Reader, error) {
	r, err := openReader(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("read store %q: %w", path, err)
	}
	return r, nil
}

func openReader(ctx context.Context, path string) (*Reader, error) {
	path, err := prepareReading(path)
	if err != nil {
		return nil, err
	}
	rs, err := openReads(path)
	if err != nil {
		return nil, err
	}
	r := &Reader{rs}
	if err := r.check(ctx); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Reader) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	conn, err := r.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	steps, err := schema()
	if err != nil {
		return err
	}
	have, err := pragma(ctx, conn, "user_version")
	if err != nil {
		return err
	}
	if have < int64(len(steps)) {
		return fmt.Errorf("its schema is %d and this program reads %d: start the daemon once to bring it up to date", have, len(steps))
	}
	return checkVersion(int(have), len(steps))
}

// Close releases the file.
func (r *Reader) Close() error { return r.close() }
