package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// Lead is the state of the one row that says who leads.
type Lead struct{ Term, Beat, Holder int64 } // Holder 0 for none

// ErrDeposed: another node leads by now; nothing was written.
var ErrDeposed = errors.New("another node leads")

// Leader returns who leads.
func (r *reads) Leader(ctx context.Context) (l Lead, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err = r.pool.QueryRow(ctx, "SELECT term, beat, coalesce(holder, 0) FROM leader").Scan(&l.Term, &l.Beat, &l.Holder)
	if err != nil {
		return l, fmt.Errorf("read leader: %w", err)
	}
	return l, nil
}

// Claim makes a node the leader unless something has changed since before was read. It returns the
// new term.
func (s *Store) Claim(ctx context.Context, before Lead, node int64) (term int64, err error) {
	err = pgx.BeginFunc(ctx, s.side, func(tx pgx.Tx) error {
		var now Lead
		// For update: it waits for what the leader of before is writing.
		err := tx.QueryRow(ctx, "SELECT term, beat, coalesce(holder, 0) FROM leader FOR UPDATE").Scan(&now.Term, &now.Beat, &now.Holder)
		if err == nil && now != before {
			err = ErrDeposed
		}
		if err != nil {
			return err
		}
		return tx.QueryRow(ctx, `UPDATE leader SET term = term + 1, beat = 0, holder = n.id FROM node n
			WHERE n.id = $1 AND n.state = 'up' RETURNING term`, node).Scan(&term)
	})
	if isNoRows(err) {
		err = ErrDeposed
	}
	if err != nil {
		return 0, fmt.Errorf("claim the lead: %w", err)
	}
	return term, nil
}

// KeepLead says that the leader of a term lives; ErrDeposed when it leads no more.
func (s *Store) KeepLead(ctx context.Context, term int64) error {
	return s.lead(ctx, "UPDATE leader SET beat = beat + 1 WHERE term = $1", term)
}

// YieldLead ends a term at once.
func (s *Store) YieldLead(ctx context.Context, term int64) error {
	return s.lead(ctx, "UPDATE leader SET holder = NULL WHERE term = $1", term)
}

func (s *Store) lead(ctx context.Context, sql string, term int64) error {
	tag, err := s.side.Exec(ctx, sql, term)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrDeposed
	}
	if err != nil {
		return fmt.Errorf("keep the lead: %w", err)
	}
	return nil
}

// Leading runs a write of the leader of a term: it does nothing but return ErrDeposed when the
// term is over.
func (s *Store) Leading(term int64) *Led { return &Led{Store: s, term: term} }

// Led is a store whose Finish and Settle are those of the leader of a term.
type Led struct {
	*Store
	term int64
}

// Finish implements store.Store for the attempts of nodes that were taken over.
func (l *Led) Finish(ctx context.Context, e store.Ended) error {
	op, err := newFinish(e)
	if err == nil {
		err = l.do(ctx, op)
	}
	if err != nil {
		return fmt.Errorf("finish attempt %d: %w", e.Attempt, err)
	}
	return nil
}

// Settle implements store.Store for jobs that the leader decided on.
func (l *Led) Settle(ctx context.Context, m store.Settle) error {
	id, err := knownID("job", m.Job)
	if err == nil {
		err = checkNext(m.Next)
	}
	if err == nil {
		err = l.do(ctx, &settle{move: move{id: id}, m: m})
	}
	if err != nil {
		return fmt.Errorf("settle as %s: %w", m.Next, err)
	}
	return nil
}

func (l *Led) do(ctx context.Context, op operation) error {
	return l.writer.do(ctx, &led{term: l.term, op: op}, 256)
}

// led is an operation of the leader.
type led struct {
	term int64
	op   operation
}

func (*led) statement() (string, []any, string) { return "", nil, "" }

func (*led) answer(pgx.Rows) (bool, error) { return true, nil }

func (o *led) told() []job.Job { return o.op.told() }

func (o *led) rules() ([][2]string, string) {
	if r, ok := o.op.(ruled); ok {
		return r.rules()
	}
	return nil, ""
}

func (o *led) finish(ctx context.Context, tx pgx.Tx) error {
	var one int
	err := tx.QueryRow(ctx, "SELECT 1 FROM leader WHERE term = $1 FOR KEY SHARE", o.term).Scan(&one)
	if isNoRows(err) {
		return fmt.Errorf("%w: %w", store.ErrFenced, ErrDeposed)
	}
	if err != nil {
		return err
	}
	sql, args, _ := o.op.statement()
	more := sql == ""
	if !more {
		rows, err := tx.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		more, err = o.op.answer(rows)
		rows.Close()
		if err = errors.Join(err, rows.Err()); err != nil {
			return err
		}
	}
	if !more {
		return nil
	}
	return o.op.finish(ctx, tx)
}

// TakeOver ends the life of a node: with beat, if that is still its last; its tickets are gone
// then. It reports false when the node has beaten meanwhile.
func (s *Store) TakeOver(ctx context.Context, term, node, beat int64) (bool, error) {
	op := &number{fn: func(ctx context.Context, tx pgx.Tx) (did int64, err error) {
		err = tx.QueryRow(ctx, "SELECT 1 FROM leader WHERE term = $1 FOR KEY SHARE", term).Scan(&did)
		if isNoRows(err) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		// For update: it waits for an assignment to the node, and none follows.
		err = tx.QueryRow(ctx, "SELECT 1 FROM node WHERE id = $1 AND (beat = $2 OR state NOT IN ('up', 'draining')) FOR UPDATE", node, beat).Scan(&did)
		if isNoRows(err) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		if _, err := tx.Exec(ctx, "UPDATE node SET state = 'silent' WHERE id = $1 AND state IN ('up', 'draining')", node); err != nil {
			return 0, err
		}
		_, err = tx.Exec(ctx, "DELETE FROM ticket WHERE node = $1", node)
		return 1, err
	}}
	if err := s.writer.do(ctx, op, 256); err != nil {
		return false, fmt.Errorf("take over node: %w", err)
	}
	return op.result == 1, nil
}
