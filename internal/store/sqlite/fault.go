package sqlite

import (
	"database/sql"
	"database/sql/driver"
	"errors"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// lostError is a fault of the file itself.
type lostError struct{ error }

func (e lostError) Unwrap() error { return e.error }

// code returns the extended result code of err, or 0 when it is none of SQLite's.
func code(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code()
	}
	return 0
}

// isBusy reports that another connection holds a lock: nothing happened, and the connection is
// as good as before.
func isBusy(err error) bool {
	c := code(err) & 0xff
	return c == lib.SQLITE_BUSY || c == lib.SQLITE_LOCKED
}

// isLost reports a fault after which the file, or what the kernel holds of it, is not to be
// trusted in this process: a sync that failed is not tried again, because the kernel may have
// dropped the pages and would report success.
func isLost(err error) bool {
	if _, ok := errors.AsType[lostError](err); ok {
		return true
	}
	c := code(err)
	switch c {
	case lib.SQLITE_IOERR_SHMSIZE, lib.SQLITE_IOERR_SHMMAP, lib.SQLITE_IOERR_NOMEM:
		return false // no space or memory for the shared index; nothing was written
	}
	switch c & 0xff {
	case lib.SQLITE_IOERR, lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return true
	}
	return false
}

// isPoison reports that one row is at fault and not the store: it would fail again, alone.
// Everything SQLite does not blame on its surroundings counts, also errors before SQLite.
func isPoison(err error) bool {
	if _, ok := errors.AsType[lostError](err); ok || errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
		return false
	}
	switch code(err) & 0xff {
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_NOMEM, lib.SQLITE_READONLY, lib.SQLITE_INTERRUPT,
		lib.SQLITE_IOERR, lib.SQLITE_CORRUPT, lib.SQLITE_FULL, lib.SQLITE_CANTOPEN, lib.SQLITE_PROTOCOL,
		lib.SQLITE_NOTADB, lib.SQLITE_PERM, lib.SQLITE_NOLFS, lib.SQLITE_MISUSE, lib.SQLITE_ABORT:
		return false
	}
	return true
}
