package sqlite

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
)

// stage is job.Stage of job j.
const stage = "CASE WHEN j.state = 'scheduled' OR j.state = 'queued' THEN 'waiting' ELSE j.state END"

// insertReports keeps that a new job is told of.
func insertReports(c *connection, j *job.Job) error {
	if j.Reports == "" {
		return nil
	}
	for n, kind := range strings.Split(j.Reports, ",") {
		if _, err := c.insertReport.Exec(j.Seq, int64(n), kind); err != nil {
			return err
		}
	}
	return nil
}

// SetReport keeps how far a report is. It stays open while the job is elsewhere.
func (s *Store) SetReport(ctx context.Context, r job.Report) error {
	id, err := knownID("job", r.Job)
	if err == nil {
		err = s.writer.do(ctx, &setReport{id, r}, 0)
	}
	if err != nil {
		return fmt.Errorf("keep a report: %w", err)
	}
	return nil
}

type setReport struct {
	id []byte
	r  job.Report
}

func (o *setReport) apply(c *connection, _ *jumpGuard) error {
	open := 0
	if o.r.Open {
		open = 1
	}
	_, err := c.setReport.Exec(o.r.Reached, o.r.Remote, int64(o.r.Tries), encodeTime(o.r.NextAt), encodeTime(o.r.At), o.r.Error, open, o.r.Reached, o.id, int64(o.r.N))
	return err
}

func (*setReport) told() []job.Job { return nil }

const reportColumns = `j.id, d.id, j.hook, j.rule, r.n, r.kind, j.state, r.reached, r.remote, r.tries, r.next_at, r.at, r.error, r.open
	FROM report r JOIN job j ON j.seq = r.job JOIN delivery d ON d.seq = j.delivery `

// DueReports returns reports that there is something to tell for, and whose time has come.
func (r *reads) DueReports(ctx context.Context, now time.Time, most int) ([]job.Report, error) {
	return r.reports(ctx, "WHERE r.open = 1 AND r.next_at <= ? AND r.reached <> "+stage+" ORDER BY r.next_at, r.job, r.n LIMIT ?", encodeTime(now), most)
}

// Reports returns what is told of a job.
func (r *reads) Reports(ctx context.Context, id string) ([]job.Report, error) {
	key, err := knownID("job", id)
	if err != nil {
		return nil, fmt.Errorf("read reports: %w", err)
	}
	return r.reports(ctx, "WHERE j.id = ? ORDER BY r.n", key)
}

func (r *reads) reports(ctx context.Context, where string, args ...any) ([]job.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.db.QueryContext(ctx, "SELECT "+reportColumns+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read reports: %w", err)
	}
	defer rows.Close()
	var out []job.Report
	for rows.Next() {
		var (
			one          job.Report
			id, delivery []byte
			next, at     int64
			open         int
		)
		if err := rows.Scan(&id, &delivery, &one.Hook, &one.Rule, &one.N, &one.To, &one.State, &one.Reached, &one.Remote, &one.Tries, &next, &at, &one.Error, &open); err != nil {
			return nil, fmt.Errorf("read reports: %w", err)
		}
		if one.Job, err = decodeID(id); err == nil {
			one.Delivery, err = decodeID(delivery)
		}
		if err != nil {
			return nil, fmt.Errorf("read reports: %w", err)
		}
		one.NextAt, one.At, one.Open = decodeTime(next), decodeTime(at), open == 1
		out = append(out, one)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read reports: %w", err)
	}
	return out, nil
}

// ofReports are the statements of what senders are told of jobs.
func (s *statements) ofReports() []statement {
	return []statement{
		{&s.insertReport, "INSERT INTO report (job, n, kind, reached, remote, tries, next_at, at, error, open) VALUES (?, ?, ?, '', '', 0, 0, 0, '', 1)"},
		{&s.setReport, `UPDATE report SET reached = ?, remote = ?, tries = ?, next_at = ?, at = ?, error = ?,
			open = (? OR ? <> (SELECT ` + stage + ` FROM job j WHERE j.seq = report.job))
			WHERE job = (SELECT seq FROM job WHERE id = ?) AND n = ?`},
		{&s.reopenReports, "UPDATE report SET open = 1, tries = 0, next_at = 0, error = '' WHERE job = (SELECT seq FROM job WHERE id = ?)"},
		{&s.deleteReports, "DELETE FROM report WHERE job IN (SELECT seq FROM job WHERE delivery = ?)"},
	}
}
