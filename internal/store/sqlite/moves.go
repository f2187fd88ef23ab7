package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/codec"
)

// Start commits the start mark of the next attempt of a waiting job. Only after it returned nil
// may the action begin.
func (s *Store) Start(ctx context.Context, m store.StartMark) error {
	op := &start{m: m}
	var err error
	op.id, err = knownID("job", m.Job)
	if err == nil {
		err = s.writer.do(ctx, op, 256)
	}
	if err == nil && op.refused != nil {
		err = &store.RefusedError{Refusal: *op.refused}
	}
	if err != nil {
		return fmt.Errorf("start attempt %d: %w", m.Attempt, err)
	}
	return nil
}

// knownID encodes the id of something that should exist; what is no id names nothing.
func knownID(what, id string) ([]byte, error) {
	b, err := encodeID(id)
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w", what, id, store.ErrNotFound)
	}
	return b, nil
}

// company implements accompanied.
func (o *start) company() int { return o.m.Company }

type start struct {
	id []byte
	m  store.StartMark

	refused *job.Refusal
}

func (o *start) apply(c *connection, now *jumpGuard) error {
	if o.refused = nil; o.m.Controls != nil {
		if err := o.decide(c, now); err != nil || o.refused != nil {
			return err
		}
	}
	at := encodeTime(o.m.At)
	if err := moved(c, o.m.Job, o.id)(c.startJob.Exec(int64(o.m.Attempt), at, o.m.Node, o.id, int64(o.m.Attempt))); err != nil {
		return err
	}
	_, err := c.insertAttempt.Exec(int64(o.m.Attempt), at, o.m.Config, o.id)
	return err
}

func (*start) told() []job.Job { return nil }

// decide lets a job's controls say whether it may still start, and ends it when it may not.
func (o *start) decide(c *connection, now *jumpGuard) error {
	j, err := findJob(c, o.id)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("job %s: %w", o.m.Job, store.ErrNotFound)
	case err != nil:
		return err
	case j.State != job.Queued && j.State != job.Scheduled || j.Attempt != o.m.Attempt-1:
		return fmt.Errorf("job %s is %s at attempt %d: %w", o.m.Job, j.State, j.Attempt, store.ErrFenced)
	}
	l := ledger{c: c, hook: j.Hook, rule: j.Rule, now: now.steady(o.m.At), moved: now.total}
	o.refused, err = job.Begin(j.ID, j.Keys, o.m.Controls, l, o.m.At)
	if err != nil || o.refused == nil {
		return err
	}
	_, err = c.settleJob.Exec(string(o.refused.State), o.refused.Reason, nil, encodeTime(o.m.At), o.refused.By, o.id)
	return err
}

// moved tells why a fenced update changed nothing: no such job, or a job that has moved on.
func moved(c *connection, name string, id []byte) func(sql.Result, error) error {
	return func(res sql.Result, err error) error {
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 1 {
			return err
		}
		j, err := findJob(c, id)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("job %s: %w", name, store.ErrNotFound)
		}
		if err != nil {
			return err
		}
		return fmt.Errorf("job %s is %s at attempt %d: %w", name, j.State, j.Attempt, store.ErrFenced)
	}
}

func findJob(c *connection, id []byte) (job.Job, error) {
	rows, err := c.jobByID.Query(id)
	if err != nil {
		return job.Job{}, err
	}
	jobs, err := scanJobs(rows)
	if err != nil {
		return job.Job{}, err
	}
	if len(jobs) == 0 {
		return job.Job{}, sql.ErrNoRows
	}
	return jobs[0], nil
}

// Finish records the end of a running attempt and where the job goes, in one transaction.
func (s *Store) Finish(ctx context.Context, e store.Ended) error {
	op := &finish{e: e}
	var err error
	op.id, err = knownID("job", e.Job)
	if err == nil {
		err = checkNext(e.Next)
	}
	if err == nil {
		op.size = len(e.Output)
		op.encoding, op.output = codec.Encode(e.Output)
		op.e.Output = nil
		err = s.writer.do(ctx, op, 256+len(op.output))
	}
	if err != nil {
		return fmt.Errorf("finish attempt %d: %w", e.Attempt, err)
	}
	return nil
}

// checkNext refuses states that a finish or settle cannot lead to.
func checkNext(s job.State) error {
	for _, known := range job.States {
		if s == known && s != job.Running {
			return nil
		}
	}
	return fmt.Errorf("a job cannot become %q this way", s)
}

// company implements accompanied.
func (o *finish) company() int { return o.e.Company }

type finish struct {
	id       []byte
	e        store.Ended
	size     int
	encoding int
	output   []byte
}

func (o *finish) apply(c *connection, now *jumpGuard) error {
	e := &o.e
	state, ending := e.Next, job.State("")
	runAt, finishedAt := nextTimes(e.Next, e.At, e.RunAt)
	if e.FollowUps && e.Next.Terminal() {
		state, ending, finishedAt = job.Running, e.Next, 0
	}
	err := moved(c, e.Job, o.id)(c.finishJob.Exec(string(state), e.Reason, runAt, finishedAt,
		nullable(e.ExitCode), e.Error, e.SupersededBy, string(ending), o.id, int64(e.Attempt)))
	if err != nil {
		return err
	}
	if e.Next == job.Succeeded && e.Controls != nil && e.Controls.Once != nil {
		if err := o.succeed(c, now); err != nil {
			return err
		}
	}
	_, err = c.updateAttempt.Exec(encodeTime(e.At), nullable(e.ExitCode), e.Signal, int64(e.Status), e.Error,
		int64(o.size), int64(o.encoding), o.output, o.id, int64(e.Attempt))
	return err
}

