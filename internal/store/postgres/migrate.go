package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// steps returns the steps that make the current schema; step i leads to version i+1.
func steps() ([]string, error) {
	names, err := fs.Glob(schemaFiles, "schema/*.sql")
	if err != nil {
		return nil, err
	}
	var texts []string
	for i, name := range names {
		// Sorted by name: the number must be the version the step leads to.
		if want := fmt.Sprintf("%04d_", i+1); len(path.Base(name)) < 5 || path.Base(name)[:5] != want {
			return nil, fmt.Errorf("schema step %q should begin with %s", name, want)
		}
		text, err := schemaFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		texts = append(texts, string(text))
	}
	return texts, nil
}

// The locks that are held in the database beside those of rows; each is a pair of a namespace and
// a number made of the schema's name.
const (
	lockMigrate = 0x74656e74 // "tent"
	lockWriter  = lockMigrate + 1
)

// bringUp checks the server, takes the store for this process and migrates its schema. It returns
// what a commit survives.
func bringUp(ctx context.Context, conn *pgx.Conn, t target) (durable string, err error) {
	if durable, err = checkServer(ctx, conn); err != nil {
		return "", err
	}
	if err := takeStore(ctx, conn, t); err != nil {
		return "", err
	}
	texts, err := steps()
	if err != nil {
		return "", err
	}
	return durable, migrate(ctx, conn, t.schema, texts)
}

// errTaken: another process writes.
var errTaken = errors.New("another process has the store open; PostgreSQL tells which in pg_stat_activity")

// takeWithin is for how long the store may be another's when it is opened: a server notices only
// after a moment that a process has ended.
const takeWithin = 3 * time.Second

// takeStore takes the lock of those who may write: of one process, or of all that share the store.
// It is the connection's and ends with it.
func takeStore(ctx context.Context, conn *pgx.Conn, t target) error {
	lock := "pg_try_advisory_lock"
	if t.shared {
		lock = "pg_try_advisory_lock_shared"
	}
	for began := time.Now(); ; {
		var ok bool
		err := conn.QueryRow(ctx, "SELECT "+lock+"($1, hashtext($2))", lockWriter, t.schema).Scan(&ok)
		switch {
		case err != nil:
			return fmt.Errorf("take the store: %w", err)
		case ok:
			return nil
		case time.Since(began) > takeWithin:
			return errTaken
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return errTaken
		}
	}
}

// migrate takes all missing steps in one transaction, one process at a time: a crash leaves the
// old schema or the new.
func migrate(ctx context.Context, conn *pgx.Conn, schema string, texts []string) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1, hashtext($2))", lockMigrate, schema); err != nil {
			return fmt.Errorf("wait for other migrations: %w", err)
		}
		have, err := version(ctx, tx, schema)
		if err != nil {
			return err
		}
		if err := checkVersion(have, len(texts)); err != nil || have == len(texts) {
			return err
		}
		if have == 0 {
			if err := makeSchema(ctx, tx, schema); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, "CREATE TABLE schema_version (version integer NOT NULL); INSERT INTO schema_version VALUES (0)"); err != nil {
				return fmt.Errorf("migrate: %w", err)
			}
		}
		for i := have; i < len(texts); i++ {
			if _, err := tx.Exec(ctx, texts[i]); err != nil {
				return fmt.Errorf("migrate to schema %d: %w", i+1, err)
			}
		}
		_, err = tx.Exec(ctx, "UPDATE schema_version SET version = $1", len(texts))
		return err
	})
}

// version is the schema's, 0 when there is none.
func version(ctx context.Context, tx interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}, schema string,
) (have int, err error) {
	var there bool
	err = tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = $1 AND tablename = 'schema_version')", schema).Scan(&there)
	if err == nil && there {
		err = tx.QueryRow(ctx, "SELECT version FROM schema_version").Scan(&have)
	}
	if err != nil {
		return 0, fmt.Errorf("read version of the schema: %w", err)
	}
	return have, nil
}

// checkVersion compares the schema of the database with the steps known here.
func checkVersion(have, known int) error {
	if have > known {
		return fmt.Errorf("a newer version of this program wrote it: its schema is %d, this program knows up to %d", have, known)
	}
	return nil
}

// makeSchema makes the schema unless it is there, and refuses to put our tables beside those of
// another program.
func makeSchema(ctx context.Context, tx pgx.Tx, schema string) error {
	var there bool
	var tables int
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1),
		(SELECT count(*) FROM pg_tables WHERE schemaname = $1)`, schema).Scan(&there, &tables)
	if err != nil {
		return fmt.Errorf("read schema: %w", err)
	}
	if !there { // not IF NOT EXISTS, which asks for the right to make one even then
		if _, err := tx.Exec(ctx, "CREATE SCHEMA "+pgx.Identifier{schema}.Sanitize()); err != nil {
			return fmt.Errorf("make schema %s: %w", schema, err)
		}
	}
	if tables > 0 {
		return fmt.Errorf("schema %q has tables of another program: name another one with ?search_path=", schema)
	}
	return nil
}
