package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tenterhook/tenterhook/internal/crashpoint"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// pruneRows is how many rows one slice deletes at most, so that no delivery waits long for it.
// A delivery with its jobs and attempts is not split.
const pruneRows = 200

// Prune deletes one slice of what retention no longer keeps, oldest first, and of expired keys.
// It waits until no other write does. A round in which the wall clock turns out to have been
// set, by more than an hour, is skipped: it must not decide what is old.
func (s *Store) Prune(ctx context.Context, r store.Retention, now time.Time) (store.Pruned, error) {
	s.pruning.Lock()
	defer s.pruning.Unlock()
	if moved := s.jumps.look(); moved != 0 {
		s.log.Warn("pruning skipped: the clock was set", "by", moved.Round(time.Second))
		return store.Pruned{}, nil
	}
	old, err := s.prunable(ctx, r, now)
	if err != nil {
		return store.Pruned{}, fmt.Errorf("prune: %w", err)
	}
	if len(old) < pruneRows && r.Deliveries > 0 {
		tooMany, err := s.tooMany(ctx, r.Deliveries)
		if err != nil {
			return store.Pruned{}, fmt.Errorf("prune: %w", err)
		}
		old = slices.Compact(slices.Sorted(slices.Values(append(old, tooMany...))))
	}
	keys, err := s.expired(ctx, now.Add(-s.jumps.total))
	if err != nil {
		return store.Pruned{}, fmt.Errorf("prune: %w", err)
	}
	records, err := s.expiredControls(ctx, now.Add(-s.jumps.total))
	if err != nil {
		return store.Pruned{}, fmt.Errorf("prune: %w", err)
	}
	audited, err := s.auditExcess(ctx, r.Audit)
	if err != nil {
		return store.Pruned{}, fmt.Errorf("prune: %w", err)
	}
	if len(old)+len(records) == 0 && keys == nil && audited == 0 {
		s.round = pruneRound{}
		return store.Pruned{}, nil
	}
	op := &prune{deliveries: old, keys: keys, records: records, audited: audited, now: encodeTime(now.Add(-s.jumps.total))}
	if err := s.writer.doLow(ctx, op); err != nil {
		s.round = pruneRound{}
		return store.Pruned{}, fmt.Errorf("prune: %w", err)
	}
	if op.rows < pruneRows && keys == nil {
		s.round = pruneRound{}
		return op.pruned, nil
	}
	s.round.excess -= op.removed
	s.round.after = max(s.round.after, op.reached)
	op.pruned.More = true
	return op.pruned, nil
}

// pruneRound is how far the slices of one round have come. Counting all deliveries for each
// slice, and passing over those with live jobs again, would cost more than the deletes.
type pruneRound struct {
	excess int64 // deliveries beyond what retention keeps, 0 when they must be counted
	after  int64 // the last delivery that was looked at
}

// prune deletes what a reader found, as far as it still may be.
type prune struct {
	deliveries []int64
	keys       *expiredKeys // nil for none
	records    []recordKey
	audited    int64 // the last entry of the audit log that goes, 0 for none
	now        int64

	rows    int
	emptied bool  // the run of keys
	removed int64 // deliveries
	reached int64 // the last delivery that was dealt with
	pruned  store.Pruned
}

func (*prune) told() []job.Job { return nil }

func (o *prune) apply(c *connection, _ *jumpGuard) error {
	o.rows, o.emptied, o.pruned = 0, false, store.Pruned{}
	if err := o.forgetAudit(c, o.audited); err != nil {
		return err
	}
	for _, seq := range o.deliveries {
		if o.rows >= pruneRows {
			return nil
		}
		if err := o.delivery(c, seq); err != nil {
			return err
		}
		o.reached = seq
	}
	if o.keys != nil && o.rows < pruneRows {
		if err := o.expire(c, o.keys); err != nil {
			return err
		}
	}
	for _, k := range o.records {
		if o.rows >= pruneRows {
			return nil
		}
		if err := o.delete(c.forget, k.hook, k.rule, k.control, k.key, o.now); err != nil {
			return err
		}
	}
	return nil
}

