package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tenterhook/tenterhook/internal/store"
)

// mostConfigurations is how many versions are kept: the newest.
const mostConfigurations = 1000

// PutConfiguration makes a configuration the newest version and returns it with its number. With after
// it is store.ErrFenced unless that is the newest before.
func (s *Store) PutConfiguration(ctx context.Context, c store.Configuration, after int64) (store.Configuration, error) {
	op := &script{run: func(ctx context.Context, tx pgx.Tx) error {
		// Locked, so that two that are pushed at once are two versions.
		if _, err := tx.Exec(ctx, "LOCK TABLE configuration IN SHARE ROW EXCLUSIVE MODE"); err != nil {
			return err
		}
		var newest int64
		err := tx.QueryRow(ctx, "SELECT coalesce(max(n), 0) FROM configuration").Scan(&newest)
		if err == nil && after != 0 && newest != after {
			err = fmt.Errorf("version %d is the newest: %w", newest, store.ErrFenced)
		}
		if err != nil {
			return err
		}
		err = tx.QueryRow(ctx, `INSERT INTO configuration (n, at, author, digest, message, content)
			SELECT coalesce(max(n), 0) + 1, $1, $2, $3, $4, $5 FROM configuration RETURNING n`,
			nullTime(c.At), encodeText(c.Author), c.Digest, encodeText(c.Message), encodeText(c.Content)).Scan(&c.N)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "DELETE FROM configuration WHERE n <= $1", c.N-mostConfigurations)
		return err
	}}
	if err := s.writer.do(ctx, op, 1024+len(c.Content)); err != nil {
		return c, fmt.Errorf("store configuration: %w", err)
	}
	return c, nil
}

const configurationColumns = "SELECT n, at, author, digest, message, "

// Configurations returns the versions there are, newest first, without their content.
func (r *reads) Configurations(ctx context.Context, most int) ([]store.Configuration, error) {
	return r.configurations(ctx, configurationColumns+"'' FROM configuration ORDER BY n DESC LIMIT $1", limit(most))
}

// Configuration returns a version, 0 for the newest; store.ErrNotFound when there is none.
func (r *reads) Configuration(ctx context.Context, n int64) (store.Configuration, error) {
	found, err := r.configurations(ctx, configurationColumns+"content FROM configuration WHERE $1 = 0 OR n = $1 ORDER BY n DESC LIMIT 1", n)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("configuration %d: %w", n, store.ErrNotFound)
	}
	if err != nil {
		return store.Configuration{}, err
	}
	return found[0], nil
}

// NewestConfiguration is the number of the newest version, 0 for none.
func (r *reads) NewestConfiguration(ctx context.Context) (n int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err = r.pool.QueryRow(ctx, "SELECT coalesce(max(n), 0) FROM configuration").Scan(&n)
	return n, err
}

func (r *reads) configurations(ctx context.Context, sql string, args ...any) ([]store.Configuration, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("read configurations: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c store.Configuration, err error) {
		if err := row.Scan(&c.N, &c.At, &c.Author, &c.Digest, &c.Message, &c.Content); err != nil {
			return c, err
		}
		return c, decodeTexts(&c.Author, &c.Message, &c.Content)
	})
	if err != nil {
		return nil, fmt.Errorf("read configurations: %w", err)
	}
	return found, nil
}
