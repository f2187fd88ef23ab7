package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // the store's own driver
)

// seed makes a store of n deliveries in dir, of which the last live ones have a job that waits;
// the jobs of the others have succeeded. Every row is a copy of what the program itself stored
// for one push, but for what makes it another delivery.
func (l *lab) seed(ctx context.Context, dir string, n, live int) error {
	if err := l.first(ctx, dir); err != nil {
		return err
	}
	db, err := openStopped(dir)
	if err != nil {
		return err
	}
	err = multiply(ctx, db, n, live)
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	return l.indexKeys(ctx, dir)
}

// indexKeys lets the program index the keys that it did not take itself, as it does when it first
// starts on a store of an older schema.
func (l *lab) indexKeys(ctx context.Context, dir string) error {
	p, err := l.ours(ctx, setup{dir: dir, retention: keepAll})
	if err != nil {
		return err
	}
	p.end()
	return nil
}

// first lets the program make a store with one delivery whose job has succeeded.
func (l *lab) first(ctx context.Context, dir string) error {
	p, err := l.ours(ctx, setup{dir: dir})
	if err != nil {
		return err
	}
	defer p.end()
	if err := l.once(ctx, p, genuine("/site"), 202); err != nil {
		return err
	}
	for {
		if left, err := p.waiting(ctx); err != nil || left == 0 {
			return err
		}
	}
}

// openStopped opens the store of a daemon that does not run, for writes that need not survive.
func openStopped(dir string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "t.db")+
		"?_pragma=journal_mode(OFF)&_pragma=synchronous(OFF)&_pragma=cache_size(-1000000)&_pragma=temp_store(MEMORY)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// multiply copies the first delivery with its body, key and job until there are n.
func multiply(ctx context.Context, db *sql.DB, n, live int) error {
	const numbers = "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
	// Ids are in the order of time, as UUIDv7 are; keys scatter. The newest arrived just now, one
	// each tenth of a second before it.
	newID := func(mark string) string {
		return "unhex(printf('%012x', t.received_at / 1000 - (" + fmt.Sprint(n) + " - i) * 100) || '7" + mark + "' || lower(hex(randomblob(8))))"
	}
	at := fmt.Sprintf("t.received_at - (%d - i) * 100000", n)
	state := fmt.Sprintf("CASE WHEN i > %d THEN 'queued' ELSE t.state END", n-live)
	steps := []struct {
		table    string
		from     string
		replaced map[string]string
	}{
		{"delivery", "delivery t", map[string]string{
			"seq": "i", "id": newID("aaa"), "received_at": at,
			"key": "printf('%08x-%04x-11ef-8000-%012x', (i * 2654435761) & 4294967295, (i * 40503) & 65535, i)",
		}},
		{"body", "body t", map[string]string{"delivery": "i"}},
		{"job", "(SELECT j.*, d.received_at FROM job j, delivery d WHERE j.seq = 1 AND d.seq = 1) t", map[string]string{
			"seq": "i", "delivery": "i", "id": newID("bbb"), "state": state, "created_at": at, "run_at": at,
			"attempt":    fmt.Sprintf("CASE WHEN i > %d THEN 0 ELSE t.attempt END", n-live),
			"started_at": "t.received_at", "finished_at": fmt.Sprintf("CASE WHEN i > %d THEN 0 ELSE t.finished_at END", n-live),
		}},
	}
	if _, err := db.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	for _, s := range steps {
		columns, err := columnsOf(ctx, db, s.table)
		if err != nil {
			return err
		}
		values := make([]string, len(columns))
		for i, name := range columns {
			if values[i] = s.replaced[name]; values[i] == "" {
				values[i] = "t." + name
			}
		}
		text := fmt.Sprintf("INSERT INTO %s (%s) "+numbers+"SELECT %s FROM n, %s WHERE t.%s = 1",
			s.table, strings.Join(columns, ", "), n, strings.Join(values, ", "), s.from, columns[0])
		if _, err := db.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("fill %s: %w", s.table, err)
		}
	}
	_, err := db.ExecContext(ctx, `INSERT INTO dedupe_key (hook, key, delivery, expires_at)
		SELECT hook, CAST('k' || key AS BLOB), id, received_at + key_window FROM delivery WHERE seq > 1 ORDER BY seq`)
	if err != nil {
		return fmt.Errorf("fill dedupe_key: %w", err)
	}
	_, err = db.ExecContext(ctx, "COMMIT")
	return err
}

func columnsOf(ctx context.Context, db *sql.DB, table string) (names []string, err error) {
	rows, err := db.QueryContext(ctx, "SELECT name FROM pragma_table_info(?) ORDER BY cid", table)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// cancelWaiting ends the jobs that wait in a store whose daemon does not run, so that the next
// measurement finds room for its own.
func cancelWaiting(ctx context.Context, dir string) error {
	db, err := openStopped(dir)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "UPDATE job SET state = 'cancelled', finished_at = created_at WHERE state = 'scheduled' OR state = 'queued' OR state = 'running'")
	return errors.Join(err, db.Close())
}
