package sqlite

import (
	"context"
	"fmt"

	"github.com/tenterhook/tenterhook/internal/job"
)

// KeepListened stores a span, in the place of the one with its id, and forgets the oldest beyond
// job.MostListened.
func (s *Store) KeepListened(ctx context.Context, span job.Listened) error {
	id, err := knownID("span", span.ID)
	if err != nil {
		return fmt.Errorf("keep when it listened: %w", err)
	}
	if err := s.writer.do(ctx, &keepListened{id, span}, 0); err != nil {
		return fmt.Errorf("keep when it listened: %w", err)
	}
	return nil
}

type keepListened struct {
	id   []byte
	span job.Listened
}

func (o *keepListened) apply(c *connection, _ *jumpGuard) error {
	if _, err := c.keepListened.Exec(o.id, encodeTime(o.span.Since), encodeTime(o.span.Until)); err != nil {
		return err
	}
	_, err := c.deleteListened.Exec(int64(job.MostListened))
	return err
}

func (*keepListened) told() []job.Job { return nil }

// Listened returns the spans that are remembered, newest first.
func (r *reads) Listened(ctx context.Context) ([]job.Listened, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.db.QueryContext(ctx, "SELECT id, since, until FROM listened ORDER BY seq DESC")
	if err != nil {
		return nil, fmt.Errorf("read when it listened: %w", err)
	}
	defer rows.Close()
	var out []job.Listened
	for rows.Next() {
		var (
			id           []byte
			since, until int64
		)
		if err := rows.Scan(&id, &since, &until); err != nil {
			return nil, fmt.Errorf("read when it listened: %w", err)
		}
		one := job.Listened{Since: decodeTime(since), Until: decodeTime(until)}
		if one.ID, err = decodeID(id); err != nil {
			return nil, fmt.Errorf("read when it listened: %w", err)
		}
		out = append(out, one)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read when it listened: %w", err)
	}
	return out, nil
}

// ofListened are the statements of when the daemon listened.
func (s *statements) ofListened() []statement {
	return []statement{
		{&s.keepListened, "INSERT INTO listened (id, since, until) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET until = excluded.until"},
		{&s.deleteListened, "DELETE FROM listened WHERE seq <= (SELECT seq FROM listened ORDER BY seq DESC LIMIT 1 OFFSET ?)"},
	}
}
