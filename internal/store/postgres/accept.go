package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/codec"
)

// Accept stores d and jobs in one transaction and returns once they are on disk. A key is free
// again once the window of the delivery that took it has ended. d and jobs are not kept after
// the return, whatever it is, but for the bytes of d.Body, which nobody may change any more. The jobs' Seq is set only when they were stored.
func (s *Store) Accept(ctx context.Context, d *job.Delivery, jobs []job.Job) (store.Receipt, error) {
	op, err := newAccept(d, jobs)
	if err == nil {
		err = s.writer.do(ctx, op, op.size)
	}
	if err != nil {
		return store.Receipt{}, fmt.Errorf("store delivery: %w", err)
	}
	if !op.receipt.Duplicate {
		for i := range jobs {
			jobs[i].Seq = op.receipt.Jobs[i].Seq
		}
	}
	return op.receipt, nil
}

// accept is one delivery on its way to disk, with everything encoded that can be before the
// writer has it.
type accept struct {
	d        job.Delivery // without body and header
	args     []any        // of acceptStatement
	jobs     []job.Job
	reports  bool // a sender is told of jobs
	decides  bool // controls decide on a job: the jobs are stored by finish
	size     int  // bytes, roughly
	bodySize int  // of the body as it arrived

	delivery int64
	receipt  store.Receipt
	earlier  []job.Job // that this delivery moved
}

func newAccept(d *job.Delivery, jobs []job.Job) (*accept, error) {
	if _, err := encodeID(d.ID); err != nil {
		return nil, err
	}
	if d.Outcome != job.Accepted && d.Outcome != job.Ignored {
		return nil, fmt.Errorf("outcome %q cannot be stored", d.Outcome)
	}
	a := &accept{d: *d, bodySize: len(d.Body)}
	a.d.Header, a.d.Body = nil, nil
	if err := a.addJobs(jobs); err != nil {
		return nil, err
	}
	encoding, body := codec.EncodeShared(d.Body)
	a.size = 1024 + len(body) + 512*len(jobs)
	return a, a.encode(d, encoding, body)
}

func (a *accept) addJobs(jobs []job.Job) error {
	a.jobs = append([]job.Job(nil), jobs...)
	for i := range a.jobs {
		j := &a.jobs[i]
		if _, err := encodeID(j.ID); err != nil {
			return fmt.Errorf("job of rule %q: %w", j.Rule, err)
		}
		if j.Delivery != "" && j.Delivery != a.d.ID {
			return fmt.Errorf("job %s belongs to delivery %s", j.ID, j.Delivery)
		}
		if j.State == job.Running || j.Attempt != 0 {
			return fmt.Errorf("job %s has started before it was stored", j.ID)
		}
		j.Delivery = a.d.ID
		if j.Hook == "" {
			j.Hook = a.d.Hook
		}
		a.decides = a.decides || j.Controls != nil
		a.reports = a.reports || j.Reports != ""
	}
	return nil
}

// acceptStatement takes the key, and if that was free stores the delivery and its jobs. It
// returns nothing when the key is taken.
const acceptStatement = `WITH taken AS (
		INSERT INTO dedupe (hook, key, delivery, expires_at)
		SELECT $2, $22, $1, $23 WHERE $22::bytea IS NOT NULL
		ON CONFLICT (hook, key) DO UPDATE SET delivery = excluded.delivery, expires_at = excluded.expires_at
			WHERE dedupe.expires_at <= $7
		RETURNING 1
	), new AS (
		INSERT INTO delivery (id, hook, key, key_window, on_duplicate, event, received_at, outcome, origin, method,
			path, query, ip, secret, config, header, params, withheld, verdicts, size, encoding, body, trace)
		SELECT $1::uuid, $2, $3, $4::bigint, $5, $6, $7::timestamptz, $8, $9, $10, $11, $12, $13, $14::int, $15,
			$16::bytea, $17::bytea, $18::text, $19::text, $20::int, $21::smallint, $24::bytea, $40::bytea
		WHERE $22::bytea IS NULL OR EXISTS (SELECT FROM taken)
		RETURNING seq
	), jobs AS (
		INSERT INTO job (` + newJobColumns + `)
		SELECT u.id, new.seq, u.hook, u.rule, u.state, u.reason, 0, 0, u.run_at, u.created_at, u.finished_at,
			'', u.concurrency_key, u.superseded_by, u.replay_of, u.node, u.keys, u.burst, '', u.target
		FROM new, unnest($25::uuid[], $26::text[], $27::text[], $28::text[], $29::text[], $30::timestamptz[],
			$31::timestamptz[], $32::timestamptz[], $33::text[], $34::text[], $35::text[], $36::text[], $37::text[], $38::uuid[], $39::text[])
			WITH ORDINALITY AS u (id, hook, rule, state, reason, run_at, created_at, finished_at, concurrency_key,
				superseded_by, replay_of, node, keys, burst, target, n)
		ORDER BY u.n
		RETURNING seq
	)
	SELECT new.seq, (SELECT array_agg(seq ORDER BY seq) FROM jobs) FROM new`

