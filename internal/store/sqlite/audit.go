package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/tenterhook/tenterhook/internal/job"
)

// Audit appends an entry to the audit log.
func (s *Store) Audit(ctx context.Context, e job.AuditEntry) (job.AuditEntry, error) {
	op := &audit{entry: e}
	if err := s.writer.do(ctx, op, 1024); err != nil {
		return job.AuditEntry{}, fmt.Errorf("append to the audit log: %w", err)
	}
	return op.entry, nil
}

type audit struct{ entry job.AuditEntry }

func (o *audit) apply(c *connection, _ *jumpGuard) error {
	var last job.AuditAnchor
	err := c.lastAudit.QueryRow().Scan(&last.N, &last.Hash)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	e := &o.entry
	e.Seal(last)
	_, err = c.insertAudit.Exec(e.N, encodeTime(e.At), e.Who, e.Remote, e.Action, e.Subject, e.Detail, e.Result, e.Previous, e.Hash)
	return err
}

func (*audit) told() []job.Job { return nil }

// AuditLog returns entries older than number before (0: from the newest), newest first.
func (r *reads) AuditLog(ctx context.Context, before int64, most int) ([]job.AuditEntry, error) {
	out, err := r.auditLog(ctx, before, most)
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	return out, nil
}

func (r *reads) auditLog(ctx context.Context, before int64, most int) ([]job.AuditEntry, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.db.QueryContext(ctx, `SELECT n, at, who, remote, action, subject, detail, result, previous, hash
		FROM audit WHERE ? = 0 OR n < ? ORDER BY n DESC LIMIT ?`, before, before, limit(most))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []job.AuditEntry
	for rows.Next() {
		var (
			e  job.AuditEntry
			at int64
		)
		if err := rows.Scan(&e.N, &at, &e.Who, &e.Remote, &e.Action, &e.Subject, &e.Detail, &e.Result, &e.Previous, &e.Hash); err != nil {
			return nil, err
		}
		e.At = decodeTime(at)
		out = append(out, e)
	}
	return out, rows.Err()
}

// AuditAnchor returns the last entry that retention took away, zero when it took none.
func (r *reads) AuditAnchor(ctx context.Context) (a job.AuditAnchor, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err = r.db.QueryRowContext(ctx, "SELECT n, hash FROM audit_anchor").Scan(&a.N, &a.Hash)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return a, fmt.Errorf("read the anchor of the audit log: %w", err)
	}
	return a, nil
}

// auditExcess is the number of the last entry that retention does not keep, 0 for none: at most
// pruneRows of them go at once.
func (r *reads) auditExcess(ctx context.Context, keep int) (int64, error) {
	if keep <= 0 {
		return 0, nil
	}
	ends, err := r.column(ctx, "SELECT coalesce(max(n), 0) FROM audit UNION ALL SELECT coalesce(min(n), 0) FROM audit")
	if err != nil {
		return 0, err
	}
	newest, oldest := ends[0], ends[1]
	if newest-oldest+1 <= int64(keep) {
		return 0, nil
	}
	return min(newest-int64(keep), oldest+pruneRows-1), nil
}

// forgetAudit deletes entries up to number n and remembers where the chain goes on.
func (o *prune) forgetAudit(c *connection, n int64) error {
	if n == 0 {
		return nil
	}
	if _, err := c.anchorAudit.Exec(n); err != nil {
		return err
	}
	return o.delete(c.deleteAudit, n)
}

// ofAudit are the statements of the audit log.
func (s *statements) ofAudit() []statement {
	return []statement{
		// The anchor is the last entry when retention took all of them.
		{&s.lastAudit, `SELECT n, hash FROM audit UNION ALL SELECT n, hash FROM audit_anchor ORDER BY n DESC LIMIT 1`},
		{&s.insertAudit, `INSERT INTO audit (n, at, who, remote, action, subject, detail, result, previous, hash)
			VALUES (?,?,?,?,?,?,?,?,?,?)`},
		{&s.anchorAudit, "INSERT OR REPLACE INTO audit_anchor (one, n, hash) SELECT 1, n, hash FROM audit WHERE n = ?"},
		{&s.deleteAudit, "DELETE FROM audit WHERE n <= ?"},
	}
}
