package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/tenterhook/tenterhook/internal/crashpoint"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// schema returns the steps that make the current schema; step i leads to version i+1.
func schema() ([]string, error) {
	names, err := fs.Glob(schemaFiles, "schema/*.sql")
	if err != nil {
		return nil, err
	}
	var steps []string
	for i, name := range names {
		// Sorted by name: the number must be the version the step leads to.
		if want := fmt.Sprintf("%04d_", i+1); len(path.Base(name)) < 5 || path.Base(name)[:5] != want {
			return nil, fmt.Errorf("schema step %q should begin with %s", name, want)
		}
		text, err := schemaFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		steps = append(steps, string(text))
	}
	return steps, nil
}

// checkVersion compares the schema of the file with the steps known here.
func checkVersion(have, known int) error {
	if have > known {
		return fmt.Errorf("a newer version of this program wrote it: its schema is %d, this program knows up to %d", have, known)
	}
	return nil
}

// migrate takes all missing steps in one transaction: a crash leaves the old schema or the new.
func migrate(ctx context.Context, conn *sql.Conn, steps []string) (err error) {
	have, err := pragma(ctx, conn, "user_version")
	if err != nil {
		return err
	}
	if err := checkVersion(int(have), len(steps)); err != nil || int(have) == len(steps) {
		return err
	}
	if have == 0 {
		if err := checkEmpty(ctx, conn); err != nil {
			return err
		}
	}
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("migrate to schema %d: %w", len(steps), err)
	}
	defer func() {
		if err != nil {
			_, undo := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
			err = errors.Join(err, undo)
		}
	}()
	for i := int(have); i < len(steps); i++ {
		text := fmt.Sprintf("%s\n;PRAGMA user_version = %d", steps[i], i+1)
		if _, err := conn.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("migrate to schema %d: %w", i+1, err)
		}
		crashpoint.Reach(crashpoint.Migration)
	}
	if _, err := conn.ExecContext(ctx, "COMMIT"); err != nil {
		return fmt.Errorf("migrate to schema %d: %w", len(steps), err)
	}
	return nil
}

// checkEmpty refuses to put our tables beside those of another program.
func checkEmpty(ctx context.Context, conn *sql.Conn) error {
	var tables int
	if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return fmt.Errorf("read schema: %w", err)
	}
	if tables > 0 {
		return errOtherProgram
	}
	return nil
}

func pragma(ctx context.Context, conn *sql.Conn, name string) (int64, error) {
	var v int64
	if err := conn.QueryRowContext(ctx, "PRAGMA "+name).Scan(&v); err != nil {
		return 0, fmt.Errorf("read %s: %w", name, err)
	}
	return v, nil
}
