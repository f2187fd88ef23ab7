package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
)

// lookup is a question with one row for an answer that is asked once or more for each delivery. Like
// an insertion it is the driver's own statement, on a connection that belongs to the caller alone. Few
// columns make it cheap: the driver asks for the name and the type of each of them every time.
type lookup struct {
	stmt driver.StmtQueryContext
	args []driver.NamedValue
	row  []driver.Value
}

// lookups are those of an accept, and closed before their connection.
type lookups struct {
	keyHolder, badJob lookup
}

func (s *lookups) prepare(ctx context.Context, conn *sql.Conn) (err error) {
	s.keyHolder, err = prepareLookup(ctx, conn, 2, "SELECT delivery, expires_at FROM dedupe_key WHERE seq = ? AND hook = ? AND key = ?")
	if err != nil {
		return err
	}
	s.badJob, err = prepareLookup(ctx, conn, 1,
		"SELECT 1 FROM job j JOIN delivery d ON d.seq = j.delivery WHERE d.id = ? AND "+endedBadly+" LIMIT 1")
	return err
}

func (s *lookups) close() error { return errors.Join(s.keyHolder.close(), s.badJob.close()) }

func prepareLookup(ctx context.Context, conn *sql.Conn, columns int, text string) (l lookup, err error) {
	stmt, args, err := prepareOwn(ctx, conn, text)
	if err != nil {
		return l, err
	}
	of, ok := stmt.(driver.StmtQueryContext)
	if !ok {
		return l, errors.Join(fmt.Errorf("the driver's statements do not answer (%T)", stmt), stmt.Close())
	}
	return lookup{of, args, make([]driver.Value, columns)}, nil
}

// first returns the first row of the answer, nil when there is none. It is good until the next call;
// the bytes in it are the caller's. Arguments are int64, float64, string, []byte or nil, and not kept.
func (l *lookup) first(args ...driver.Value) (row []driver.Value, err error) {
	if len(args) != len(l.args) {
		return nil, fmt.Errorf("%d values instead of %d", len(args), len(l.args))
	}
	for n, v := range args {
		l.args[n].Value = v
	}
	defer func() {
		for n := range l.args {
			l.args[n].Value = nil
		}
	}()
	rows, err := l.stmt.QueryContext(context.Background(), l.args)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	switch err := rows.Next(l.row); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return l.row, nil
}

func (l *lookup) close() error {
	if stmt, ok := l.stmt.(driver.Stmt); ok {
		return stmt.Close()
	}
	return nil
}
