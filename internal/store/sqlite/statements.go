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

	keyHolder, renewKey             *sql.Stmt
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

func (s *statements) prepare(ctx context.Context, conn *sql.Conn) error {
	for _, one := range []struct {
		into **sql.Stmt
		text string
	}{
		{&s.begin, "BEGIN IMMEDIATE"},
		{&s.commit, "COMMIT"},
		{&s.rollback, "ROLLBACK"},

		{&s.keyHolder, "SELECT delivery, expires_at FROM dedupe_key WHERE seq = ? AND hook = ? AND key = ?"},
		{&s.renewKey, "UPDATE dedupe_key SET delivery = ?, expires_at = ? WHERE seq = ?"},
		{&s.insertRun, "INSERT INTO dedupe_run (first, length, due, data) VALUES (?, ?, ?, ?)"},
		{&s.putOffRun, "UPDATE dedupe_run SET due = ? WHERE first = ?"},
		{&s.deleteRun, "DELETE FROM dedupe_run WHERE first = ? AND NOT EXISTS (SELECT 1 FROM dedupe_key WHERE seq BETWEEN ? AND ?)"},
		{&s.keysOfRun, "SELECT seq, hook, key, delivery, expires_at FROM dedupe_key WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?"},
		{&s.moveKey, "DELETE FROM dedupe_key WHERE seq = ?"},
		{&s.jobsOfDelivery, jobsWithDelivery + "WHERE d.id = ? AND " + endedBadly + " ORDER BY j.seq"},
		{&s.again, "UPDATE job SET " + queuedAgain + " WHERE seq = ?"},

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

		{&s.deliverySeqByID, "SELECT seq FROM delivery WHERE id = ?"},
		{&s.liveJobsOfRule, "SELECT count(*) FROM job WHERE delivery = ?1 AND hook = ?2 AND rule = ?3 AND (target IN (?4, '', '*') OR ?4 IN ('', '*')) AND " + isLive},
		{&s.recall, `SELECT job, at, value, count, bytes, expires_at FROM control
			WHERE hook = ? AND rule = ? AND control = ? AND key = ? AND expires_at > ?`},
		{&s.keep, `INSERT OR REPLACE INTO control (hook, rule, control, key, job, at, value, count, bytes, expires_at)
			VALUES (?,?,?,?,?,?,?,?,?,?)`},
		{&s.forget, "DELETE FROM control WHERE hook = ? AND rule = ? AND control = ? AND key = ? AND expires_at <= ?"},
		{&s.moveEarlier, `UPDATE job SET state = ?, reason = ?, run_at = ?, finished_at = ?, superseded_by = ?
			WHERE seq = ? AND state = 'scheduled'`},

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

		// The anchor is the last entry when retention took all of them.
		{&s.lastAudit, `SELECT n, hash FROM audit UNION ALL SELECT n, hash FROM audit_anchor ORDER BY n DESC LIMIT 1`},
		{&s.insertAudit, `INSERT INTO audit (n, at, who, remote, action, subject, detail, result, previous, hash)
			VALUES (?,?,?,?,?,?,?,?,?,?)`},
		{&s.anchorAudit, "INSERT OR REPLACE INTO audit_anchor (one, n, hash) SELECT 1, n, hash FROM audit WHERE n = ?"},
		{&s.deleteAudit, "DELETE FROM audit WHERE n <= ?"},
		{&s.keepReject, `INSERT INTO reject (id, at, ip, hook, status, error, reason, size, count, last_at)
			VALUES (?,?,?,?,?,?,?,?,?,?)
			ON CONFLICT (id) DO UPDATE SET count = excluded.count, last_at = excluded.last_at, size = excluded.size`},
		{&s.deleteRejects, "DELETE FROM reject WHERE seq <= (SELECT seq FROM reject ORDER BY seq DESC LIMIT 1 OFFSET ?)"},
		{&s.keepReplay, "INSERT INTO replay (id, data) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET data = excluded.data"},
		{&s.deleteReplays, "DELETE FROM replay WHERE seq <= (SELECT seq FROM replay ORDER BY seq DESC LIMIT 1 OFFSET ?)"},
		{&s.keepExpectation, "INSERT OR REPLACE INTO expectation (hook, since, last, silent) VALUES (?, ?, ?, ?)"},
		{&s.deleteExpectation, "DELETE FROM expectation WHERE hook = ?"},
		{&s.keepPosition, "INSERT OR REPLACE INTO position (hook, source, place) VALUES (?, ?, ?)"},
		{&s.deletePosition, "DELETE FROM position WHERE hook = ?"},
		{&s.insertHeld, `INSERT INTO held (delivery, hook, state, taker, tries, until, at, reason, scheme, host, raw_path, sealed)
			VALUES (?, ?, 'waiting', '', 0, 0, ?, '', ?, ?, ?, ?)`},
		{&s.leaseHeld, `UPDATE held SET taker = ?, tries = tries + 1, until = ?, at = ? WHERE delivery = ? AND state = 'waiting' AND until <= ?
			RETURNING (SELECT id FROM delivery WHERE seq = held.delivery)`},
		{&s.settleHeld, `UPDATE held SET state = ?1, reason = ?2, at = ?3, until = 0
			WHERE delivery = (SELECT seq FROM delivery WHERE id = ?4) AND instr(?5, char(10) || hook || char(10))
				AND (?6 OR state <> 'acknowledged' AND state <> ?7 OR state = 'waiting' AND ?7 = 'waiting' AND (taker = ?8 OR ?9 = ''))
				AND (?6 OR ?7 <> 'waiting' OR state = 'waiting')`},
		{&s.deleteHeld, "DELETE FROM held WHERE delivery = ? RETURNING hook, state"},
		{&s.insertReport, "INSERT INTO report (job, n, kind, reached, remote, tries, next_at, at, error, open) VALUES (?, ?, ?, '', '', 0, 0, 0, '', 1)"},
		{&s.setReport, `UPDATE report SET reached = ?, remote = ?, tries = ?, next_at = ?, at = ?, error = ?,
			open = (? OR ? <> (SELECT ` + stage + ` FROM job j WHERE j.seq = report.job))
			WHERE job = (SELECT seq FROM job WHERE id = ?) AND n = ?`},
		{&s.reopenReports, "UPDATE report SET open = 1, tries = 0, next_at = 0, error = '' WHERE job = (SELECT seq FROM job WHERE id = ?)"},
		{&s.deleteReports, "DELETE FROM report WHERE job IN (SELECT seq FROM job WHERE delivery = ?)"},
		{&s.keepListened, "INSERT INTO listened (id, since, until) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET until = excluded.until"},
		{&s.deleteListened, "DELETE FROM listened WHERE seq <= (SELECT seq FROM listened ORDER BY seq DESC LIMIT 1 OFFSET ?)"},

		{&s.liveJobs, "SELECT count(*) FROM job j WHERE delivery = ? AND " + isNeeded},
		{&s.deleteAttempts, "DELETE FROM attempt WHERE job IN (SELECT seq FROM job WHERE delivery = ?)"},
		{&s.deleteJobs, "DELETE FROM job WHERE delivery = ?"},
		{&s.deleteBody, "DELETE FROM body WHERE delivery = ?"},
		{&s.deleteDelivery, "DELETE FROM delivery WHERE seq = ?"},
		{&s.deleteKey, "DELETE FROM dedupe_key WHERE seq = ? AND expires_at <= ?"},
	} {
		stmt, err := conn.PrepareContext(ctx, one.text)
		if err != nil {
			return fmt.Errorf("prepare %q: %w", one.text, err)
		}
		*one.into, s.all = stmt, append(s.all, stmt)
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
