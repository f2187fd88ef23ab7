package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenterhook/tenterhook/internal/job"
)

// KeepListened stores a span, in the place of the one with its id, and forgets the oldest beyond
// job.MostListened.
func (s *Store) KeepListened(ctx context.Context, span job.Listened) error {
	id, err := knownID("span", span.ID)
	if err != nil {
		return fmt.Errorf("keep when it listened: %w", err)
	}
	op := &script{run: func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO listened (id, since, until) VALUES ($1, $2, $3)
			ON CONFLICT (id) DO UPDATE SET until = excluded.until`, id, nullTime(span.Since), nullTime(span.Until))
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "DELETE FROM listened WHERE seq <= (SELECT seq FROM listened ORDER BY seq DESC LIMIT 1 OFFSET $1)", job.MostListened)
		return err
	}}
	if err := s.writer.do(ctx, op, 64); err != nil {
		return fmt.Errorf("keep when it listened: %w", err)
	}
	return nil
}

// Listened returns the spans that are remembered, newest first.
func (r *reads) Listened(ctx context.Context) ([]job.Listened, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.pool.Query(ctx, "SELECT id::text, since, until FROM listened ORDER BY seq DESC")
	if err != nil {
		return nil, fmt.Errorf("read when it listened: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (one job.Listened, err error) {
		var since, until *time.Time
		err = row.Scan(&one.ID, &since, &until)
		one.Since, one.Until = timeOf(since), timeOf(until)
		return one, err
	})
	if err != nil {
		return nil, fmt.Errorf("read when it listened: %w", err)
	}
	return out, nil
}
