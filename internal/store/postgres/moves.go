package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/codec"
)

// move is the part of an operation that moves one job by one statement, which returns a row when
// it did.
type move struct {
	id      string
	attempt int
	did     bool
}

// answer implements operation: a job that was not moved is looked at by finish.
func (m *move) answer(rows pgx.Rows) (more bool, err error) {
	m.did = rows.Next()
	return !m.did, rows.Err()
}

// finish implements operation: it says why the job was not moved.
func (m *move) finish(ctx context.Context, tx pgx.Tx) error { return why(ctx, tx, m.id) }

func (*move) told() []job.Job { return nil }

// why tells why a fenced update changed nothing: no such job, or a job that has moved on.
func why(ctx context.Context, tx pgx.Tx, id string) error {
	j, err := findJob(ctx, tx, id)
	if err != nil {
		return err
	}
	return fmt.Errorf("job %s is %s at attempt %d: %w", id, j.State, j.Attempt, store.ErrFenced)
}

func findJob(ctx context.Context, tx pgx.Tx, id string) (job.Job, error) {
	jobs, err := findJobs(ctx, tx, "WHERE j.id = $1", id)
	if err == nil && len(jobs) == 0 {
		err = fmt.Errorf("job %s: %w", id, store.ErrNotFound)
	}
	if err != nil {
		return job.Job{}, err
	}
	return jobs[0], nil
}

// findJobs reads jobs inside a transaction.
func findJobs(ctx context.Context, tx pgx.Tx, where string, args ...any) ([]job.Job, error) {
	rows, err := tx.Query(ctx, jobsWithDelivery+where, args...)
	if err != nil {
		return nil, err
	}
	return scanJobs(rows)
}

