package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// insertHeld keeps what a held delivery has beside others.
func insertHeld(ctx context.Context, tx pgx.Tx, delivery int64, hook string, h *job.Held) error {
	_, err := tx.Exec(ctx, `INSERT INTO held (delivery, hook, state, taker, tries, until, at, reason, scheme, host, raw_path, sealed)
		VALUES ($1, $2, 'waiting', '', 0, NULL, $3, '', $4, $5, $6, $7)`,
		delivery, hook, nullTime(h.At), encodeText(h.Scheme), encodeText(h.Host), encodeText(h.RawPath), h.Sealed)
	return err
}

// TakeHeld hands out deliveries that are held, oldest first, and keeps them from others for a while.
func (s *Store) TakeHeld(ctx context.Context, t job.Taking) ([]job.Delivery, error) {
	seqs, err := s.readyHeld(ctx, t)
	if err != nil || len(seqs) == 0 {
		return nil, err
	}
	var taken []int64
	op := &script{run: func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `UPDATE held SET taker = $1, tries = tries + 1, until = $2, at = $3 WHERE delivery IN (
				SELECT delivery FROM held WHERE delivery = ANY($4) AND state = 'waiting' AND (until IS NULL OR until <= $3)
				ORDER BY delivery FOR UPDATE SKIP LOCKED)
			RETURNING delivery`, t.Taker, nullTime(t.Until), nullTime(t.At), seqs)
		if err != nil {
			return err
		}
		taken, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	}}
	if err := s.writer.do(ctx, op, 128); err != nil {
		return nil, fmt.Errorf("hand out held deliveries: %w", err)
	}
	out, err := s.deliveriesWithBodies(ctx, "WHERE d.seq = ANY($1) ORDER BY d.seq", taken)
	if err != nil {
		return nil, fmt.Errorf("read held deliveries: %w", err)
	}
	for i := range out {
		held, err := s.Holding(ctx, out[i].ID)
		if err != nil {
			return nil, err
		}
		out[i].Held = &held
	}
	return out, nil
}

// readyHeld finds what nobody has. That it is not acknowledged follows from its state, and is said for
// the sake of the index on what is still open.
func (r *reads) readyHeld(ctx context.Context, t job.Taking) (seqs []int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.pool.Query(ctx, `SELECT h.delivery, d.size FROM held h JOIN delivery d ON d.seq = h.delivery
		WHERE h.state = 'waiting' AND h.state <> 'acknowledged' AND (h.until IS NULL OR h.until <= $1) AND h.hook = ANY($2)
		ORDER BY h.delivery LIMIT $3`, nullTime(t.At), t.Hooks, t.Most)
	if err != nil {
		return nil, fmt.Errorf("find held deliveries: %w", err)
	}
	defer rows.Close()
	bytes := 0
	for rows.Next() {
		var seq int64
		var size int
		if err := rows.Scan(&seq, &size); err != nil {
			return nil, fmt.Errorf("find held deliveries: %w", err)
		}
		if bytes += size; len(seqs) > 0 && bytes > t.Bytes {
			break
		}
		seqs = append(seqs, seq)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("find held deliveries: %w", err)
	}
	return seqs, nil
}

// SettleHeld says what became of held deliveries, and returns for how many that is news.
func (s *Store) SettleHeld(ctx context.Context, e job.HeldEnd) (changed int, err error) {
	var ids []string
	for _, id := range e.Deliveries {
		if raw, err := encodeID(id); err == nil {
			ids = append(ids, raw)
		}
	}
	op := &script{run: func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE held SET state = $1, reason = $2, at = $3, until = NULL
			WHERE delivery IN (SELECT seq FROM delivery WHERE id = ANY($4::uuid[])) AND hook = ANY($5)
				AND ($6 OR state <> 'acknowledged' AND state <> $1 OR state = 'waiting' AND $1 = 'waiting' AND (taker = $7 OR $7 = ''))
				AND ($6 OR $1 <> 'waiting' OR state = 'waiting')`,
			string(e.State), encodeText(e.Reason), nullTime(e.At), ids, e.Hooks, e.Again, e.Taker)
		changed = int(tag.RowsAffected())
		return err
	}}
	if err := s.writer.do(ctx, op, 64*len(ids)); err != nil {
		return 0, fmt.Errorf("settle held deliveries: %w", err)
	}
	return changed, nil
}

// Holding returns how it is with a held delivery, or store.ErrNotFound.
func (r *reads) Holding(ctx context.Context, id string) (job.Held, error) {
	h := job.Held{Delivery: id}
	key, err := knownID("delivery", id)
	if err != nil {
		return h, fmt.Errorf("read held delivery: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var until, at *time.Time
	err = r.pool.QueryRow(ctx, `SELECT h.state, h.taker, h.tries, h.until, h.at, h.reason, h.scheme, h.host, h.raw_path, h.sealed
		FROM held h JOIN delivery d ON d.seq = h.delivery WHERE d.id = $1`, key).
		Scan(&h.State, &h.Taker, &h.Tries, &until, &at, &h.Reason, &h.Scheme, &h.Host, &h.RawPath, &h.Sealed)
	if errors.Is(err, pgx.ErrNoRows) {
		err = store.ErrNotFound
	}
	if err == nil {
		err = decodeTexts(&h.Reason, &h.Scheme, &h.Host, &h.RawPath)
	}
	if err != nil {
		return h, fmt.Errorf("read held delivery: %w", err)
	}
	h.Until, h.At = timeOf(until), timeOf(at)
	return h, nil
}

// HeldCounts returns how many deliveries are held, by hook. Those that were acknowledged are not
// counted.
func (r *reads) HeldCounts(ctx context.Context, now time.Time) (out []job.HeldCount, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.pool.Query(ctx, `SELECT h.hook, CASE WHEN h.state = 'waiting' AND h.until > $1 THEN h.taker ELSE '' END AS holder,
		count(*) FILTER (WHERE h.state = 'waiting'), count(*) FILTER (WHERE h.state = 'refused'), min(d.received_at) FILTER (WHERE h.state = 'waiting')
		FROM held h JOIN delivery d ON d.seq = h.delivery WHERE h.state <> 'acknowledged' GROUP BY h.hook, holder ORDER BY h.hook COLLATE "C"`, nullTime(now))
	if err != nil {
		return nil, fmt.Errorf("count held deliveries: %w", err)
	}
	var one job.HeldCount
	var holder string
	var oldest *time.Time
	_, err = pgx.ForEachRow(rows, []any{&one.Hook, &holder, &one.Waiting, &one.Refused, &oldest}, func() error {
		one.Oldest = timeOf(oldest)
		out = one.AddTo(out, holder)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count held deliveries: %w", err)
	}
	return out, nil
}
