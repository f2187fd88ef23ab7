package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// script is an operation that is whatever it does inside the transaction.
type script struct {
	none
	run func(ctx context.Context, tx pgx.Tx) error
}

func (*script) statement() (string, []any, string)            { return "", nil, "" }
func (*script) answer(pgx.Rows) (bool, error)                 { return true, nil }
func (o *script) finish(ctx context.Context, tx pgx.Tx) error { return o.run(ctx, tx) }

// Audit appends an entry to the audit log.
func (s *Store) Audit(ctx context.Context, e job.AuditEntry) (job.AuditEntry, error) {
	var sealed job.AuditEntry
	op := &script{run: func(ctx context.Context, tx pgx.Tx) error {
		// Locked, so that the entries of several processes are one chain.
		if _, err := tx.Exec(ctx, "LOCK TABLE audit IN SHARE ROW EXCLUSIVE MODE"); err != nil {
			return err
		}
		var last job.AuditAnchor
		// The anchor is the last entry when retention took all of them.
		err := tx.QueryRow(ctx, "SELECT n, hash FROM audit UNION ALL SELECT n, hash FROM audit_anchor ORDER BY n DESC LIMIT 1").
			Scan(&last.N, &last.Hash)
		if err != nil && !isNoRows(err) {
			return err
		}
		sealed = e
		sealed.Seal(last)
		_, err = tx.Exec(ctx, `INSERT INTO audit (n, at, who, remote, action, subject, detail, result, previous, hash)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, sealed.N, nullTime(sealed.At), encodeText(sealed.Who), encodeText(sealed.Remote),
			encodeText(sealed.Action), encodeText(sealed.Subject), encodeText(sealed.Detail), encodeText(sealed.Result), sealed.Previous, sealed.Hash)
		return err
	}}
	if err := s.writer.do(ctx, op, 1024); err != nil {
		return job.AuditEntry{}, fmt.Errorf("append to the audit log: %w", err)
	}
	return sealed, nil
}

// AuditLog returns entries older than number before (0: from the newest), newest first.
func (r *reads) AuditLog(ctx context.Context, before int64, most int) ([]job.AuditEntry, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.pool.Query(ctx, `SELECT n, at, who, remote, action, subject, detail, result, previous, hash
		FROM audit WHERE $1 = 0 OR n < $1 ORDER BY n DESC LIMIT $2`, before, limit(most))
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e job.AuditEntry, err error) {
		var at *time.Time
		if err := row.Scan(&e.N, &at, &e.Who, &e.Remote, &e.Action, &e.Subject, &e.Detail, &e.Result, &e.Previous, &e.Hash); err != nil {
			return e, err
		}
		e.At = timeOf(at)
		return e, decodeTexts(&e.Who, &e.Remote, &e.Action, &e.Subject, &e.Detail, &e.Result)
	})
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	return out, nil
}

// AuditAnchor returns the last entry that retention took away, zero when it took none.
func (r *reads) AuditAnchor(ctx context.Context) (a job.AuditAnchor, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err = r.pool.QueryRow(ctx, "SELECT n, hash FROM audit_anchor").Scan(&a.N, &a.Hash)
	if err != nil && !isNoRows(err) {
		return a, fmt.Errorf("read the anchor of the audit log: %w", err)
	}
	return a, nil
}

// pruneAudit deletes a slice of the entries of the audit log beyond the newest keep, and remembers
// where the chain goes on. It returns how many went.
func pruneAudit(ctx context.Context, tx pgx.Tx, keep int) (int64, error) {
	if keep <= 0 {
		return 0, nil
	}
	var last int64
	err := tx.QueryRow(ctx, "SELECT coalesce(least(max(n) - $1, min(n) + $2 - 1), 0) FROM audit", keep, pruneRows).Scan(&last)
	if err != nil {
		return 0, err
	}
	_, err = tx.Exec(ctx, `INSERT INTO audit_anchor (n, hash) SELECT n, hash FROM audit WHERE n = $1
		ON CONFLICT (one) DO UPDATE SET n = excluded.n, hash = excluded.hash`, last)
	if err != nil {
		return 0, err
	}
	tag, err := tx.Exec(ctx, "DELETE FROM audit WHERE n <= $1", last)
	return tag.RowsAffected(), err
}

// KeepRejects stores refused requests, in the place of those with the same id, and deletes the
// oldest beyond most. It waits until no other write does.
func (s *Store) KeepRejects(ctx context.Context, rejects []job.Reject, most int) error {
	for i := range rejects {
		if _, err := knownID("reject", rejects[i].ID); err != nil {
			return fmt.Errorf("keep rejects: %w", err)
		}
	}
	op := &script{run: func(ctx context.Context, tx pgx.Tx) error {
		var b pgx.Batch
		for i := range rejects {
			r := &rejects[i]
			b.Queue(`INSERT INTO reject (id, at, ip, hook, status, error, reason, size, count, last_at)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
				ON CONFLICT (id) DO UPDATE SET count = excluded.count, last_at = excluded.last_at, size = excluded.size`,
				r.ID, nullTime(r.At), encodeText(r.IP), r.Hook, r.Status, encodeText(r.Error), encodeText(r.Reason), r.Size, r.Count, nullTime(r.LastAt))
		}
		b.Queue("DELETE FROM reject WHERE seq <= (SELECT seq FROM reject ORDER BY seq DESC LIMIT 1 OFFSET $1)", most)
		return tx.SendBatch(ctx, &b).Close()
	}}
	if err := s.writer.doLow(ctx, op); err != nil {
		return fmt.Errorf("keep rejects: %w", err)
	}
	return nil
}

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
	end, args := w.limited("seq", f.Limit)
	rows, err := r.pool.Query(ctx, "SELECT id::text, at, ip, hook, status, error, reason, size, count, last_at FROM reject"+end, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (x job.Reject, err error) {
		var at, last *time.Time
		if err := row.Scan(&x.ID, &at, &x.IP, &x.Hook, &x.Status, &x.Error, &x.Reason, &x.Size, &x.Count, &last); err != nil {
			return x, err
		}
		x.At, x.LastAt = timeOf(at), timeOf(last)
		return x, decodeTexts(&x.IP, &x.Error, &x.Reason)
	})
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
	op := &script{run: func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO replay (id, data) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET data = excluded.data", id, string(data))
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "DELETE FROM replay WHERE seq <= (SELECT seq FROM replay ORDER BY seq DESC LIMIT 1 OFFSET $1)", job.MostReplays)
		return err
	}}
	if err := s.writer.do(ctx, op, len(data)); err != nil {
		return fmt.Errorf("keep replay: %w", err)
	}
	return nil
}

// Replays returns the replays that are remembered, newest first.
func (r *reads) Replays(ctx context.Context) ([]job.Replay, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.pool.Query(ctx, "SELECT data FROM replay ORDER BY seq DESC")
	if err != nil {
		return nil, fmt.Errorf("read replays: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (one job.Replay, err error) {
		var data string
		if err := row.Scan(&data); err != nil {
			return one, err
		}
		return one, json.Unmarshal([]byte(data), &one)
	})
	if err != nil {
		return nil, fmt.Errorf("read replays: %w", err)
	}
	return out, nil
}