// Start commits the start mark of the next attempt of a waiting job. Only after it returned nil
// may the action begin.
func (s *Store) Start(ctx context.Context, m store.StartMark) error {
	id, err := knownID("job", m.Job)
	op := &start{move: move{id: id, attempt: m.Attempt}, m: m, node: s.node.Load()}
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

type start struct {
	move
	m    store.StartMark
	node int64 // that must have the job's ticket, 0 for no matter

	refused *job.Refusal
}

// startStatement locks the ticket, so that a take-over waits for the start or the start finds it gone.
var startStatement = `WITH mine AS MATERIALIZED (
		SELECT t.job FROM ticket t JOIN job j ON j.seq = t.job WHERE j.id = $1 AND t.node = $6 FOR UPDATE OF t
	), moved AS (
		UPDATE job SET state = 'running', reason = '', attempt = $2, started_at = $3, exit_code = NULL, error = '', node = $4
		WHERE id = $1 AND attempt = $2 - 1 AND ` + waits + ` AND ($6 = 0 OR seq IN (SELECT job FROM mine)) RETURNING seq
	) INSERT INTO attempt (job, n, started_at, config) SELECT seq, $2, $3, $5 FROM moved RETURNING 1`

func (o *start) args() []any {
	return []any{o.id, o.m.Attempt, nullTime(o.m.At), o.m.Node, o.m.Config, o.node}
}

func (o *start) statement() (string, []any, string) {
	if o.m.Controls != nil {
		return "", nil, ""
	}
	return startStatement, o.args(), o.id
}

// rules implements ruled.
func (o *start) rules() ([][2]string, string) {
	if o.m.Controls == nil {
		return nil, ""
	}
	return nil, o.id
}

// finish lets a job's controls say whether it may still start, and ends it when it may not.
func (o *start) finish(ctx context.Context, tx pgx.Tx) error {
	if o.m.Controls == nil {
		return o.move.finish(ctx, tx)
	}
	o.refused = nil
	if err := o.lockTicket(ctx, tx); err != nil {
		return err
	}
	jobs, err := findJobs(ctx, tx, "WHERE j.id = $1 AND attempt = $2 - 1 AND "+waits+" FOR UPDATE OF j", o.id, o.m.Attempt)
	if err != nil {
		return err
	}
	if len(jobs) == 0 {
		return why(ctx, tx, o.id)
	}
	j := &jobs[0]
	l := ledger{ctx: ctx, tx: tx, hook: j.Hook, rule: j.Rule, now: o.m.At}
	o.refused, err = job.Begin(j.ID, j.Keys, o.m.Controls, l, o.m.At)
	switch {
	case err != nil:
		return err
	case o.refused == nil:
		return one(tx.Exec(ctx, startStatement, o.args()...))
	}
	return one(tx.Exec(ctx, settleStatement, o.id, string(o.refused.State), encodeText(o.refused.Reason), nil, nullTime(o.m.At), o.refused.By))
}

// lockTicket is store.ErrFenced unless the node has the job's ticket.
func (o *start) lockTicket(ctx context.Context, tx pgx.Tx) error {
	if o.node == 0 {
		return nil
	}
	var seq int64
	err := tx.QueryRow(ctx, `SELECT t.job FROM ticket t JOIN job j ON j.seq = t.job WHERE j.id = $1 AND t.node = $2
		FOR UPDATE OF t`, o.id, o.node).Scan(&seq)
	if isNoRows(err) {
		return why(ctx, tx, o.id)
	}
	return err
}

// one makes an error of a statement that should have changed one row and did not.
func one(tag pgconn.CommandTag, err error) error {
	if err == nil && tag.RowsAffected() != 1 {
		err = fmt.Errorf("%d rows were changed instead of one", tag.RowsAffected())
	}
	return err
}

// Finish records the end of an attempt of a running job and where it goes, in one transaction. The
// job's ticket goes with it, unless follow-ups are to run.
func (s *Store) Finish(ctx context.Context, e store.Ended) error {
	op, err := newFinish(e)
	if err == nil {
		err = s.writer.do(ctx, op, 256+len(op.output))
	}
	if err != nil {
		return fmt.Errorf("finish attempt %d: %w", e.Attempt, err)
	}
	return nil
}

func newFinish(e store.Ended) (*finish, error) {
	id, err := knownID("job", e.Job)
	if err == nil {
		err = checkNext(e.Next)
	}
	if err != nil {
		return nil, err
	}
	op := &finish{move: move{id: id, attempt: e.Attempt}, e: e, size: len(e.Output)}
	op.encoding, op.output = codec.Encode(e.Output)
	op.e.Output = nil
	return op, nil
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

type finish struct {
	move
	e        store.Ended
	size     int
	encoding int
	output   []byte
}

const finishStatement = `WITH moved AS (
		UPDATE job SET state = $3, reason = $4, run_at = coalesce($5, run_at), finished_at = $6, exit_code = $7, error = $8,
			superseded_by = $9, ending = $10
		WHERE id = $1 AND attempt = $2 AND state = 'running' AND ending = '' RETURNING seq
	), released AS (
		DELETE FROM ticket USING moved WHERE ticket.job = moved.seq AND $10 = ''
	) UPDATE attempt SET finished_at = $11, exit_code = $7, signal = $12, status = $13, error = $8, size = $14,
		encoding = $15, output = $16
	FROM moved WHERE attempt.job = moved.seq AND attempt.n = $2 RETURNING 1`

func (o *finish) statement() (string, []any, string) {
	e := &o.e
	state, ending := e.Next, job.State("")
	runAt, finishedAt := nextTimes(e.Next, e.At, e.RunAt)
	if e.FollowUps && e.Next.Terminal() {
		state, ending, finishedAt = job.Running, e.Next, nil
	}
	return finishStatement, []any{
		o.id, e.Attempt, string(state), encodeText(e.Reason), runAt, finishedAt, e.ExitCode, encodeText(e.Error), e.SupersededBy,
		string(ending), nullTime(e.At), e.Signal, e.Status, o.size, o.encoding, o.output,
	}, o.id
}

func (o *finish) succeeds() bool {
	return o.e.Next == job.Succeeded && o.e.Controls != nil && o.e.Controls.Once != nil
}

// rules implements ruled.
func (o *finish) rules() ([][2]string, string) {
	if !o.succeeds() {
		return nil, ""
	}
	return nil, o.id
}

func (o *finish) answer(rows pgx.Rows) (more bool, err error) {
	more, err = o.move.answer(rows)
	return more || o.succeeds(), err
}

// finish keeps what a success means for others.
func (o *finish) finish(ctx context.Context, tx pgx.Tx) error {
	if !o.did {
		return o.move.finish(ctx, tx)
	}
	j, err := findJob(ctx, tx, o.id)
	if err != nil {
		return err
	}
	l := ledger{ctx: ctx, tx: tx, hook: j.Hook, rule: j.Rule, now: o.e.At}
	return job.Succeed(j.ID, j.Keys, o.e.Controls, l, o.e.At)
}

// nextTimes returns the run time of a job that waits again, nil to leave it, and the time at
// which it ended, nil when it did not.
func nextTimes(next job.State, at, runAt time.Time) (run, finished any) {
	if next.Terminal() {
		return nil, nullTime(at)
	}
	if runAt.IsZero() {
		runAt = at
	}
	return nullTime(runAt), nil
}

// Settle ends or reschedules a job that waits.
func (s *Store) Settle(ctx context.Context, m store.Settle) error {
	id, err := knownID("job", m.Job)
	if err == nil {
		err = checkNext(m.Next)
	}
	if err == nil {
		err = s.writer.do(ctx, &settle{move: move{id: id}, m: m}, 256)
	}
	if err != nil {
		return fmt.Errorf("settle as %s: %w", m.Next, err)
	}
	return nil
}

type settle struct {
	move
	m store.Settle
}

var settleStatement = `UPDATE job SET state = $2, reason = $3, run_at = coalesce($4, run_at), finished_at = $5,
	superseded_by = $6 WHERE id = $1 AND ` + waits + " RETURNING 1"

func (o *settle) statement() (string, []any, string) {
	runAt, finishedAt := nextTimes(o.m.Next, o.m.At, o.m.RunAt)
	return settleStatement, []any{o.id, string(o.m.Next), encodeText(o.m.Reason), runAt, finishedAt, o.m.SupersededBy}, o.id
}

// Requeue gives an ended job another run of attempts. The job keeps its Seq.
func (s *Store) Requeue(ctx context.Context, id, reason string, at time.Time) (job.Job, error) {
	known, err := knownID("job", id)
	op := &requeue{move: move{id: known}, reason: reason, at: at}
	if err == nil {
		err = s.writer.do(ctx, op, 256)
	}
	if err != nil {
		return job.Job{}, fmt.Errorf("requeue: %w", err)
	}
	return op.job, nil
}

type requeue struct {
	move
	reason string
	at     time.Time

	job job.Job
}

func (o *requeue) statement() (string, []any, string) {
	return "UPDATE job SET " + queuedAgain + " WHERE id = $3 AND " + isOver + " RETURNING 1", []any{encodeText(o.reason), nullTime(o.at), o.id}, o.id
}

func (o *requeue) answer(rows pgx.Rows) (bool, error) {
	_, err := o.move.answer(rows)
	return true, err
}

func (o *requeue) finish(ctx context.Context, tx pgx.Tx) (err error) {
	if !o.did {
		return o.move.finish(ctx, tx)
	}
	if o.job, err = findJob(ctx, tx, o.id); err == nil {
		_, err = tx.Exec(ctx, reopenReports, o.job.Seq)
	}
	return err
}

func (o *requeue) told() []job.Job { return []job.Job{o.job} }

// queuedAgain gives an ended job another run of attempts; $1 is the reason and $2 the time.
const queuedAgain = `state = 'queued', reason = $1, run_at = $2, since = attempt, finished_at = NULL, superseded_by = ''`

// queueAgain is what queuedAgain does, on a job in memory.
func queueAgain(j *job.Job, reason string, at time.Time) {
	j.State, j.Reason, j.RunAt = job.Queued, reason, at
	j.Since, j.FinishedAt, j.SupersededBy = j.Attempt, time.Time{}, ""
}

// isNoRows keeps the library's word for it in one place.
func isNoRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }
