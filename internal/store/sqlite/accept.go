package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"net/http"
	"slices"

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
	id       []byte
	d        job.Delivery // without body and header
	key      deliveryKey
	row      []driver.Value // of the delivery, from id on
	encoding int
	body     []byte
	jobs     []job.Job
	jobIDs   [][]byte
	decided  []job.Job // jobs with what apply decided; jobs themselves when there is nothing to decide
	size     int       // bytes, roughly
	bodySize int       // of the body as it arrived

	receipt store.Receipt
	earlier []job.Job // that this delivery moved
}

func newAccept(d *job.Delivery, jobs []job.Job) (*accept, error) {
	id, err := encodeID(d.ID)
	if err != nil {
		return nil, err
	}
	if d.Outcome != job.Accepted && d.Outcome != job.Ignored {
		return nil, fmt.Errorf("outcome %q cannot be stored", d.Outcome)
	}
	a := &accept{id: id, d: *d, bodySize: len(d.Body)}
	a.d.Header, a.d.Body = nil, nil
	if d.Key != "" {
		a.key = newDeliveryKey(d.Hook, d.Key)
	}
	if err := a.encodeRow(d); err != nil {
		return nil, err
	}
	a.encoding, a.body = codec.EncodeShared(d.Body)
	a.size = 1024 + len(a.body) + 512*len(jobs)
	return a, a.addJobs(jobs)
}

func (a *accept) encodeRow(d *job.Delivery) error {
	withheld, err := encodeJSON(d.Withheld)
	if err != nil {
		return fmt.Errorf("encode withheld names: %w", err)
	}
	verdicts, err := encodeJSON(withoutTrace(d.Verdicts))
	if err != nil {
		return fmt.Errorf("encode verdicts: %w", err)
	}
	a.row = append(make([]driver.Value, 0, 21),
		a.id, d.Hook, d.Key, d.Window.Microseconds(), string(d.OnDuplicate), d.Event,
		encodeTime(d.ReceivedAt), string(d.Outcome), d.Path, d.IP,
		int64(d.Secret), d.Config, codec.EncodeLists(d.Header), codec.EncodeParams(d.Params), withheld, verdicts, int64(len(d.Body)),
		codec.EncodeTrace(d.Verdicts),
	)
	if !isPost(d) {
		a.row = append(a.row, d.Origin, d.Method, d.Query)
	}
	return nil
}

// isPost reports whether a delivery has of origin, method and query what insertPost stores.
func isPost(d *job.Delivery) bool {
	return d.Origin == job.OriginRequest && d.Method == http.MethodPost && d.Query == ""
}

// withoutTrace are the verdicts as lists show them.
func withoutTrace(verdicts []job.RuleVerdict) []job.RuleVerdict {
	out := slices.Clone(verdicts)
	for i := range out {
		out[i].Match, out[i].Values, out[i].Cut = "", nil, false
	}
	return out
}

