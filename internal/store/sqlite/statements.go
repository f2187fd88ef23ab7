package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/tenterhook/tenterhook/internal/job"
)

// statements are what the writer runs, compiled once.
type statements struct {
	all []*sql.Stmt // what close closes

	begin, commit, rollback *sql.Stmt

	renewKey                        *sql.Stmt
	insertRun, putOffRun, deleteRun *sql.Stmt
	keysOfRun, moveKey              *sql.Stmt
	jobsOfDelivery, again           *sql.Stmt

	startJob, insertAttempt   *sql.Stmt
	finishJob, updateAttempt  *sql.Stmt
	settleJob                 *sql.Stmt
	requeueJob, jobByID       *sql.Stmt
	deleteAttempts            *sql.Stmt
	deleteJobs, deleteBody    *sql.Stmt
	deleteDelivery, deleteKey *sql.Stmt
	liveJobs                  *sql.Stmt

	deliverySeqByID, liveJobsOfRule *sql.Stmt

	recall, keep, forget       *sql.Stmt
	moveEarlier                *sql.Stmt
	beginFollowUp, endFollowUp *sql.Stmt
	conclude, deleteFollowUps  *sql.Stmt
	insertPause, deletePause   *sql.Stmt

	lastAudit, insertAudit    *sql.Stmt
	anchorAudit, deleteAudit  *sql.Stmt
	keepReject, deleteRejects *sql.Stmt
	keepReplay, deleteReplays *sql.Stmt

	keepListened, deleteListened *sql.Stmt

	keepExpectation, deleteExpectation *sql.Stmt
	keepPosition, deletePosition       *sql.Stmt

	insertHeld, leaseHeld  *sql.Stmt
	settleHeld, deleteHeld *sql.Stmt

	insertReport, setReport      *sql.Stmt
	reopenReports, deleteReports *sql.Stmt
}

// Conditions on the state of a job; the partial index of the schema repeats isLive.
var (
	waits      = stateIn(func(s job.State) bool { return s == job.Scheduled || s == job.Queued })
	isLive     = stateIn(func(s job.State) bool { return !s.Terminal() })
	isOver     = stateIn(job.State.Terminal)
	endedBadly = stateIn(job.State.EndedBadly)

	// isNeeded is a job that has not ended, or whose payload one of its burst still needs.
	isNeeded = "(" + isLive + " OR (burst IS NOT NULL AND EXISTS (SELECT 1 FROM job w WHERE w.burst = j.burst AND w.burst IS NOT NULL AND " + isLive + ")))"
)

// stateIn returns "(state = 'queued' OR state = 'running')" for the states that are in.
func stateIn(in func(job.State) bool) string {
	var terms []string
	for _, s := range job.States {
		if in(s) {
			terms = append(terms, "state = '"+string(s)+"'")
		}
	}
	return "(" + strings.Join(terms, " OR ") + ")"
}

// jobColumns is what scanJob reads; it needs delivery d beside job j.
const jobColumns = `j.seq, j.id, d.id, j.hook, j.rule, j.state, j.reason, j.attempt, j.since,
	j.run_at, j.created_at, j.started_at, j.finished_at, j.exit_code, j.error, j.concurrency_key,
	j.superseded_by, j.replay_of, j.node, j.keys, j.burst, j.ending, j.target`

const jobsWithDelivery = "SELECT " + jobColumns + " FROM job j JOIN delivery d ON d.seq = j.delivery "

// statement is one of statements, and its text.
type statement struct {
	into **sql.Stmt
	text string
}

// prepare compiles the statements, whose texts stand beside what runs them.
func (s *statements) prepare(ctx context.Context, conn *sql.Conn) error {
	for _, group := range [][]statement{
		{{&s.begin, "BEGIN IMMEDIATE"}, {&s.commit, "COMMIT"}, {&s.rollback, "ROLLBACK"}},
		s.ofKeys(), s.ofAccepts(), s.ofMoves(), s.ofReplays(), s.ofControls(), s.ofFollowUps(), s.ofAudit(),
		s.ofRecords(), s.ofExpectations(), s.ofPositions(), s.ofListened(), s.ofHeld(), s.ofReports(), s.ofRetention(),
	} {
		for _, one := range group {
			stmt, err := conn.PrepareContext(ctx, one.text)
			if err != nil {
				return fmt.Errorf("prepare %q: %w", one.text, err)
			}
			*one.into, s.all = stmt, append(s.all, stmt)
		}
	}
	return nil
}

// close closes the statements. database/sql does not do that with a connection that they were made
// on alone, and SQLite keeps a connection with its files, its locks and what it had begun for as
// long as one of its statements is open.
func (s *statements) close() error {
	var errs []error
	for _, stmt := range s.all {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(errs...)
}

// queuedAgain gives an ended job another run of attempts; its parameters are the reason and the
// time.
const queuedAgain = `state = 'queued', reason = ?, run_at = ?, since = attempt, finished_at = 0, superseded_by = ''`
