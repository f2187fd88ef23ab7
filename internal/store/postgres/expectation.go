package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenterhook/tenterhook/internal/job"
)

// SetExpectation keeps or forgets what a hook expects.
func (s *Store) SetExpectation(ctx context.Context, e job.Expectation, on bool) error {
	op := &plain{sql: "DELETE FROM expectation WHERE hook = $1", args: []any{e.Hook}}
	if on {
		op.sql = `INSERT INTO expectation (hook, since, last, silent) VALUES ($1, $2, $3, $4)
			ON CONFLICT (hook) DO UPDATE SET since = excluded.since, last = excluded.last, silent = excluded.silent`
		op.args = append(op.args, nullTime(e.Since), nullTime(e.Last), nullTime(e.Silent))
	}
	if err := s.writer.do(ctx, op, 128); err != nil {
		return fmt.Errorf("keep what is expected: %w", err)
	}
	return nil
}

// Expectations returns what is remembered of hooks that expect deliveries, by hook.
func (r *reads) Expectations(ctx context.Context) ([]job.Expectation, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.pool.Query(ctx, `SELECT hook, since, last, silent FROM expectation ORDER BY hook COLLATE "C"`)
	if err != nil {
		return nil, fmt.Errorf("read what is expected: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e job.Expectation, err error) {
		var since, last, silent *time.Time
		err = row.Scan(&e.Hook, &since, &last, &silent)
		e.Since, e.Last, e.Silent = timeOf(since), timeOf(last), timeOf(silent)
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("read what is expected: %w", err)
	}
	return out, nil
}
