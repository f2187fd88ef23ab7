package sqlite

import (
	"context"
	"fmt"

	"github.com/tenterhook/tenterhook/internal/job"
)

// SetExpectation keeps or forgets what a hook expects.
func (s *Store) SetExpectation(ctx context.Context, e job.Expectation, on bool) error {
	if err := s.writer.do(ctx, &setExpectation{e, on}, 0); err != nil {
		return fmt.Errorf("keep what is expected: %w", err)
	}
	return nil
}

type setExpectation struct {
	e  job.Expectation
	on bool
}

func (o *setExpectation) apply(c *connection, _ *jumpGuard) error {
	if !o.on {
		_, err := c.deleteExpectation.Exec(o.e.Hook)
		return err
	}
	_, err := c.keepExpectation.Exec(o.e.Hook, encodeTime(o.e.Since), encodeTime(o.e.Last), encodeTime(o.e.Silent))
	return err
}

func (*setExpectation) told() []job.Job { return nil }

// Expectations returns what is remembered of hooks that expect deliveries, by hook.
func (r *reads) Expectations(ctx context.Context) ([]job.Expectation, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.db.QueryContext(ctx, "SELECT hook, since, last, silent FROM expectation ORDER BY hook")
	if err != nil {
		return nil, fmt.Errorf("read what is expected: %w", err)
	}
	defer rows.Close()
	var out []job.Expectation
	for rows.Next() {
		var (
			e                   job.Expectation
			since, last, silent int64
		)
		if err := rows.Scan(&e.Hook, &since, &last, &silent); err != nil {
			return nil, fmt.Errorf("read what is expected: %w", err)
		}
		e.Since, e.Last, e.Silent = decodeTime(since), decodeTime(last), decodeTime(silent)
		out = append(out, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read what is expected: %w", err)
	}
	return out, nil
}

// ofExpectations are the statements of expected deliveries.
func (s *statements) ofExpectations() []statement {
	return []statement{
		{&s.keepExpectation, "INSERT OR REPLACE INTO expectation (hook, since, last, silent) VALUES (?, ?, ?, ?)"},
		{&s.deleteExpectation, "DELETE FROM expectation WHERE hook = ?"},
	}
}