func (a *accept) addJobs(jobs []job.Job) error {
	a.jobs = slices.Clone(jobs)
	a.decided = a.jobs
	if slices.ContainsFunc(jobs, func(j job.Job) bool { return j.Controls != nil }) {
		a.decided = make([]job.Job, len(jobs)) // apply may run again, and then begins with jobs
	}
	a.jobIDs = make([][]byte, len(jobs))
	for i := range a.jobs {
		j := &a.jobs[i]
		var err error
		if a.jobIDs[i], err = encodeID(j.ID); err != nil {
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
	}
	return nil
}

func (a *accept) apply(c *connection, now *jumpGuard) error {
	a.receipt, a.earlier = store.Receipt{Delivery: a.d.ID}, nil
	if a.d.Key != "" {
		taken, err := a.takeKey(c, now)
		if err != nil || taken {
			return err
		}
	}
	c.deliverySeq++
	insert := &c.insertDelivery
	if isPost(&a.d) {
		insert = &c.insertPost
	}
	if err := insert.exec(c.deliverySeq, a.row...); err != nil {
		return err
	}
	if len(a.body) > 0 {
		if err := c.insertBody.exec(c.deliverySeq, int64(a.encoding), a.body); err != nil {
			return err
		}
	}
	if h := a.d.Held; h != nil {
		if _, err := c.insertHeld.Exec(c.deliverySeq, a.d.Hook, encodeTime(h.At), h.Scheme, h.Host, h.RawPath, h.Sealed); err != nil {
			return err
		}
	}
	for i := range a.jobs {
		j := &a.decided[i]
		*j = a.jobs[i]
		c.jobSeq++
		j.Seq = c.jobSeq
		if err := a.arrive(c, j, now); err != nil {
			return fmt.Errorf("decide on job of rule %q: %w", j.Rule, err)
		}
		if err := insertJobOf(c, c.deliverySeq, j, a.jobIDs[i]); err != nil {
			return err
		}
		if err := insertReports(c, j); err != nil {
			return err
		}
	}
	a.receipt.Jobs = a.decided
	return nil
}

// arrive lets a new job's controls decide on it, and moves the earlier one that this affects.
func (a *accept) arrive(c *connection, j *job.Job, now *jumpGuard) error {
	if j.Controls == nil {
		return nil
	}
	l := ledger{c: c, hook: j.Hook, rule: j.Rule, now: now.steady(a.d.ReceivedAt), moved: now.total}
	earlier, err := job.Arrive(j, a.bodySize, l, a.d.ReceivedAt)
	if j.State.Terminal() {
		j.FinishedAt = a.d.ReceivedAt
	}
	if err != nil || earlier == nil {
		return err
	}
	_, err = c.moveEarlier.Exec(string(earlier.State), earlier.Reason, encodeTime(earlier.RunAt),
		encodeTime(earlier.FinishedAt), earlier.SupersededBy, earlier.Seq)
	a.earlier = append(a.earlier, *earlier)
	return err
}

func insertJobOf(c *connection, delivery int64, j *job.Job, id []byte) error {
	run, created := encodeTime(j.RunAt), encodeTime(j.CreatedAt)
	if isNew(j) {
		return c.insertNewJob.exec(j.Seq, id, delivery, j.Hook, j.Rule, run, created, j.ConcurrencyKey)
	}
	keys, err := encodeKeys(j.Keys)
	if err != nil {
		return err
	}
	burst, err := encodeBurst(j.Burst)
	if err != nil {
		return err
	}
	return c.insertJob.exec(j.Seq, id, delivery, j.Hook, j.Rule, run, created, j.ConcurrencyKey,
		string(j.State), j.Reason, int64(j.Attempt), int64(j.Since), encodeTime(j.StartedAt), encodeTime(j.FinishedAt),
		nullable(j.ExitCode), j.Error, j.SupersededBy, j.ReplayOf, j.Node, keys, burst, j.Target)
}

// isNew reports whether a job has nothing but what insertNewJob stores.
func isNew(j *job.Job) bool {
	return *j == job.Job{
		Seq: j.Seq, ID: j.ID, Delivery: j.Delivery, Hook: j.Hook, Rule: j.Rule, State: job.Queued,
		RunAt: j.RunAt, CreatedAt: j.CreatedAt, ConcurrencyKey: j.ConcurrencyKey, Controls: j.Controls,
	}
}

func nullable(v *int) any {
	if v == nil {
		return nil
	}
	return int64(*v)
}

// takeKey claims the key, or fills the receipt of a duplicate.
func (a *accept) takeKey(c *connection, now *jumpGuard) (taken bool, err error) {
	at := now.steady(a.d.ReceivedAt)
	end := encodeTime(at.Add(a.d.Window))
	holder, err := c.holder(&a.key)
	switch {
	case err != nil:
		return false, err
	case holder.seq == 0:
		return false, c.hold(a.key, a.id, end)
	case holder.end <= encodeTime(at):
		_, err := c.renewKey.Exec(a.id, end, holder.seq)
		return false, err
	}
	a.receipt.Duplicate = true
	if a.receipt.Delivery, err = decodeID(holder.delivery); err != nil {
		return false, err
	}
	if a.d.OnDuplicate == job.RerunFailed {
		err = a.rerun(c, holder.delivery)
	}
	return true, err
}

// rerun queues the jobs of the first delivery again that ended badly.
func (a *accept) rerun(c *connection, delivery []byte) error {
	if bad, err := c.badJob.first(delivery); err != nil || bad == nil {
		return err
	}
	rows, err := c.jobsOfDelivery.Query(delivery)
	if err != nil {
		return err
	}
	jobs, err := scanJobs(rows)
	if err != nil {
		return err
	}
	for i := range jobs {
		j := &jobs[i]
		const reason = "redelivered"
		if _, err := c.again.Exec(reason, encodeTime(a.d.ReceivedAt), j.Seq); err != nil {
			return err
		}
		id, err := encodeID(j.ID)
		if err != nil {
			return err
		}
		if _, err := c.reopenReports.Exec(id); err != nil {
			return err
		}
		queueAgain(j, reason, decodeTime(encodeTime(a.d.ReceivedAt)))
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

// ofAccepts are the statements that accepting a delivery may take beside its insertion.
func (s *statements) ofAccepts() []statement {
	return []statement{
		{&s.renewKey, "UPDATE dedupe_key SET delivery = ?, expires_at = ? WHERE seq = ?"},
		{&s.jobsOfDelivery, jobsWithDelivery + "WHERE d.id = ? AND " + endedBadly + " ORDER BY j.seq"},
		{&s.again, "UPDATE job SET " + queuedAgain + " WHERE seq = ?"},
		{&s.moveEarlier, `UPDATE job SET state = ?, reason = ?, run_at = ?, finished_at = ?, superseded_by = ?
			WHERE seq = ? AND state = 'scheduled'`},
	}
}
