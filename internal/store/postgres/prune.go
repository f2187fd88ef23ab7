package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// pruneRows is how many deliveries, keys and records one slice deletes at most, so that no
// delivery waits long for it.
const pruneRows = 200

// Prune deletes one slice of what retention no longer keeps, oldest first, and of expired keys.
// It waits until no other write does.
func (s *Store) Prune(ctx context.Context, r store.Retention, now time.Time) (store.Pruned, error) {
	old, err := s.prunable(ctx, r, now)
	if err != nil {
		return store.Pruned{}, fmt.Errorf("prune: %w", err)
	}
	op := &prune{deliveries: old, audit: r.Audit, now: now}
	if err := s.writer.doLow(ctx, op); err != nil {
		return store.Pruned{}, fmt.Errorf("prune: %w", err)
	}
	return op.pruned, nil
}

// prune deletes what a reader found, as far as it still may be.
type prune struct {
	deliveries []int64
	audit      int // entries of the audit log to keep
	now        time.Time

	pruned store.Pruned
}

func (o *prune) statement() (string, []any, string) { return "", nil, "" }
func (o *prune) answer(pgx.Rows) (bool, error)      { return true, nil }
func (*prune) told() []job.Job                      { return nil }

// keptDelivery is a condition on delivery d: one of its jobs has not ended, or one whose burst
// still needs its payload.
var keptDelivery = `EXISTS (SELECT FROM job j WHERE j.delivery = d.seq AND (` + isLive + `
	OR j.burst IS NOT NULL AND EXISTS (SELECT FROM job w WHERE w.burst = j.burst AND ` + isLive + `)))`

// isHeld is a delivery that waits for a taker: it goes when it is too old, not when there are too
// many.
const isHeld = `EXISTS (SELECT FROM held h WHERE h.delivery = d.seq AND h.state = 'waiting')`

func (o *prune) finish(ctx context.Context, tx pgx.Tx) error {
	// A job may have been queued again since the reader looked: locked, they stay as they are.
	for _, sql := range []string{"SELECT FROM delivery WHERE seq = ANY($1) ORDER BY seq FOR UPDATE", "SELECT FROM job WHERE delivery = ANY($1) ORDER BY seq FOR UPDATE"} {
		if _, err := tx.Exec(ctx, sql, o.deliveries); err != nil {
			return err
		}
	}
	rows, err := tx.Query(ctx, "SELECT d.seq FROM delivery d WHERE d.seq = ANY($1) AND NOT "+keptDelivery, o.deliveries)
	if err != nil {
		return err
	}
	seqs, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	o.pruned = store.Pruned{} // finish may run again
	if err := o.delete(ctx, tx, seqs); err != nil {
		return err
	}
	audited, err := pruneAudit(ctx, tx, o.audit)
	if err != nil {
		return err
	}
	o.pruned.More = len(seqs) >= pruneRows || audited >= pruneRows
	for _, sql := range []string{
		`DELETE FROM dedupe WHERE (hook, key) IN (SELECT hook, key FROM dedupe WHERE expires_at <= $1
			ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)`,
		`DELETE FROM control WHERE (hook, rule, control, name) IN (SELECT hook, rule, control, name FROM control
			WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)`,
	} {
		tag, err := tx.Exec(ctx, sql, nullTime(o.now), pruneRows)
		if err != nil {
			return err
		}
		o.pruned.More = o.pruned.More || tag.RowsAffected() >= pruneRows
	}
	return nil
}

// delete deletes deliveries with what belongs to them, and notes which held ones nobody had taken.
func (o *prune) delete(ctx context.Context, tx pgx.Tx, seqs []int64) error {
	if len(seqs) == 0 {
		return nil
	}
	rows, err := tx.Query(ctx, "DELETE FROM held WHERE delivery = ANY($1) RETURNING hook, state", seqs)
	if err != nil {
		return err
	}
	var hook string
	var state job.HeldState
	if _, err := pgx.ForEachRow(rows, []any{&hook, &state}, func() error { o.pruned.Went(hook, state); return nil }); err != nil {
		return err
	}
	for _, sql := range []string{
		"DELETE FROM attempt WHERE job IN (SELECT seq FROM job WHERE delivery = ANY($1))",
		"DELETE FROM follow_up WHERE job IN (SELECT seq FROM job WHERE delivery = ANY($1))",
		"DELETE FROM report WHERE job IN (SELECT seq FROM job WHERE delivery = ANY($1))",
		"DELETE FROM ticket WHERE job IN (SELECT seq FROM job WHERE delivery = ANY($1))",
		"DELETE FROM job WHERE delivery = ANY($1)",
		"DELETE FROM delivery WHERE seq = ANY($1)",
	} {
		if _, err := tx.Exec(ctx, sql, seqs); err != nil {
			return err
		}
	}
	return nil
}

// prunable returns deliveries that retention no longer keeps and that have no live job: those
// that are too old, and then, oldest first, as many as there are too many.
func (r *reads) prunable(ctx context.Context, keep store.Retention, now time.Time) (seqs []int64, err error) {
	if keep.For > 0 {
		seqs, err = r.numbers(ctx, `SELECT d.seq FROM delivery d WHERE d.received_at < $1 AND NOT `+keptDelivery+`
			ORDER BY d.received_at, d.seq LIMIT $2`, now.Add(-keep.For).UTC(), pruneRows)
		if err != nil || len(seqs) >= pruneRows {
			return seqs, err
		}
	}
	if keep.Deliveries > 0 {
		excess, err := r.numbers(ctx, "SELECT count(*) - $1 FROM delivery", keep.Deliveries)
		if err != nil || excess[0] <= 0 {
			return seqs, err
		}
		oldest, err := r.numbers(ctx, `SELECT d.seq FROM delivery d WHERE NOT `+keptDelivery+` AND NOT `+isHeld+` ORDER BY d.seq LIMIT $1`,
			min(excess[0], pruneRows))
		if err != nil {
			return nil, err
		}
		seqs = slices.Compact(slices.Sorted(slices.Values(append(seqs, oldest...))))
		seqs = seqs[:min(len(seqs), pruneRows)]
	}
	return seqs, nil
}

// numbers returns a single column of numbers.
func (r *reads) numbers(ctx context.Context, query string, args ...any) ([]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}
