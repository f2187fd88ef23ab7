package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tenterhook/tenterhook/internal/job"
)

// SetPosition keeps or forgets how far a hook's source has been read.
func (s *Store) SetPosition(ctx context.Context, p job.Position, on bool) error {
	op := &plain{sql: "DELETE FROM position WHERE hook = $1", args: []any{p.Hook}}
	if on {
		op.sql = `INSERT INTO position (hook, source, place) VALUES ($1, $2, $3)
			ON CONFLICT (hook) DO UPDATE SET source = excluded.source, place = excluded.place`
		op.args = append(op.args, p.Source, encodeText(p.Place))
	}
	if err := s.writer.do(ctx, op, 128); err != nil {
		return fmt.Errorf("keep the position of a source: %w", err)
	}
	return nil
}

// Positions returns how far the hooks' sources have been read, by hook.
func (r *reads) Positions(ctx context.Context) ([]job.Position, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.pool.Query(ctx, `SELECT hook, source, place FROM position ORDER BY hook COLLATE "C"`)
	if err != nil {
		return nil, fmt.Errorf("read the positions of sources: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p job.Position, err error) {
		if err = row.Scan(&p.Hook, &p.Source, &p.Place); err != nil {
			return p, err
		}
		return p, decodeTexts(&p.Place)
	})
	if err != nil {
		return nil, fmt.Errorf("read the positions of sources: %w", err)
	}
	return out, nil
}