// newJobColumns are those of a job that is stored; those left out are null.
const newJobColumns = `id, delivery, hook, rule, state, reason, attempt, since, run_at, created_at, finished_at,
	error, concurrency_key, superseded_by, replay_of, node, keys, burst, ending, target`

func (a *accept) encode(d *job.Delivery, encoding int, body []byte) error {
	withheld, err := encodeJSON(d.Withheld)
	if err != nil {
		return fmt.Errorf("encode withheld names: %w", err)
	}
	verdicts, err := encodeJSON(withoutTrace(d.Verdicts))
	if err != nil {
		return fmt.Errorf("encode verdicts: %w", err)
	}
	var key []byte
	if d.Key != "" {
		key = codec.Key(d.Key)
	}
	a.args = []any{
		d.ID, d.Hook, encodeText(d.Key), d.Window.Microseconds(), string(d.OnDuplicate), encodeText(d.Event),
		nullTime(d.ReceivedAt), string(d.Outcome), d.Origin, encodeText(d.Method), encodeText(d.Path), encodeText(d.Query),
		encodeText(d.IP), d.Secret, d.Config, codec.EncodeLists(d.Header), codec.EncodeParams(d.Params), withheld, verdicts,
		len(d.Body), encoding, key, d.ReceivedAt.Add(d.Window).UTC(), body,
	}
	var list jobList
	if !a.decides {
		if list, err = newJobList(a.jobs); err != nil {
			return err
		}
	}
	a.args = append(append(a.args, list.args()...), codec.EncodeTrace(d.Verdicts))
	return nil
}

// withoutTrace are the verdicts as lists show them.
func withoutTrace(verdicts []job.RuleVerdict) []job.RuleVerdict {
	out := slices.Clone(verdicts)
	for i := range out {
		out[i].Match, out[i].Values, out[i].Cut = "", nil, false
	}
	return out
}

// jobList are jobs as one array for each column.
type jobList struct {
	ids, hooks, rules, states, reasons []string
	run, created, finished             []*time.Time
	concurrency, superseded, replays   []string
	nodes, targets                     []string
	keys, bursts                       []*string
}

