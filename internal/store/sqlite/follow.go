package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store/codec"
)

// BeginFollowUp commits the start of a follow-up.
func (s *Store) BeginFollowUp(ctx context.Context, id string, u job.FollowUp) error {
	return s.follow(ctx, "begin", id, func(key []byte) operation { return &beginFollowUp{id, key, u} })
}

// EndFollowUp records the end of a follow-up.
func (s *Store) EndFollowUp(ctx context.Context, id string, u job.FollowUp) error {
	return s.follow(ctx, "end", id, func(key []byte) operation {
		op := &endFollowUp{name: id, id: key, u: u, size: len(u.Output)}
		op.encoding, op.output = codec.Encode(u.Output)
		op.u.Output = nil
		return op
	})
}

// Conclude ends a running job that has an Ending.
func (s *Store) Conclude(ctx context.Context, id string, at time.Time) error {
	return s.follow(ctx, "conclude", id, func(key []byte) operation { return &conclude{id, key, at} })
}

func (s *Store) follow(ctx context.Context, what, id string, op func(key []byte) operation) error {
	key, err := knownID("job", id)
	if err == nil {
		err = s.writer.do(ctx, op(key), 256)
	}
	if err != nil {
		return fmt.Errorf("%s follow-up: %w", what, err)
	}
	return nil
}

type beginFollowUp struct {
	name string
	id   []byte
	u    job.FollowUp
}

func (o *beginFollowUp) apply(c *connection, _ *jumpGuard) error {
	u := &o.u
	return moved(c, o.name, o.id)(c.beginFollowUp.Exec(int64(u.Attempt), int64(u.Step), int64(u.Try), u.Event, u.Kind,
		encodeTime(u.StartedAt), o.id, int64(u.Attempt)))
}

func (*beginFollowUp) told() []job.Job { return nil }

type endFollowUp struct {
	name     string
	id       []byte
	u        job.FollowUp
	size     int
	encoding int
	output   []byte
}

func (o *endFollowUp) apply(c *connection, _ *jumpGuard) error {
	u := &o.u
	return moved(c, o.name, o.id)(c.endFollowUp.Exec(encodeTime(u.FinishedAt), nullable(u.ExitCode), u.Signal, int64(u.Status),
		u.Error, int64(o.size), int64(o.encoding), o.output, o.id, int64(u.Attempt), int64(u.Step), int64(u.Try)))
}

func (*endFollowUp) told() []job.Job { return nil }

type conclude struct {
	name string
	id   []byte
	at   time.Time
}

func (o *conclude) apply(c *connection, _ *jumpGuard) error {
	return moved(c, o.name, o.id)(c.conclude.Exec(encodeTime(o.at), o.id))
}

func (*conclude) told() []job.Job { return nil }

// FollowUps returns a job's follow-ups in the order they began.
func (r *reads) FollowUps(ctx context.Context, id string) ([]job.FollowUp, error) {
	key, err := knownID("job", id)
	if err != nil {
		return nil, fmt.Errorf("read follow-ups: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.db.QueryContext(ctx, `SELECT attempt, step, try, event, kind, started_at, finished_at, exit_code,
		signal, status, error, size, encoding, output FROM follow_up
		WHERE job = (SELECT seq FROM job WHERE id = ?) ORDER BY attempt, step, try`, key)
	if err != nil {
		return nil, fmt.Errorf("read follow-ups: %w", err)
	}
	defer rows.Close()
	var out []job.FollowUp
	for rows.Next() {
		var (
			u                 job.FollowUp
			started, finished int64
			exit              sql.NullInt64
			size, encoding    int
			output            []byte
		)
		err := rows.Scan(&u.Attempt, &u.Step, &u.Try, &u.Event, &u.Kind, &started, &finished, &exit,
			&u.Signal, &u.Status, &u.Error, &size, &encoding, &output)
		if err != nil {
			return nil, fmt.Errorf("read follow-ups: %w", err)
		}
		u.StartedAt, u.FinishedAt, u.ExitCode = decodeTime(started), decodeTime(finished), optional(exit)
		if u.Output, err = codec.Decode(encoding, output, size); err != nil {
			return nil, fmt.Errorf("output of follow-up %d: %w", u.Step, err)
		}
		out = append(out, u)
	}
	return out, rows.Err()
}

// SetPause keeps or forgets that a rule is paused.
func (s *Store) SetPause(ctx context.Context, p job.Pause, on bool) error {
	if err := s.writer.do(ctx, &pause{p, on}, 256); err != nil {
		return fmt.Errorf("pause: %w", err)
	}
	return nil
}

type pause struct {
	p  job.Pause
	on bool
}

func (o *pause) apply(c *connection, _ *jumpGuard) error {
	if !o.on {
		_, err := c.deletePause.Exec(o.p.Hook, o.p.Rule)
		return err
	}
	_, err := c.insertPause.Exec(o.p.Hook, o.p.Rule, encodeTime(o.p.Since), o.p.Reason)
	return err
}

func (*pause) told() []job.Job { return nil }

// Pauses returns what is paused, by hook and rule.
func (r *reads) Pauses(ctx context.Context) ([]job.Pause, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.db.QueryContext(ctx, "SELECT hook, rule, since, reason FROM pause ORDER BY hook, rule")
	if err != nil {
		return nil, fmt.Errorf("read pauses: %w", err)
	}
	defer rows.Close()
	var out []job.Pause
	for rows.Next() {
		var (
			p     job.Pause
			since int64
		)
		if err := rows.Scan(&p.Hook, &p.Rule, &since, &p.Reason); err != nil {
			return nil, fmt.Errorf("read pauses: %w", err)
		}
		p.Since = decodeTime(since)
		out = append(out, p)
	}
	return out, rows.Err()
}

// ofFollowUps are the statements of what follows a job, and of pauses.
func (s *statements) ofFollowUps() []statement {
	return []statement{
		{&s.beginFollowUp, `INSERT INTO follow_up (job, attempt, step, try, event, kind, started_at, finished_at,
			signal, status, error, size, encoding) SELECT seq, ?, ?, ?, ?, ?, ?, 0, '', 0, '', 0, 0 FROM job
			WHERE id = ? AND attempt = ? AND state = 'running' AND ending <> ''`},
		{&s.endFollowUp, `UPDATE follow_up SET finished_at = ?, exit_code = ?, signal = ?, status = ?,
			error = ?, size = ?, encoding = ?, output = ?
			WHERE job = (SELECT seq FROM job WHERE id = ?) AND attempt = ? AND step = ? AND try = ? AND finished_at = 0`},
		{&s.conclude, `UPDATE job SET state = ending, ending = '', finished_at = ?
			WHERE id = ? AND state = 'running' AND ending <> ''`},
		{&s.deleteFollowUps, "DELETE FROM follow_up WHERE job IN (SELECT seq FROM job WHERE delivery = ?)"},
		{&s.insertPause, "INSERT OR REPLACE INTO pause (hook, rule, since, reason) VALUES (?,?,?,?)"},
		{&s.deletePause, "DELETE FROM pause WHERE hook = ? AND rule = ?"},
	}
}