func (*finish) told() []job.Job { return nil }

// succeed keeps what a success means for others.
func (o *finish) succeed(c *connection, now *jumpGuard) error {
	j, err := findJob(c, o.id)
	if err != nil {
		return err
	}
	l := ledger{c: c, hook: j.Hook, rule: j.Rule, now: now.steady(o.e.At), moved: now.total}
	return job.Succeed(j.ID, j.Keys, o.e.Controls, l, o.e.At)
}

// nextTimes returns the run time of a job that waits again, nil to leave it, and the time at
// which it ended, 0 when it did not.
func nextTimes(next job.State, at, runAt time.Time) (run any, finished int64) {
	if next.Terminal() {
		return nil, encodeTime(at)
	}
	if runAt.IsZero() {
		runAt = at
	}
	return encodeTime(runAt), 0
}

// Settle ends or reschedules a job that waits.
func (s *Store) Settle(ctx context.Context, m store.Settle) error {
	id, err := knownID("job", m.Job)
	if err == nil {
		err = checkNext(m.Next)
	}
	if err == nil {
		err = s.writer.do(ctx, &settle{id: id, m: m}, 256)
	}
	if err != nil {
		return fmt.Errorf("settle as %s: %w", m.Next, err)
	}
	return nil
}

type settle struct {
	id []byte
	m  store.Settle
}

func (o *settle) apply(c *connection, _ *jumpGuard) error {
	runAt, finishedAt := nextTimes(o.m.Next, o.m.At, o.m.RunAt)
	return moved(c, o.m.Job, o.id)(c.settleJob.Exec(string(o.m.Next), o.m.Reason, runAt, finishedAt, o.m.SupersededBy, o.id))
}

func (*settle) told() []job.Job { return nil }

// Requeue gives an ended job another run of attempts. The job keeps its Seq.
func (s *Store) Requeue(ctx context.Context, id, reason string, at time.Time) (job.Job, error) {
	op := &requeue{name: id, reason: reason, at: at}
	var err error
	op.id, err = knownID("job", id)
	if err == nil {
		err = s.writer.do(ctx, op, 256)
	}
	if err != nil {
		return job.Job{}, fmt.Errorf("requeue: %w", err)
	}
	return op.job, nil
}

type requeue struct {
	name   string
	id     []byte
	reason string
	at     time.Time

	job job.Job
}

func (o *requeue) apply(c *connection, _ *jumpGuard) error {
	if err := moved(c, o.name, o.id)(c.requeueJob.Exec(o.reason, encodeTime(o.at), o.id)); err != nil {
		return err
	}
	if _, err := c.reopenReports.Exec(o.id); err != nil {
		return err
	}
	var err error
	o.job, err = findJob(c, o.id)
	return err
}

func (o *requeue) told() []job.Job { return []job.Job{o.job} }

// queueAgain is what the statements' queuedAgain does, on a job in memory.
func queueAgain(j *job.Job, reason string, at time.Time) {
	j.State, j.Reason, j.RunAt = job.Queued, reason, at
	j.Since, j.FinishedAt, j.SupersededBy = j.Attempt, time.Time{}, ""
}

// ofMoves are the statements that move jobs and their attempts on.
func (s *statements) ofMoves() []statement {
	return []statement{
		{&s.startJob, `UPDATE job SET state = 'running', reason = '', attempt = ?, started_at = ?,
			exit_code = NULL, error = '', node = ?
			WHERE id = ? AND attempt = ? - 1 AND ` + waits},
		{&s.insertAttempt, `INSERT INTO attempt (job, n, started_at, finished_at, exit_code, signal, status,
			error, config, size, encoding) SELECT seq, ?, ?, 0, NULL, '', 0, '', ?, 0, 0 FROM job WHERE id = ?`},
		{&s.finishJob, `UPDATE job SET state = ?, reason = ?, run_at = coalesce(?, run_at),
			finished_at = ?, exit_code = ?, error = ?, superseded_by = ?, ending = ?
			WHERE id = ? AND attempt = ? AND state = 'running' AND ending = ''`},
		{&s.updateAttempt, `UPDATE attempt SET finished_at = ?, exit_code = ?, signal = ?, status = ?,
			error = ?, size = ?, encoding = ?, output = ?
			WHERE job = (SELECT seq FROM job WHERE id = ?) AND n = ?`},
		{&s.settleJob, `UPDATE job SET state = ?, reason = ?, run_at = coalesce(?, run_at),
			finished_at = ?, superseded_by = ? WHERE id = ? AND ` + waits},
		{&s.requeueJob, "UPDATE job SET " + queuedAgain + " WHERE id = ? AND " + isOver},
		{&s.jobByID, jobsWithDelivery + "WHERE j.id = ?"},
	}
}
