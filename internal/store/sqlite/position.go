package sqlite

import (
	"context"
	"fmt"

	"github.com/tenterhook/tenterhook/internal/job"
)

// SetPosition keeps or forgets how far a hook's source has been read.
func (s *Store) SetPosition(ctx context.Context, p job.Position, on bool) error {
	if err := s.writer.do(ctx, &setPosition{p, on}, 0); err != nil {
		return fmt.Errorf("keep the position of a source: %w", err)
	}
	return nil
}

type setPosition struct {
	p  job.Position
	on bool
}

func (o *setPosition) apply(c *connection, _ *jumpGuard) error {
	if !o.on {
		_, err := c.deletePosition.Exec(o.p.Hook)
		return err
	}
	_, err := c.keepPosition.Exec(o.p.Hook, o.p.Source, o.p.Place)
	return err
}

func (*setPosition) told() []job.Job { return nil }

// Positions returns how far the hooks' sources have been read, by hook.
func (r *reads) Positions(ctx context.Context) ([]job.Position, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.db.QueryContext(ctx, "SELECT hook, source, place FROM position ORDER BY hook")
	if err != nil {
		return nil, fmt.Errorf("read the positions of sources: %w", err)
	}
	defer rows.Close()
	var out []job.Position
	for rows.Next() {
		var p job.Position
		if err := rows.Scan(&p.Hook, &p.Source, &p.Place); err != nil {
			return nil, fmt.Errorf("read the positions of sources: %w", err)
		}
		out = append(out, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the positions of sources: %w", err)
	}
	return out, nil
}

// ofPositions are the statements of where sources were read to.
func (s *statements) ofPositions() []statement {
	return []statement{
		{&s.keepPosition, "INSERT OR REPLACE INTO position (hook, source, place) VALUES (?, ?, ?)"},
		{&s.deletePosition, "DELETE FROM position WHERE hook = ?"},
	}
}
