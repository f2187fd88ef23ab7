package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store/codec"
)

// lockRules locks, in one order, the rules whose controls a batch decides by. Only one process at
// a time decides for a rule, so that what it reads of a key is what its decision meets.
func lockRules(ctx context.Context, tx pgx.Tx, batch []*write) error {
	var rules [][2]string
	var jobs []string
	for _, wr := range batch {
		if r, ok := wr.op.(ruled); ok {
			named, id := r.rules()
			rules = append(rules, named...)
			if id != "" {
				jobs = append(jobs, id)
			}
		}
	}
	if len(jobs) > 0 {
		rows, err := tx.Query(ctx, "SELECT DISTINCT hook, rule FROM job WHERE id = ANY($1::uuid[])", jobs)
		if err != nil {
			return fmt.Errorf("find rules: %w", err)
		}
		more, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r [2]string, err error) {
			return r, row.Scan(&r[0], &r[1])
		})
		if err != nil {
			return fmt.Errorf("find rules: %w", err)
		}
		rules = append(rules, more...)
	}
	if len(rules) == 0 {
		return nil
	}
	names := make([]string, len(rules))
	for i, r := range rules {
		names[i] = r[0] + "/" + r[1] // neither holds a slash
	}
	slices.Sort(names)
	_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '/' || name, 0))
		FROM unnest($1::text[]) WITH ORDINALITY AS u (name, n) ORDER BY n`, slices.Compact(names))
	if err != nil {
		return fmt.Errorf("lock rules: %w", err)
	}
	return nil
}

// ledger is a job.Ledger of one rule, inside a transaction that has locked it.
type ledger struct {
	ctx        context.Context
	tx         pgx.Tx
	hook, rule string
	now        time.Time
}

// Recall implements job.Ledger.
func (l ledger) Recall(control job.Control, key string) (job.Record, bool, error) {
	var (
		r           job.Record
		at, expires *time.Time
	)
	err := l.tx.QueryRow(l.ctx, `SELECT job::text, at, value, count, bytes, expires_at FROM control
		WHERE hook = $1 AND rule = $2 AND control = $3 AND name = $4 AND expires_at > $5`,
		l.hook, l.rule, string(control), codec.Key(key), nullTime(l.now)).
		Scan(&r.Job, &at, &r.Value, &r.Count, &r.Bytes, &expires)
	if isNoRows(err) {
		return job.Record{}, false, nil
	}
	if err != nil {
		return r, false, fmt.Errorf("recall %s: %w", control, err)
	}
	r.At, r.Expires = timeOf(at), timeOf(expires)
	return r, true, decodeTexts(&r.Value)
}

// Keep implements job.Ledger.
func (l ledger) Keep(control job.Control, key string, r job.Record) error {
	if _, err := encodeID(r.Job); err != nil {
		return err
	}
	_, err := l.tx.Exec(l.ctx, `INSERT INTO control (hook, rule, control, name, key, job, at, value, count, bytes, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
		ON CONFLICT (hook, rule, control, name) DO UPDATE SET job = excluded.job, at = excluded.at, value = excluded.value,
			count = excluded.count, bytes = excluded.bytes, expires_at = excluded.expires_at`,
		l.hook, l.rule, string(control), codec.Key(key), encodeText(key), r.Job, nullTime(r.At), encodeText(r.Value),
		r.Count, r.Bytes, nullTime(r.Expires))
	if err != nil {
		return fmt.Errorf("keep %s: %w", control, err)
	}
	return nil
}

// Debounced implements job.Ledger.
func (l ledger) Debounced(id string) (job.Job, bool, error) {
	jobs, err := findJobs(l.ctx, l.tx, "WHERE j.id = $1 AND j.state = 'scheduled' AND j.attempt = 0 FOR UPDATE OF j", id)
	if err != nil || len(jobs) == 0 {
		return job.Job{}, false, err
	}
	return jobs[0], true, nil
}

// Throttles calls yield for each throttle whose last start still delays others.
func (r *reads) Throttles(ctx context.Context, yield func(hook, rule, key string, at time.Time)) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.pool.Query(ctx, "SELECT hook, rule, key, at FROM control WHERE control = $1", string(job.ControlThrottle))
	if err != nil {
		return fmt.Errorf("read throttles: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var (
			hook, rule, key string
			at              *time.Time
		)
		if err := rows.Scan(&hook, &rule, &key, &at); err != nil {
			return fmt.Errorf("read throttles: %w", err)
		}
		if err := decodeTexts(&key); err != nil {
			return fmt.Errorf("read throttles: %w", err)
		}
		yield(hook, rule, key, timeOf(at))
	}
	return rows.Err()
}

// Burst returns the deliveries that a job took in, oldest first, its own last, with their bodies.
func (r *reads) Burst(ctx context.Context, id string) ([]job.Delivery, error) {
	key, err := knownID("job", id)
	if err != nil {
		return nil, fmt.Errorf("read burst: %w", err)
	}
	out, err := r.deliveriesWithBodies(ctx, `JOIN job j ON j.delivery = d.seq
		JOIN job mine ON j.burst = mine.burst AND j.seq <= mine.seq
		WHERE mine.id = $1 ORDER BY j.seq LIMIT $2`, key, job.MaxBurst)
	if err != nil {
		return nil, fmt.Errorf("read burst: %w", err)
	}
	return out, nil
}
