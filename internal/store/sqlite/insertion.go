package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/tenterhook/tenterhook/internal/job"
)

// insertion is a statement that runs once or more for each delivery. It is the driver's own: with
// several in each delivery, what database/sql does around one would cost as much as what it inserts.
// The connection must belong to the caller alone, as that of the writer does.
type insertion struct {
	stmt driver.StmtExecContext
	args []driver.NamedValue
}

// insertions are those of an accept, and closed before their connection.
type insertions struct {
	insertDelivery, insertPost insertion
	insertBody, insertKey      insertion
	insertJob, insertNewJob    insertion
}

func (s *insertions) prepare(ctx context.Context, conn *sql.Conn) error {
	for _, one := range []struct {
		into *insertion
		text string
	}{
		{&s.insertDelivery, `INSERT INTO delivery (seq, id, hook, key, key_window, on_duplicate, event,
			received_at, outcome, path, ip, secret, config, header, params,
			withheld, verdicts, size, trace, origin, method, query) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`},
		// What nearly all are: each parameter that is left out is one less to hand over.
		{&s.insertPost, `INSERT INTO delivery (seq, id, hook, key, key_window, on_duplicate, event,
			received_at, outcome, path, ip, secret, config, header, params,
			withheld, verdicts, size, trace, origin, method, query) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,'` + job.OriginRequest + `','` + http.MethodPost + `','')`},
		{&s.insertBody, "INSERT INTO body (delivery, encoding, data) VALUES (?, ?, ?)"},
		{&s.insertKey, "INSERT INTO dedupe_key (seq, hook, key, delivery, expires_at) VALUES (?, ?, ?, ?, ?)"},
		{&s.insertJob, `INSERT INTO job (seq, id, delivery, hook, rule, run_at, created_at, concurrency_key,
			state, reason, attempt, since, started_at, finished_at, exit_code, error,
			superseded_by, replay_of, node, keys, burst, target)
			VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`},
		// Likewise: what nearly all are.
		{&s.insertNewJob, `INSERT INTO job (seq, id, delivery, hook, rule, run_at, created_at, concurrency_key,
			state, reason, attempt, since, started_at, finished_at, exit_code, error,
			superseded_by, replay_of, node, keys, burst, target)
			VALUES (?,?,?,?,?,?,?,?,'queued','',0,0,0,0,NULL,'','','','',NULL,NULL,'')`},
	} {
		var err error
		if *one.into, err = prepareInsertion(ctx, conn, one.text); err != nil {
			return err
		}
	}
	return nil
}

func (s *insertions) close() (err error) {
	for _, i := range []*insertion{&s.insertDelivery, &s.insertPost, &s.insertBody, &s.insertKey, &s.insertJob, &s.insertNewJob} {
		err = errors.Join(err, i.close())
	}
	return err
}

// prepareInsertion compiles text, in which each question mark is a parameter.
func prepareInsertion(ctx context.Context, conn *sql.Conn, text string) (i insertion, err error) {
	stmt, args, err := prepareOwn(ctx, conn, text)
	if err != nil {
		return i, err
	}
	of, ok := stmt.(driver.StmtExecContext)
	if !ok {
		return i, errors.Join(fmt.Errorf("the driver's statements do not execute (%T)", stmt), stmt.Close())
	}
	return insertion{of, args}, nil
}

// prepareOwn makes a statement of the driver and room for its parameters, of which each question mark
// in text is one.
func prepareOwn(ctx context.Context, conn *sql.Conn, text string) (stmt driver.Stmt, args []driver.NamedValue, err error) {
	err = conn.Raw(func(of any) error {
		preparer, ok := of.(driver.ConnPrepareContext)
		if !ok {
			return fmt.Errorf("the driver prepares nothing (%T)", of)
		}
		var err error
		stmt, err = preparer.PrepareContext(ctx, text)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("prepare %q: %w", text, err)
	}
	args = make([]driver.NamedValue, strings.Count(text, "?"))
	for n := range args {
		args[n].Ordinal = n + 1
	}
	return stmt, args, nil
}

// exec inserts. Values are int64, float64, string, []byte or nil, and not kept.
func (i *insertion) exec(first driver.Value, others ...driver.Value) error {
	i.args[0].Value = first
	if len(others) != len(i.args)-1 {
		return fmt.Errorf("%d values instead of %d", len(others)+1, len(i.args))
	}
	for n, v := range others {
		i.args[n+1].Value = v
	}
	_, err := i.stmt.ExecContext(context.Background(), i.args)
	for n := range i.args {
		i.args[n].Value = nil
	}
	return err
}

func (i *insertion) close() error {
	if stmt, ok := i.stmt.(driver.Stmt); ok {
		return stmt.Close()
	}
	return nil
}
