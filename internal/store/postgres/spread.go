package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// A spread are the jobs of one delivery and rule that were made together, one for each node; see
// job.Spread. They have the same created_at, which tells them from those of a replay: who asks for
// that means the nodes that are up then, or only some of them, and nobody catches up with it.

// Lack is a node that a spread has no job for.
type Lack struct {
	Job  job.Job // one of the spread
	Node string
}

// Lacking returns what a rule's spreads since a time have no job for, of these nodes.
func (r *reads) Lacking(ctx context.Context, hook, rule string, nodes []string, since time.Time, most int) ([]Lack, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.pool.Query(ctx, `SELECT n.name, `+jobColumns+` FROM (
			SELECT DISTINCT ON (o.delivery, o.created_at) o.seq FROM job o
			WHERE o.hook = $1 AND o.rule = $2 AND o.target <> '' AND o.created_at > $3
			AND NOT EXISTS (SELECT FROM job e WHERE e.delivery = o.delivery AND e.hook = o.hook AND e.rule = o.rule
				AND e.target <> '' AND e.created_at < o.created_at)
			ORDER BY o.delivery, o.created_at, o.seq
		) s JOIN job j ON j.seq = s.seq JOIN delivery d ON d.seq = j.delivery CROSS JOIN unnest($4::text[]) AS n (name)
		WHERE NOT EXISTS (SELECT FROM job m WHERE m.delivery = j.delivery AND m.hook = j.hook AND m.rule = j.rule
			AND m.created_at = j.created_at AND m.target = n.name)
		ORDER BY j.seq, n.name LIMIT $5`, hook, rule, nullTime(since), nodes, most)
	if err != nil {
		return nil, fmt.Errorf("read what nodes lack: %w", err)
	}
	lacks, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l Lack, err error) {
		l.Job, err = scanJob(row, &l.Node)
		return l, err
	})
	if err != nil {
		return nil, fmt.Errorf("read what nodes lack: %w", err)
	}
	return lacks, nil
}

// Spread stores the job that a node lacks, unless it has it by now, and ends the one that waited
// for the first node to come. Controls decide on it as on one that has just arrived.
func (l *Led) Spread(ctx context.Context, lack Lack, controls *job.Controls, now time.Time) error {
	j := lack.Job.For(lack.Node)
	j = job.Job{
		ID: job.NewID(), Delivery: j.Delivery, Hook: j.Hook, Rule: j.Rule, State: job.Queued, RunAt: now, CreatedAt: j.CreatedAt,
		ConcurrencyKey: j.ConcurrencyKey, Keys: j.Keys, ReplayOf: j.ReplayOf, Target: j.Target, Controls: controls,
		Reason: "the node came after the delivery",
	}
	if err := l.do(ctx, &spread{job: j, now: now}); err != nil {
		return fmt.Errorf("give node %s its job: %w", lack.Node, err)
	}
	return nil
}

type spread struct {
	job job.Job
	now time.Time

	moved []job.Job
}

func (*spread) statement() (string, []any, string) { return "", nil, "" }
func (*spread) answer(pgx.Rows) (bool, error)      { return true, nil }
func (o *spread) told() []job.Job                  { return o.moved }

// rules implements ruled.
func (o *spread) rules() ([][2]string, string) {
	if o.job.Controls == nil {
		return nil, ""
	}
	return [][2]string{{o.job.Hook, o.job.Rule}}, ""
}

func (o *spread) finish(ctx context.Context, tx pgx.Tx) error {
	o.moved = nil
	j := o.job // a copy: finish may run again
	var delivery int64
	var size int
	err := tx.QueryRow(ctx, "SELECT seq, size FROM delivery WHERE id = $1 FOR NO KEY UPDATE", j.Delivery).Scan(&delivery, &size)
	if isNoRows(err) {
		return fmt.Errorf("delivery %s: %w", j.Delivery, store.ErrNotFound)
	}
	if err != nil {
		return err
	}
	const mine = "j.delivery = $1 AND j.hook = $2 AND j.rule = $3 AND j.created_at = $4"
	var has bool
	err = tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM job j WHERE "+mine+" AND j.target = $5)", delivery, j.Hook, j.Rule, nullTime(j.CreatedAt), j.Target).Scan(&has)
	if err != nil || has {
		return err
	}
	earlier, err := arrive(ctx, tx, &j, size, o.now)
	if err != nil {
		return err
	}
	if err := insertJob(ctx, tx, delivery, &j); err != nil {
		return err
	}
	waited, err := findJobs(ctx, tx, "WHERE "+mine+" AND j.target = '"+job.Somewhere+"' AND "+waits+" FOR UPDATE OF j",
		delivery, j.Hook, j.Rule, nullTime(j.CreatedAt))
	if err != nil {
		return err
	}
	for i := range waited {
		w := &waited[i]
		w.State, w.Reason, w.FinishedAt, w.SupersededBy = job.Superseded, "node "+j.Target+" has come", o.now, j.ID
		if _, err := tx.Exec(ctx, "UPDATE job SET state = $2, reason = $3, finished_at = $4, superseded_by = $5 WHERE seq = $1",
			w.Seq, string(w.State), w.Reason, nullTime(w.FinishedAt), w.SupersededBy); err != nil {
			return err
		}
	}
	if earlier != nil {
		o.moved = append(o.moved, *earlier)
	}
	o.moved = append(append(o.moved, waited...), j)
	return nil
}
