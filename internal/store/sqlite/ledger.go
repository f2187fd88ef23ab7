package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
)

// ledger is a job.Ledger of one rule, inside the writer's transaction.
type ledger struct {
	c          *connection
	hook, rule string
	now        time.Time     // steady: what expires does so by this
	moved      time.Duration // how far steady time is behind the clock's
}

// Recall implements job.Ledger.
func (l ledger) Recall(control job.Control, key string) (job.Record, bool, error) {
	var (
		r           job.Record
		id          []byte
		at, expires int64
	)
	err := l.c.recall.QueryRow(l.hook, l.rule, string(control), key, encodeTime(l.now)).
		Scan(&id, &at, &r.Value, &r.Count, &r.Bytes, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return r, false, nil
	}
	if err != nil {
		return r, false, fmt.Errorf("recall %s: %w", control, err)
	}
	r.At, r.Expires = decodeTime(at), decodeTime(expires)
	r.Job, err = decodeID(id)
	return r, err == nil, err
}

// Keep implements job.Ledger.
func (l ledger) Keep(control job.Control, key string, r job.Record) error {
	id, err := encodeID(r.Job)
	if err != nil {
		return err
	}
	_, err = l.c.keep.Exec(l.hook, l.rule, string(control), key, id, encodeTime(r.At), r.Value,
		int64(r.Count), int64(r.Bytes), encodeTime(r.Expires.Add(-l.moved)))
	if err != nil {
		return fmt.Errorf("keep %s: %w", control, err)
	}
	return nil
}

// Debounced implements job.Ledger.
func (l ledger) Debounced(id string) (job.Job, bool, error) {
	key, err := encodeID(id)
	if err != nil {
		return job.Job{}, false, err
	}
	j, err := findJob(l.c, key)
	if errors.Is(err, sql.ErrNoRows) {
		return j, false, nil
	}
	return j, err == nil && j.State == job.Scheduled && j.Attempt == 0, err
}

// encodeKeys returns JSON, or nil for no keys.
func encodeKeys(k job.Keys) (any, error) {
	if k == (job.Keys{}) {
		return nil, nil
	}
	text, err := json.Marshal(k)
	return string(text), err
}

func encodeBurst(id string) (any, error) {
	if id == "" {
		return nil, nil
	}
	return encodeID(id)
}

func decodeControls(keys, burst []byte) (k job.Keys, id string, err error) {
	if len(keys) > 0 {
		if err := json.Unmarshal(keys, &k); err != nil {
			return k, "", fmt.Errorf("read keys: %w", err)
		}
	}
	if len(burst) > 0 {
		id, err = decodeID(burst)
	}
	return k, id, err
}

// recordKey is the primary key of a record.
type recordKey struct{ hook, rule, control, key string }

// expiredControls returns records that mean nothing any more.
func (r *reads) expiredControls(ctx context.Context, now time.Time) ([]recordKey, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.db.QueryContext(ctx, "SELECT hook, rule, control, key FROM control WHERE expires_at <= ? ORDER BY expires_at LIMIT ?",
		encodeTime(now), pruneRows)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []recordKey
	for rows.Next() {
		var k recordKey
		if err := rows.Scan(&k.hook, &k.rule, &k.control, &k.key); err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, rows.Err()
}

// Throttles calls yield for each throttle whose last start still delays others.
func (r *reads) Throttles(ctx context.Context, yield func(hook, rule, key string, at time.Time)) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.db.QueryContext(ctx, "SELECT hook, rule, key, at FROM control WHERE control = ?", string(job.ControlThrottle))
	if err != nil {
		return fmt.Errorf("read throttles: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var (
			hook, rule, key string
			at              int64
		)
		if err := rows.Scan(&hook, &rule, &key, &at); err != nil {
			return fmt.Errorf("read throttles: %w", err)
		}
		yield(hook, rule, key, decodeTime(at))
	}
	return rows.Err()
}

// Burst returns the deliveries that a job took in, oldest first, its own last, with their bodies.
func (r *reads) Burst(ctx context.Context, id string) ([]job.Delivery, error) {
	key, err := knownID("job", id)
	if err != nil {
		return nil, fmt.Errorf("read burst: %w", err)
	}
	bounded, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.db.QueryContext(bounded, `SELECT d.id FROM job mine JOIN job j ON j.burst = mine.burst AND j.seq <= mine.seq
		JOIN delivery d ON d.seq = j.delivery WHERE mine.id = ? ORDER BY j.seq LIMIT ?`, key, job.MaxBurst)
	if err != nil {
		return nil, fmt.Errorf("read burst: %w", err)
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return nil, fmt.Errorf("read burst: %w", err)
		}
		one, err := decodeID(b)
		if err != nil {
			return nil, err
		}
		ids = append(ids, one)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read burst: %w", err)
	}
	out := make([]job.Delivery, len(ids))
	for i, one := range ids {
		if out[i], err = r.Delivery(ctx, one); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ofControls are the statements of what flow controls remember.
func (s *statements) ofControls() []statement {
	return []statement{
		{&s.recall, `SELECT job, at, value, count, bytes, expires_at FROM control
			WHERE hook = ? AND rule = ? AND control = ? AND key = ? AND expires_at > ?`},
		{&s.keep, `INSERT OR REPLACE INTO control (hook, rule, control, key, job, at, value, count, bytes, expires_at)
			VALUES (?,?,?,?,?,?,?,?,?,?)`},
		{&s.forget, "DELETE FROM control WHERE hook = ? AND rule = ? AND control = ? AND key = ? AND expires_at <= ?"},
	}
}
