package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// TakeHeld hands out deliveries that are held, oldest first, and keeps them from others for a while.
func (s *Store) TakeHeld(ctx context.Context, t job.Taking) ([]job.Delivery, error) {
	seqs, err := s.readyHeld(ctx, t)
	if err != nil || len(seqs) == 0 {
		return nil, err
	}
	op := &takeHeld{t: t, seqs: seqs}
	if err := s.writer.do(ctx, op, 0); err != nil {
		return nil, fmt.Errorf("hand out held deliveries: %w", err)
	}
	var out []job.Delivery
	for _, id := range op.taken {
		d, err := s.Delivery(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			continue // retention took it just now
		}
		if err == nil {
			var held job.Held
			held, err = s.Holding(ctx, id)
			d.Held = &held
		}
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// readyHeld finds what nobody has. That it is not acknowledged follows from its state, and is said for
// the sake of the index on what is still open.
func (r *reads) readyHeld(ctx context.Context, t job.Taking) (seqs []int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	args := []any{encodeTime(t.At)}
	for _, hook := range t.Hooks {
		args = append(args, hook)
	}
	rows, err := r.db.QueryContext(ctx, `SELECT h.delivery, d.size FROM held h JOIN delivery d ON d.seq = h.delivery
		WHERE h.state = 'waiting' AND h.state <> 'acknowledged' AND h.until <= ? AND h.hook IN (`+marks(len(t.Hooks))+`)
		ORDER BY h.delivery LIMIT ?`, append(args, t.Most)...)
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
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("find held deliveries: %w", err)
	}
	return seqs, nil
}

func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?,", n), ",") }

type takeHeld struct {
	t     job.Taking
	seqs  []int64
	taken []string
}

func (o *takeHeld) apply(c *connection, _ *jumpGuard) error {
	o.taken = nil
	for _, seq := range o.seqs {
		var id []byte
		err := c.leaseHeld.QueryRow(o.t.Taker, encodeTime(o.t.Until), encodeTime(o.t.At), seq, encodeTime(o.t.At)).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			continue // somebody else has it
		}
		if err != nil {
			return err
		}
		text, err := decodeID(id)
		if err != nil {
			return err
		}
		o.taken = append(o.taken, text)
	}
	return nil
}

func (*takeHeld) told() []job.Job { return nil }

// SettleHeld says what became of held deliveries, and returns for how many that is news.
func (s *Store) SettleHeld(ctx context.Context, e job.HeldEnd) (int, error) {
	op := &settleHeld{e: e}
	for _, id := range e.Deliveries {
		if raw, err := encodeID(id); err == nil {
			op.ids = append(op.ids, raw)
		}
	}
	if err := s.writer.do(ctx, op, 64*len(op.ids)); err != nil {
		return 0, fmt.Errorf("settle held deliveries: %w", err)
	}
	return op.changed, nil
}

type settleHeld struct {
	e       job.HeldEnd
	ids     [][]byte
	changed int
}

func (o *settleHeld) apply(c *connection, _ *jumpGuard) error {
	o.changed = 0
	hooks := "\n" + strings.Join(o.e.Hooks, "\n") + "\n" // no name has a line's end
	again := 0
	if o.e.Again {
		again = 1
	}
	for _, id := range o.ids {
		res, err := c.settleHeld.Exec(string(o.e.State), o.e.Reason, encodeTime(o.e.At), id, hooks, again, string(o.e.State), o.e.Taker, o.e.Taker)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return err
		}
		o.changed += int(n)
	}
	return nil
}

func (*settleHeld) told() []job.Job { return nil }

// Holding returns how it is with a held delivery, or store.ErrNotFound.
func (r *reads) Holding(ctx context.Context, id string) (job.Held, error) {
	h := job.Held{Delivery: id}
	key, err := knownID("delivery", id)
	if err != nil {
		return h, fmt.Errorf("read held delivery: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var until, at int64
	err = r.db.QueryRowContext(ctx, `SELECT h.state, h.taker, h.tries, h.until, h.at, h.reason, h.scheme, h.host, h.raw_path, h.sealed
		FROM held h JOIN delivery d ON d.seq = h.delivery WHERE d.id = ?`, key).
		Scan(&h.State, &h.Taker, &h.Tries, &until, &at, &h.Reason, &h.Scheme, &h.Host, &h.RawPath, &h.Sealed)
	if errors.Is(err, sql.ErrNoRows) {
		err = store.ErrNotFound
	}
	if err != nil {
		return h, fmt.Errorf("read held delivery: %w", err)
	}
	h.Until, h.At = decodeTime(until), decodeTime(at)
	return h, nil
}

// HeldCounts returns how many deliveries are held, by hook. Those that were acknowledged are not
// counted.
func (r *reads) HeldCounts(ctx context.Context, now time.Time) ([]job.HeldCount, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.db.QueryContext(ctx, `SELECT h.hook, CASE WHEN h.state = 'waiting' AND h.until > ? THEN h.taker ELSE '' END AS holder,
		sum(h.state = 'waiting'), sum(h.state = 'refused'), coalesce(min(CASE WHEN h.state = 'waiting' THEN d.received_at END), 0)
		FROM held h JOIN delivery d ON d.seq = h.delivery WHERE h.state <> 'acknowledged' GROUP BY h.hook, holder ORDER BY h.hook`, encodeTime(now))
	if err != nil {
		return nil, fmt.Errorf("count held deliveries: %w", err)
	}
	defer rows.Close()
	var out []job.HeldCount
	for rows.Next() {
		var one job.HeldCount
		var holder string
		var oldest int64
		if err := rows.Scan(&one.Hook, &holder, &one.Waiting, &one.Refused, &oldest); err != nil {
			return nil, fmt.Errorf("count held deliveries: %w", err)
		}
		one.Oldest = decodeTime(oldest)
		out = one.AddTo(out, holder)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("count held deliveries: %w", err)
	}
	return out, nil
}

// ofHeld are the statements of deliveries that are held for others.
func (s *statements) ofHeld() []statement {
	return []statement{
		{&s.insertHeld, `INSERT INTO held (delivery, hook, state, taker, tries, until, at, reason, scheme, host, raw_path, sealed)
			VALUES (?, ?, 'waiting', '', 0, 0, ?, '', ?, ?, ?, ?)`},
		{&s.leaseHeld, `UPDATE held SET taker = ?, tries = tries + 1, until = ?, at = ? WHERE delivery = ? AND state = 'waiting' AND until <= ?
			RETURNING (SELECT id FROM delivery WHERE seq = held.delivery)`},
		{&s.settleHeld, `UPDATE held SET state = ?1, reason = ?2, at = ?3, until = 0
			WHERE delivery = (SELECT seq FROM delivery WHERE id = ?4) AND instr(?5, char(10) || hook || char(10))
				AND (?6 OR state <> 'acknowledged' AND state <> ?7 OR state = 'waiting' AND ?7 = 'waiting' AND (taker = ?8 OR ?9 = ''))
				AND (?6 OR ?7 <> 'waiting' OR state = 'waiting')`},
		{&s.deleteHeld, "DELETE FROM held WHERE delivery = ? RETURNING hook, state"},
	}
}
