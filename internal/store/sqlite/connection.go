package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"modernc.org/sqlite"

	"github.com/tenterhook/tenterhook/internal/crashpoint"
)

const (
	pageSize     = 8192
	oldestSQLite = "3.51.3" // older ones can lose a commit when the log restarts
)

// connection is the one connection that writes, with its prepared statements and the counters
// that number rows. Only one goroutine uses it at a time.
type connection struct {
	statements
	insertions
	lookups
	db   *sql.DB
	conn *sql.Conn

	deliverySeq, jobSeq int64  // the last ones given out
	salt                []byte // of the hashes of keys
	keys                keyIndex
	found               []int64 // used again by holder
}

// dsn names the file with everything each connection needs set.
func dsn(path string, parameters url.Values, pragmas ...string) string {
	for _, p := range pragmas {
		parameters.Add("_pragma", p)
	}
	parameters.Set("_dqs", "0")
	parameters.Set("_error_rc", "1")
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + parameters.Encode()
}

// useSafeLocks asks for locks that a stray close of the file elsewhere in the process cannot
// drop, and for syncs that skip the timestamps. Both are process-wide; where the system has
// neither, SQLite's defaults are as durable.
func useSafeLocks() {
	_, _ = sqlite.OFDLocking(true)
	_, _ = sqlite.Fdatasync(true)
}

// openConnection opens the writing connection; it does not look at the tables yet.
func openConnection(ctx context.Context, path string, busy time.Duration) (*connection, error) {
	useSafeLocks()
	busy = min(busy, 5*time.Second)
	db, err := sql.Open("sqlite", dsn(path, url.Values{
		"_busy_timeout": {strconv.FormatInt(busy.Milliseconds(), 10)}, "_synchronous": {"FULL"}, "_foreign_keys": {"1"},
		"_journal_mode": {"WAL"}, // the driver sets it after the page size, which it would fix
	}, fmt.Sprintf("page_size(%d)", pageSize), "trusted_schema(0)",
		// A page of 8 kB and what SQLite notes of it take 21 kB of its allocator: three fit into 64 kB.
		// The rows of a delivery go to the ends of their tables, which few pages hold.
		"cache_size(-8192)", "temp_store(MEMORY)", "journal_size_limit(67108864)",
		// The writer checkpoints itself, after it has answered, and so sees errors of the
		// sync, which a commit would swallow.
		"wal_autocheckpoint(0)"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	c := &connection{db: db, conn: conn}
	if err := c.verify(ctx, busy); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// verify reads the settings back that durability stands on.
func (c *connection) verify(ctx context.Context, busy time.Duration) error {
	if err := checkSQLite(ctx, c.conn); err != nil {
		return err
	}
	var mode string
	if err := c.conn.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return fmt.Errorf("read journal_mode: %w", err)
	}
	if mode != "wal" {
		return fmt.Errorf("journal mode is %q instead of wal: does the folder allow shared memory?", mode)
	}
	for name, want := range map[string]int64{
		"synchronous": 2, "foreign_keys": 1, "trusted_schema": 0, "busy_timeout": busy.Milliseconds(), "page_size": pageSize,
	} {
		got, err := pragma(ctx, c.conn, name)
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("%s is %d instead of %d", name, got, want)
		}
	}
	return nil
}

func checkSQLite(ctx context.Context, conn *sql.Conn) error {
	var version string
	if err := conn.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version); err != nil {
		return fmt.Errorf("read version of SQLite: %w", err)
	}
	if older(version, oldestSQLite) {
		return fmt.Errorf("SQLite %s is too old: at least %s is needed", version, oldestSQLite)
	}
	return nil
}

// older compares dotted numbers.
func older(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		x, _ := strconv.Atoi(as[i])
		y, _ := strconv.Atoi(bs[i])
		if x != y {
			return x < y
		}
	}
	return len(as) < len(bs)
}

// bringUp checks and migrates the file and makes the connection ready to write.
func (c *connection) bringUp(ctx context.Context) error {
	steps, err := schema()
	if err != nil {
		return err
	}
	if err := migrate(ctx, c.conn, steps); err != nil {
		return err
	}
	id, err := pragma(ctx, c.conn, "application_id")
	if err != nil {
		return err
	}
	if id != applicationID {
		return errOtherProgram
	}
	return c.prepare(ctx)
}

// prepare compiles the statements, seeds the counters and reads the index of keys.
func (c *connection) prepare(ctx context.Context) error {
	if err := errors.Join(c.statements.prepare(ctx, c.conn), c.insertions.prepare(ctx, c.conn), c.lookups.prepare(ctx, c.conn)); err != nil {
		return err
	}
	row := c.conn.QueryRowContext(ctx, "SELECT (SELECT coalesce(max(seq), 0) FROM delivery), (SELECT coalesce(max(seq), 0) FROM job)")
	if err := row.Scan(&c.deliverySeq, &c.jobSeq); err != nil {
		return fmt.Errorf("read last row: %w", err)
	}
	return c.loadKeys(ctx)
}

// written returns how many pages this connection has written to the log since the last call.
func (c *connection) written() (pages int) {
	_ = c.conn.Raw(func(driver any) error {
		if s, ok := driver.(sqlite.DBStatus); ok {
			pages, _, _ = s.Status(sqlite.DBStatusCacheWrite, true)
		}
		return nil
	})
	return pages
}

// checkpoint copies the log into the database file as far as no reader stands in the way, and
// returns the pages the log held. Mode is PASSIVE or TRUNCATE.
func (c *connection) checkpoint(mode string) (pages int, err error) {
	var busy, copied int
	row := c.conn.QueryRowContext(context.Background(), "PRAGMA wal_checkpoint("+mode+")")
	if err := row.Scan(&busy, &pages, &copied); err != nil {
		return 0, fmt.Errorf("checkpoint: %w", err)
	}
	crashpoint.Reach(crashpoint.MidCheckpoint)
	return pages, nil
}

// close releases the connection. What is not committed is gone.
func (c *connection) close() error {
	return errors.Join(c.statements.close(), c.insertions.close(), c.lookups.close(), c.conn.Close(), c.db.Close())
}