func (o *prune) delivery(c *connection, seq int64) error {
	// A job may have been queued again since the reader looked.
	var live int
	if err := c.liveJobs.QueryRow(seq).Scan(&live); err != nil || live > 0 {
		return err
	}
	for _, stmt := range []*sql.Stmt{c.deleteAttempts, c.deleteFollowUps, c.deleteReports, c.deleteJobs, c.deleteBody} {
		if err := o.delete(stmt, seq); err != nil {
			return err
		}
	}
	if err := o.held(c, seq); err != nil {
		return err
	}
	o.removed++
	return o.delete(c.deleteDelivery, seq)
}

// held deletes what a held delivery has beside others, and notes when nobody had taken it.
func (o *prune) held(c *connection, seq int64) error {
	var hook string
	var state job.HeldState
	err := c.deleteHeld.QueryRow(seq).Scan(&hook, &state)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil {
		o.rows++
		o.pruned.Went(hook, state)
	}
	return err
}

func (o *prune) delete(stmt *sql.Stmt, args ...any) error {
	res, err := stmt.Exec(args...)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	o.rows += int(n)
	crashpoint.Reach(crashpoint.MidPurge)
	return err
}

// prunable returns deliveries that are older than retention keeps them and that have no live
// job, oldest first.
func (r *reads) prunable(ctx context.Context, keep store.Retention, now time.Time) (seqs []int64, err error) {
	if keep.For > 0 {
		seqs, err = r.column(ctx, `SELECT d.seq FROM delivery d WHERE d.received_at < ? AND `+noLiveJob+`
			ORDER BY d.received_at, d.seq LIMIT ?`, encodeTime(now.Add(-keep.For)), pruneRows)
		if err != nil || len(seqs) >= pruneRows {
			return seqs, err
		}
	}
	return seqs, nil
}

// tooMany returns, oldest first, deliveries beyond the number that retention keeps and that have
// no live job. s.pruning is held.
func (s *Store) tooMany(ctx context.Context, keep int) (seqs []int64, err error) {
	if s.round.excess <= 0 {
		s.round = pruneRound{}
		// No more than this, whatever was deleted in between; it needs no count.
		span, err := s.column(ctx, "SELECT coalesce((SELECT max(seq) FROM delivery) - (SELECT min(seq) FROM delivery) + 1, 0)")
		if err != nil || span[0] <= int64(keep) {
			return nil, err
		}
		excess, err := s.column(ctx, "SELECT count(*) - ? FROM delivery", keep)
		if err != nil || excess[0] <= 0 {
			return nil, err
		}
		s.round.excess = excess[0]
	}
	return s.column(ctx, "SELECT d.seq FROM delivery d WHERE d.seq > ? AND "+noLiveJob+" AND NOT "+isHeld+" ORDER BY d.seq LIMIT ?",
		s.round.after, min(s.round.excess, pruneRows))
}

var noLiveJob = "NOT EXISTS (SELECT 1 FROM job j WHERE j.delivery = d.seq AND " + isNeeded + ")"

// isHeld is a delivery that waits for a taker: it goes when it is too old, not when there are too
// many.
const isHeld = "EXISTS (SELECT 1 FROM held h WHERE h.delivery = d.seq AND h.state = 'waiting')"

// column returns a single column of numbers.
func (r *reads) column(ctx context.Context, query string, args ...any) ([]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []int64
	for rows.Next() {
		var v int64
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// ofRetention are the statements that delete a delivery with all that is its own.
func (s *statements) ofRetention() []statement {
	return []statement{
		{&s.liveJobs, "SELECT count(*) FROM job j WHERE delivery = ? AND " + isNeeded},
		{&s.deleteAttempts, "DELETE FROM attempt WHERE job IN (SELECT seq FROM job WHERE delivery = ?)"},
		{&s.deleteJobs, "DELETE FROM job WHERE delivery = ?"},
		{&s.deleteBody, "DELETE FROM body WHERE delivery = ?"},
		{&s.deleteDelivery, "DELETE FROM delivery WHERE seq = ?"},
	}
}
