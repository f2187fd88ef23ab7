package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
)

// Copied is what a backup holds.
type Copied struct {
	Bytes                      int64
	Deliveries, Jobs, Attempts int64
	Schema                     int64
}

// backupStep is how many pages are copied between two looks at the context.
const backupStep = 512

// Backup copies the store at path to a new file, beside a running daemon or without one: what was
// committed when it began, and nothing later. The copy is opened, checked whole and counted before
// it gets its name (mode 0600), so a file of that name is a good backup. A file that is there is
// replaced only with overwrite, and stays until then. progress is told of pages.
//
// While it copies, the daemon goes on; its log cannot shrink meanwhile.
func Backup(ctx context.Context, path, to string, overwrite bool, progress func(done, all int)) (c Copied, err error) {
	r, err := OpenReader(ctx, path)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if to, err = filepath.Abs(to); err != nil {
		return c, err
	}
	if isOfStore(path, to) {
		return c, fmt.Errorf("back up to %q: %w", to, ErrOwnFile)
	}
	if _, err := os.Lstat(to); err == nil && !overwrite {
		return c, fmt.Errorf("back up to %q: %w", to, fs.ErrExist)
	}
	folder, err := os.MkdirTemp(filepath.Dir(to), ".backup-*")
	if err != nil {
		return c, fmt.Errorf("back up to %q: %w", to, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	partial := filepath.Join(folder, "partial")
	if err := create(partial); err != nil {
		return c, fmt.Errorf("back up to %q: %w", to, err)
	}
	counts, err := r.copyTo(ctx, partial, progress)
	if err != nil {
		return c, fmt.Errorf("back up %q: %w", path, err)
	}
	if c, err = checkCopy(ctx, partial, counts); err != nil {
		return c, fmt.Errorf("check backup: %w", err)
	}
	return c, publish(partial, to, overwrite)
}

// ErrOwnFile: the file to back up to is one of the store itself. A daemon would go on writing to the
// one whose name was taken away, and all of that would be lost.
var ErrOwnFile = errors.New("that is a file of the store itself")

// isOfStore reports whether to names a file of the store at path, by whichever way.
func isOfStore(path, to string) bool {
	for _, store := range []string{path, resolved(path)} {
		for _, suffix := range []string{"", "-wal", "-shm", "-journal", ".lock", ".last-good"} {
			if resolved(store+suffix) == resolved(to) || inResolvedFolder(store+suffix) == inResolvedFolder(to) {
				return true
			}
			one, err := os.Stat(store + suffix)
			other, otherErr := os.Stat(to)
			if err == nil && otherErr == nil && os.SameFile(one, other) {
				return true
			}
		}
	}
	return false
}

// resolved is a path without symbolic links; where the file is not there, without those of its folder.
func resolved(path string) string {
	if whole, err := filepath.EvalSymlinks(path); err == nil {
		if absolute, err := filepath.Abs(whole); err == nil {
			return absolute
		}
	}
	return inResolvedFolder(path)
}

func inResolvedFolder(path string) string {
	folder, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return filepath.Clean(path)
	}
	if real, err := filepath.EvalSymlinks(folder); err == nil {
		folder = real
	}
	return filepath.Join(folder, filepath.Base(path))
}

// copyTo copies one moment of the store, and counts its rows in the same moment.
func (r *Reader) copyTo(ctx context.Context, to string, progress func(done, all int)) (counts map[string]int64, err error) {
	conn, err := r.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	// An open transaction is what keeps the moment: without one, each commit of a daemon would
	// make the copy begin anew.
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return nil, err
	}
	defer func() {
		_, end := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		err = errors.Join(err, end)
	}()
	if counts, err = countRows(ctx, conn); err != nil {
		return nil, err
	}
	return counts, conn.Raw(func(driver any) error { return copyPages(ctx, driver, to, progress) })
}

func copyPages(ctx context.Context, driver any, to string, progress func(done, all int)) error {
	source, ok := driver.(interface {
		NewBackup(to string) (*sqlite.Backup, error)
	})
	if !ok {
		return fmt.Errorf("the driver cannot copy (%T)", driver)
	}
	b, err := source.NewBackup(dsn(to, url.Values{}, "journal_mode(OFF)", "synchronous(OFF)")) // synced as a whole, when it is
	if err != nil {
		return err
	}
	for more := true; more; {
		if more, err = b.Step(backupStep); err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return errors.Join(err, b.Finish())
		}
		progress(b.PageCount()-b.Remaining(), b.PageCount())
	}
	return b.Finish()
}

// countRows counts every table.
func countRows(ctx context.Context, conn *sql.Conn) (map[string]int64, error) {
	rows, err := conn.QueryContext(ctx, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("list tables: %w", err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	counts := map[string]int64{}
	for _, name := range names {
		var n int64
		if err := conn.QueryRowContext(ctx, `SELECT count(*) FROM "`+strings.ReplaceAll(name, `"`, `""`)+`"`).Scan(&n); err != nil {
			return nil, fmt.Errorf("count %s: %w", name, err)
		}
		counts[name] = n
	}
	return counts, nil
}

// checkCopy opens a copy and looks at all of it.
func checkCopy(ctx context.Context, path string, want map[string]int64) (c Copied, err error) {
	r, err := OpenReader(ctx, path)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	conn, err := r.db.Conn(ctx)
	if err != nil {
		return c, err
	}
	defer conn.Close()
	if err := sound(ctx, conn, "integrity_check"); err != nil {
		return c, err
	}
	got, err := countRows(ctx, conn)
	if err != nil {
		return c, err
	}
	for name, n := range want {
		if got[name] != n {
			return c, fmt.Errorf("%s has %d rows instead of %d", name, got[name], n)
		}
	}
	if c.Schema, err = pragma(ctx, conn, "user_version"); err != nil {
		return c, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return c, err
	}
	c.Bytes, c.Deliveries, c.Jobs, c.Attempts = info.Size(), got["delivery"], got["job"], got["attempt"]
	return c, nil
}

// sound runs SQLite's own check: integrity_check reads everything, quick_check all but the
// order of indexes.
func sound(ctx context.Context, conn *sql.Conn, check string) error {
	var answer string
	if err := conn.QueryRowContext(ctx, "PRAGMA "+check+"(1)").Scan(&answer); err != nil {
		return fmt.Errorf("%s: %w", check, err)
	}
	if answer != "ok" {
		return fmt.Errorf("the database is damaged: %s", answer)
	}
	return nil
}

// publish gives a finished file its name, on disk before it is said to be there.
func publish(partial, to string, overwrite bool) error {
	f, err := os.OpenFile(partial, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("sync backup: %w", err)
	}
	if overwrite {
		err = os.Rename(partial, to)
	} else {
		err = renameNew(partial, to)
	}
	if err != nil {
		return fmt.Errorf("back up to %q: %w", to, err)
	}
	return syncDir(filepath.Dir(to))
}
