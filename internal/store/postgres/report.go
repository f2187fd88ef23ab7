package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenterhook/tenterhook/internal/job"
)

// stage is job.Stage of job j.
const stage = "CASE WHEN j.state IN ('scheduled', 'queued') THEN 'waiting' ELSE j.state END"

// insertReports keeps that a new job is told of.
func insertReports(ctx context.Context, tx pgx.Tx, j *job.Job) error {
	if j.Reports == "" {
		return nil
	}
	_, err := tx.Exec(ctx, `INSERT INTO report (job, n, kind, reached, remote, tries, error, open)
		SELECT $1, n - 1, kind, '', '', 0, '', true FROM unnest(string_to_array($2, ',')) WITH ORDINALITY AS u (kind, n)`, j.Seq, j.Reports)
	return err
}

// reopenReports is what another run of attempts means for reports of job $1.
const reopenReports = "UPDATE report SET open = true, tries = 0, next_at = NULL, error = '' WHERE job = $1"

// SetReport keeps how far a report is. It stays open while the job is elsewhere.
func (s *Store) SetReport(ctx context.Context, r job.Report) error {
	id, err := knownID("job", r.Job)
	if err == nil {
		err = s.writer.do(ctx, &plain{
			sql: `UPDATE report SET reached = $1, remote = $2, tries = $3, next_at = $4, at = $5, error = $6,
				open = $7 OR $1 <> (SELECT ` + stage + ` FROM job j WHERE j.seq = report.job)
			WHERE job = (SELECT seq FROM job WHERE id = $8) AND n = $9`,
			args: []any{r.Reached, encodeText(r.Remote), r.Tries, nullTime(r.NextAt), nullTime(r.At), encodeText(r.Error), r.Open, id, r.N},
		}, 256)
	}
	if err != nil {
		return fmt.Errorf("keep a report: %w", err)
	}
	return nil
}

const reportColumns = `j.id::text, d.id::text, j.hook, j.rule, r.n, r.kind, j.state, r.reached, r.remote, r.tries, r.next_at, r.at, r.error, r.open
	FROM report r JOIN job j ON j.seq = r.job JOIN delivery d ON d.seq = j.delivery `

// DueReports returns reports that there is something to tell for, and whose time has come.
func (r *reads) DueReports(ctx context.Context, now time.Time, most int) ([]job.Report, error) {
	return r.reports(ctx, "WHERE r.open AND (r.next_at IS NULL OR r.next_at <= $1) AND r.reached <> "+stage+" ORDER BY r.next_at NULLS FIRST, r.job, r.n LIMIT $2", nullTime(now), most)
}

// Reports returns what is told of a job.
func (r *reads) Reports(ctx context.Context, id string) ([]job.Report, error) {
	key, err := knownID("job", id)
	if err != nil {
		return nil, fmt.Errorf("read reports: %w", err)
	}
	return r.reports(ctx, "WHERE j.id = $1 ORDER BY r.n", key)
}

func (r *reads) reports(ctx context.Context, where string, args ...any) ([]job.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.pool.Query(ctx, "SELECT "+reportColumns+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read reports: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (one job.Report, err error) {
		var next, at *time.Time
		err = row.Scan(&one.Job, &one.Delivery, &one.Hook, &one.Rule, &one.N, &one.To, &one.State, &one.Reached, &one.Remote, &one.Tries, &next, &at, &one.Error, &one.Open)
		if err != nil {
			return one, err
		}
		one.NextAt, one.At = timeOf(next), timeOf(at)
		return one, decodeTexts(&one.Remote, &one.Error)
	})
	if err != nil {
		return nil, fmt.Errorf("read reports: %w", err)
	}
	return out, nil
}
