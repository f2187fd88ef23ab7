package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Examination is what there is to say about a store's file.
type Examination struct {
	Schema, Known          int64 // the file's schema, and the one this program reads
	Deliveries, Jobs, Live int64 // Live are the jobs that have not ended
	Oldest                 time.Time
	Bytes, Log, Free       int64 // of the file, of its log, and in pages of the file that hold nothing
	Damage                 string
	Unchecked              bool   // there was no time to look for damage everywhere
	Network                string // the network file system it is on; "" is none
}

// Examine looks at the store at path without changing it, beside a daemon or without one. The
// search for damage ends with ctx, the rest does not need long.
func Examine(ctx context.Context, path string) (x Examination, err error) {
	if path, err = prepareReading(path); err != nil {
		return x, err
	}
	rs, err := openReads(path)
	if err != nil {
		return x, err
	}
	defer func() { err = errors.Join(err, rs.close()) }()
	if x.Network, err = networkFileSystem(filepath.Dir(path)); err != nil {
		return x, err
	}
	if info, err := os.Stat(path); err == nil {
		x.Bytes = info.Size()
	}
	if x.Log, err = logSize(path); err != nil {
		return x, err
	}
	return x, rs.examine(ctx, &x)
}

func (r *reads) examine(ctx context.Context, x *Examination) error {
	brief, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
	defer cancel()
	conn, err := r.db.Conn(brief)
	if err != nil {
		return err
	}
	defer conn.Close()
	steps, err := schema()
	if err != nil {
		return err
	}
	x.Known = int64(len(steps))
	if x.Schema, err = pragma(brief, conn, "user_version"); err != nil {
		return err
	}
	free, err := pragma(brief, conn, "freelist_count")
	if err != nil {
		return err
	}
	x.Free = free * pageSize
	var oldest int64
	row := conn.QueryRowContext(brief, `SELECT (SELECT count(*) FROM delivery), (SELECT count(*) FROM job),
		(SELECT count(*) FROM job WHERE state IN ('queued', 'scheduled', 'running')), (SELECT coalesce(min(received_at), 0) FROM delivery)`)
	if err := row.Scan(&x.Deliveries, &x.Jobs, &x.Live, &oldest); err != nil {
		return fmt.Errorf("count deliveries: %w", err)
	}
	x.Oldest = decodeTime(oldest)
	switch err := sound(ctx, conn, "quick_check"); {
	case ctx.Err() != nil:
		x.Unchecked = true
	case err != nil:
		x.Damage = err.Error()
	}
	return nil
}