func newJobList(jobs []job.Job) (l jobList, err error) {
	for i := range jobs {
		j := &jobs[i]
		keys, err := encodeKeys(j.Keys)
		if err != nil {
			return l, err
		}
		l.ids, l.hooks, l.rules = append(l.ids, j.ID), append(l.hooks, j.Hook), append(l.rules, j.Rule)
		l.states, l.reasons = append(l.states, string(j.State)), append(l.reasons, encodeText(j.Reason))
		l.run, l.created, l.finished = append(l.run, timeOrNil(j.RunAt)), append(l.created, timeOrNil(j.CreatedAt)), append(l.finished, timeOrNil(j.FinishedAt))
		l.concurrency = append(l.concurrency, encodeText(j.ConcurrencyKey))
		l.superseded, l.replays = append(l.superseded, j.SupersededBy), append(l.replays, j.ReplayOf)
		l.nodes, l.keys, l.bursts = append(l.nodes, j.Node), append(l.keys, keys), append(l.bursts, optional(j.Burst))
		l.targets = append(l.targets, j.Target)
	}
	return l, nil
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (l jobList) args() []any {
	return []any{
		l.ids, l.hooks, l.rules, l.states, l.reasons, l.run, l.created, l.finished, l.concurrency,
		l.superseded, l.replays, l.nodes, l.keys, l.bursts, l.targets,
	}
}

func (a *accept) statement() (string, []any, string) {
	return acceptStatement, a.args, a.d.Hook + "\x00" + a.d.Key
}

func (a *accept) answer(rows pgx.Rows) (more bool, err error) {
	a.receipt, a.earlier = store.Receipt{Delivery: a.d.ID}, nil
	if !rows.Next() {
		a.receipt.Duplicate = true
		return true, rows.Err()
	}
	var seqs []int64
	if err := rows.Scan(&a.delivery, &seqs); err != nil {
		return false, err
	}
	if a.decides {
		return true, nil
	}
	if len(seqs) != len(a.jobs) {
		return false, fmt.Errorf("%d of %d jobs were stored", len(seqs), len(a.jobs))
	}
	for i, j := range a.jobs {
		j.Seq = seqs[i]
		a.receipt.Jobs = append(a.receipt.Jobs, j)
	}
	return a.d.Held != nil || a.reports, nil
}

// rules implements ruled.
func (a *accept) rules() (rules [][2]string, id string) {
	for i := range a.jobs {
		if a.jobs[i].Controls != nil {
			rules = append(rules, [2]string{a.jobs[i].Hook, a.jobs[i].Rule})
		}
	}
	return rules, ""
}

func (a *accept) finish(ctx context.Context, tx pgx.Tx) error {
	if a.receipt.Duplicate {
		return a.duplicate(ctx, tx)
	}
	if a.d.Held != nil {
		if err := insertHeld(ctx, tx, a.delivery, a.d.Hook, a.d.Held); err != nil {
			return err
		}
	}
	if !a.decides { // the jobs are there
		for i := range a.receipt.Jobs {
			if err := insertReports(ctx, tx, &a.receipt.Jobs[i]); err != nil {
				return err
			}
		}
		return nil
	}
	for i := range a.jobs {
		j := a.jobs[i] // a copy: finish may run again
		earlier, err := arrive(ctx, tx, &j, a.bodySize, a.d.ReceivedAt)
		if err != nil {
			return err
		}
		if earlier != nil {
			a.earlier = append(a.earlier, *earlier)
		}
		if err := insertJob(ctx, tx, a.delivery, &j); err != nil {
			return err
		}
		if err := insertReports(ctx, tx, &j); err != nil {
			return err
		}
		a.receipt.Jobs = append(a.receipt.Jobs, j)
	}
	return nil
}

// arrive lets a new job's controls decide on it, and moves the earlier one that this affects, which
// it returns.
func arrive(ctx context.Context, tx pgx.Tx, j *job.Job, bodySize int, now time.Time) (*job.Job, error) {
	if j.Controls == nil {
		return nil, nil
	}
	l := ledger{ctx: ctx, tx: tx, hook: j.Hook, rule: j.Rule, now: now}
	earlier, err := job.Arrive(j, bodySize, l, now)
	if j.State.Terminal() {
		j.FinishedAt = now
	}
	if err == nil && earlier != nil {
		_, err = tx.Exec(ctx, `UPDATE job SET state = $2, reason = $3, run_at = $4, finished_at = $5, superseded_by = $6
		WHERE seq = $1 AND state = 'scheduled'`, earlier.Seq, string(earlier.State), encodeText(earlier.Reason),
			nullTime(earlier.RunAt), nullTime(earlier.FinishedAt), earlier.SupersededBy)
	}
	if err != nil {
		return nil, fmt.Errorf("decide on job of rule %q: %w", j.Rule, err)
	}
	return earlier, nil
}

// insertJob stores one job and sets its Seq.
func insertJob(ctx context.Context, tx pgx.Tx, delivery int64, j *job.Job) error {
	keys, err := encodeKeys(j.Keys)
	if err != nil {
		return err
	}
	return tx.QueryRow(ctx, `INSERT INTO job (`+newJobColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, 0, 0, $7, $8, $9, '', $10, $11, $12, $13, $14, $15, '', $16) RETURNING seq`,
		j.ID, delivery, j.Hook, j.Rule, string(j.State), encodeText(j.Reason), nullTime(j.RunAt), nullTime(j.CreatedAt),
		nullTime(j.FinishedAt), encodeText(j.ConcurrencyKey), j.SupersededBy, j.ReplayOf, j.Node, keys, optional(j.Burst), j.Target).
		Scan(&j.Seq)
}

// duplicate fills the receipt of a delivery whose key is taken.
func (a *accept) duplicate(ctx context.Context, tx pgx.Tx) error {
	err := tx.QueryRow(ctx, "SELECT delivery::text FROM dedupe WHERE hook = $1 AND key = $2", a.d.Hook, codec.Key(a.d.Key)).
		Scan(&a.receipt.Delivery)
	if err != nil || a.d.OnDuplicate != job.RerunFailed {
		return err
	}
	return a.rerun(ctx, tx)
}

// rerun queues the jobs of the first delivery again that ended badly.
func (a *accept) rerun(ctx context.Context, tx pgx.Tx) error {
	jobs, err := findJobs(ctx, tx, "WHERE d.id = $1 AND "+endedBadly+" ORDER BY j.seq FOR UPDATE OF j", a.receipt.Delivery)
	if err != nil {
		return err
	}
	for i := range jobs {
		j := &jobs[i]
		const reason = "redelivered"
		if _, err := tx.Exec(ctx, "UPDATE job SET "+queuedAgain+" WHERE seq = $3", reason, nullTime(a.d.ReceivedAt), j.Seq); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, reopenReports, j.Seq); err != nil {
			return err
		}
		queueAgain(j, reason, stored(a.d.ReceivedAt))
	}
	a.receipt.Jobs = jobs
	return nil
}

// told is what became of jobs: first those that make way, so that nobody meets both.
func (a *accept) told() []job.Job {
	if len(a.earlier) == 0 {
		return a.receipt.Jobs
	}
	return append(a.earlier, a.receipt.Jobs...)
}
