package sqlite

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// KeepRejects stores refused requests, in the place of those with the same id, and deletes the
// oldest beyond most. It waits until no other write does.
func (s *Store) KeepRejects(ctx context.Context, rejects []job.Reject, most int) error {
	op := &keepRejects{rejects: rejects, most: most}
	for i := range rejects {
		id, err := knownID("reject", rejects[i].ID)
		if err != nil {
			return fmt.Errorf("keep rejects: %w", err)
		}
		op.ids = append(op.ids, id)
	}
	if err := s.writer.doLow(ctx, op); err != nil {
		return fmt.Errorf("keep rejects: %w", err)
	}
	return nil
}

type keepRejects struct {
	rejects []job.Reject
	ids     [][]byte
	most    int
}

func (o *keepRejects) apply(c *connection, _ *jumpGuard) error {
	for i := range o.rejects {
		r := &o.rejects[i]
		_, err := c.keepReject.Exec(o.ids[i], encodeTime(r.At), r.IP, r.Hook, int64(r.Status), r.Error, r.Reason, r.Size,
			int64(r.Count), encodeTime(r.LastAt))
		if err != nil {
			return err
		}
	}
	_, err := c.deleteRejects.Exec(int64(o.most))
	return err
}

func (*keepRejects) told() []job.Job { return nil }

// Rejects lists refused requests, newest first. Of the filter count Hook, Since, Until, Cursor
// and Limit. A Cursor that names none is store.ErrNotFound.
func (r *reads) Rejects(ctx context.Context, f store.Filter) ([]job.Reject, error) {
	out, err := r.rejects(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("list rejects: %w", err)
	}
	return out, nil
}

func (r *reads) rejects(ctx context.Context, f store.Filter) ([]job.Reject, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var w where
	equal(&w, "hook", f.Hook)
	w.between("at", f)
	if err := r.after(ctx, &w, "reject", "seq", f.Cursor); err != nil {
		return nil, err
	}
	rows, err := r.db.QueryContext(ctx, "SELECT id, at, ip, hook, status, error, reason, size, count, last_at FROM reject"+
		w.String()+" ORDER BY seq DESC LIMIT ?", append(w.args, limit(f.Limit))...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []job.Reject
	for rows.Next() {
		var (
			x        job.Reject
			id       []byte
			at, last int64
		)
		if err := rows.Scan(&id, &at, &x.IP, &x.Hook, &x.Status, &x.Error, &x.Reason, &x.Size, &x.Count, &last); err != nil {
			return nil, err
		}
		if x.ID, err = decodeID(id); err != nil {
			return nil, err
		}
		x.At, x.LastAt = decodeTime(at), decodeTime(last)
		out = append(out, x)
	}
	return out, rows.Err()
}

// KeepReplay stores how far a replay is, and forgets the oldest beyond job.MostReplays.
func (s *Store) KeepReplay(ctx context.Context, r job.Replay) error {
	id, err := knownID("replay", r.ID)
	if err != nil {
		return fmt.Errorf("keep replay: %w", err)
	}
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("keep replay: %w", err)
	}
	if err := s.writer.do(ctx, &keepReplay{id, string(data)}, len(data)); err != nil {
		return fmt.Errorf("keep replay: %w", err)
	}
	return nil
}

type keepReplay struct {
	id   []byte
	data string
}

func (o *keepReplay) apply(c *connection, _ *jumpGuard) error {
	if _, err := c.keepReplay.Exec(o.id, o.data); err != nil {
		return err
	}
	_, err := c.deleteReplays.Exec(int64(job.MostReplays))
	return err
}

func (*keepReplay) told() []job.Job { return nil }

// Replays returns the replays that are remembered, newest first.
func (r *reads) Replays(ctx context.Context) ([]job.Replay, error) {
	out, err := r.replays(ctx)
	if err != nil {
		return nil, fmt.Errorf("read replays: %w", err)
	}
	return out, nil
}

func (r *reads) replays(ctx context.Context) ([]job.Replay, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.db.QueryContext(ctx, "SELECT data FROM replay ORDER BY seq DESC")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []job.Replay
	for rows.Next() {
		var (
			data string
			one  job.Replay
		)
		if err := rows.Scan(&data); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(data), &one); err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, rows.Err()
}

// ofRecords are the statements of refused requests and of replays of many deliveries.
func (s *statements) ofRecords() []statement {
	return []statement{
		{&s.keepReject, `INSERT INTO reject (id, at, ip, hook, status, error, reason, size, count, last_at)
			VALUES (?,?,?,?,?,?,?,?,?,?)
			ON CONFLICT (id) DO UPDATE SET count = excluded.count, last_at = excluded.last_at, size = excluded.size`},
		{&s.deleteRejects, "DELETE FROM reject WHERE seq <= (SELECT seq FROM reject ORDER BY seq DESC LIMIT 1 OFFSET ?)"},
		{&s.keepReplay, "INSERT INTO replay (id, data) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET data = excluded.data"},
		{&s.deleteReplays, "DELETE FROM replay WHERE seq <= (SELECT seq FROM replay ORDER BY seq DESC LIMIT 1 OFFSET ?)"},
	}
}
