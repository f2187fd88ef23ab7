package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store/codec"
)

// fenced is an operation of one statement that moves a job or changes nothing.
type fenced struct {
	move
	sql  string
	args []any
}

func (o *fenced) statement() (string, []any, string) { return o.sql, o.args, o.id }

// BeginFollowUp commits the start of a follow-up.
func (s *Store) BeginFollowUp(ctx context.Context, id string, u job.FollowUp) error {
	return s.follow(ctx, "begin", id, `WITH mine AS MATERIALIZED (
			SELECT t.job FROM ticket t JOIN job j ON j.seq = t.job WHERE j.id = $1 AND t.node = $8 FOR UPDATE OF t
		) INSERT INTO follow_up (job, attempt, step, try, event, kind, started_at)
		SELECT seq, $2, $3, $4, $5, $6, $7 FROM job WHERE id = $1 AND attempt = $2 AND state = 'running' AND ending <> ''
			AND ($8 = 0 OR seq IN (SELECT job FROM mine))
		ON CONFLICT (job, attempt, step, try) DO NOTHING RETURNING 1`,
		u.Attempt, u.Step, u.Try, u.Event, u.Kind, nullTime(u.StartedAt), s.node.Load())
}

// EndFollowUp records the end of a follow-up.
func (s *Store) EndFollowUp(ctx context.Context, id string, u job.FollowUp) error {
	encoding, output := codec.Encode(u.Output)
	return s.follow(ctx, "end", id, `UPDATE follow_up SET finished_at = $5, exit_code = $6, signal = $7, status = $8,
		error = $9, size = $10, encoding = $11, output = $12
		WHERE job = (SELECT seq FROM job WHERE id = $1) AND attempt = $2 AND step = $3 AND try = $4 AND finished_at IS NULL
		RETURNING 1`, u.Attempt, u.Step, u.Try, nullTime(u.FinishedAt), u.ExitCode, u.Signal, u.Status,
		encodeText(u.Error), len(u.Output), encoding, output)
}

// Conclude ends a running job that has an Ending.
func (s *Store) Conclude(ctx context.Context, id string, at time.Time) error {
	return s.follow(ctx, "conclude", id, `WITH moved AS (
			UPDATE job SET state = ending, ending = '', finished_at = $2
			WHERE id = $1 AND state = 'running' AND ending <> '' RETURNING seq
		), released AS (DELETE FROM ticket USING moved WHERE ticket.job = moved.seq)
		SELECT 1 FROM moved`, nullTime(at))
}

func (s *Store) follow(ctx context.Context, what, id, sql string, args ...any) error {
	key, err := knownID("job", id)
	if err == nil {
		err = s.writer.do(ctx, &fenced{move{id: key}, sql, append([]any{key}, args...)}, 256)
	}
	if err != nil {
		return fmt.Errorf("%s follow-up: %w", what, err)
	}
	return nil
}

// FollowUps returns a job's follow-ups in the order they began.
func (r *reads) FollowUps(ctx context.Context, id string) ([]job.FollowUp, error) {
	key, err := knownID("job", id)
	if err != nil {
		return nil, fmt.Errorf("read follow-ups: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.pool.Query(ctx, `SELECT attempt, step, try, event, kind, started_at, finished_at, exit_code,
		signal, status, error, size, encoding, output FROM follow_up
		WHERE job = (SELECT seq FROM job WHERE id = $1) ORDER BY attempt, step, try`, key)
	if err != nil {
		return nil, fmt.Errorf("read follow-ups: %w", err)
	}
	out, err := pgx.CollectRows(rows, scanFollowUp)
	if err != nil {
		return nil, fmt.Errorf("read follow-ups: %w", err)
	}
	return out, nil
}

func scanFollowUp(row pgx.CollectableRow) (u job.FollowUp, err error) {
	var (
		started, finished *time.Time
		size, encoding    int
		output            []byte
	)
	err = row.Scan(&u.Attempt, &u.Step, &u.Try, &u.Event, &u.Kind, &started, &finished, &u.ExitCode,
		&u.Signal, &u.Status, &u.Error, &size, &encoding, &output)
	if err == nil {
		err = decodeTexts(&u.Error)
	}
	if err != nil {
		return u, err
	}
	u.StartedAt, u.FinishedAt = timeOf(started), timeOf(finished)
	if u.Output, err = codec.Decode(encoding, output, size); err != nil {
		return u, fmt.Errorf("output of follow-up %d: %w", u.Step, err)
	}
	return u, nil
}

// SetPause keeps or forgets that a rule is paused.
func (s *Store) SetPause(ctx context.Context, p job.Pause, on bool) error {
	op := &plain{sql: "DELETE FROM pause WHERE hook = $1 AND rule = $2", args: []any{p.Hook, p.Rule}}
	if on {
		op.sql = `INSERT INTO pause (hook, rule, since, reason) VALUES ($1, $2, $3, $4)
			ON CONFLICT (hook, rule) DO UPDATE SET since = excluded.since, reason = excluded.reason`
		op.args = append(op.args, nullTime(p.Since), encodeText(p.Reason))
	}
	if err := s.writer.do(ctx, op, 256); err != nil {
		return fmt.Errorf("pause: %w", err)
	}
	return nil
}

// plain is an operation of one statement whose answer does not matter.
type plain struct {
	none
	sql  string
	args []any
}

func (o *plain) statement() (string, []any, string) { return o.sql, o.args, "" }
func (o *plain) answer(rows pgx.Rows) (bool, error) { rows.Close(); return false, rows.Err() }

// Pauses returns what is paused, by hook and rule.
func (r *reads) Pauses(ctx context.Context) ([]job.Pause, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.pool.Query(ctx, `SELECT hook, rule, since, reason FROM pause ORDER BY hook COLLATE "C", rule COLLATE "C"`)
	if err != nil {
		return nil, fmt.Errorf("read pauses: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p job.Pause, err error) {
		var since *time.Time
		if err := row.Scan(&p.Hook, &p.Rule, &since, &p.Reason); err != nil {
			return p, err
		}
		p.Since = timeOf(since)
		return p, decodeTexts(&p.Reason)
	})
	if err != nil {
		return nil, fmt.Errorf("read pauses: %w", err)
	}
	return out, nil
}
