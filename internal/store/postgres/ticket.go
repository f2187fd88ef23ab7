package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// Ticket is a job that was given to a node.
type Ticket struct {
	ID        int64
	Node      int64
	Cancel    string // why a person ends it
	Overtaken string // the job it has to make room for
	Job       job.Job
}

// Assign gives a job that waits, or whose follow-ups are to go on, to a node. It reports false
// when the job or the node is no longer what the leader thought. It is ErrDeposed when the term is
// over. The leader and the node are locked against a change, so that none is missed.
func (s *Store) Assign(ctx context.Context, term int64, id string, node int64) (bool, error) {
	op := &assign{term: term, id: id, node: node}
	if err := s.writer.do(ctx, op, 256); err != nil {
		return false, fmt.Errorf("assign job: %w", err)
	}
	if op.deposed {
		return false, ErrDeposed
	}
	return op.did, nil
}

type assign struct {
	none
	term, node int64
	id         string

	deposed, did bool
}

var assignStatement = `WITH l AS (SELECT term FROM leader WHERE term = $1 FOR KEY SHARE),
	n AS (SELECT n.id FROM node n, l WHERE n.id = $3 AND n.state IN ('up', 'draining') FOR KEY SHARE OF n),
	t AS (INSERT INTO ticket (job, node) SELECT j.seq, n.id FROM job j, n
		WHERE j.id = $2 AND (` + waits + ` OR state = 'running' AND ending <> '') ON CONFLICT (job) DO NOTHING RETURNING 1)
	SELECT (SELECT count(*) FROM l), (SELECT count(*) FROM t)`

func (o *assign) statement() (string, []any, string) {
	return assignStatement, []any{o.term, o.id, o.node}, o.id
}

func (o *assign) answer(rows pgx.Rows) (bool, error) {
	var leads, did int
	if !rows.Next() {
		return false, rows.Err()
	}
	err := rows.Scan(&leads, &did)
	o.deposed, o.did = leads == 0, did > 0
	return false, err
}

// Release gives tickets back that are still there, and returns the Seqs of their jobs.
func (s *Store) Release(ctx context.Context, tickets []int64) ([]int64, error) {
	op := &release{tickets: tickets}
	if err := s.writer.do(ctx, op, 16*len(tickets)); err != nil {
		return nil, fmt.Errorf("release tickets: %w", err)
	}
	return op.seqs, nil
}

type release struct {
	none
	tickets []int64

	seqs []int64
}

func (o *release) statement() (string, []any, string) {
	return "DELETE FROM ticket WHERE id = ANY($1) RETURNING job", []any{o.tickets}, ""
}

func (o *release) answer(rows pgx.Rows) (more bool, err error) {
	o.seqs, err = pgx.CollectRows(rows, pgx.RowTo[int64])
	return false, err
}

// Tickets returns the tickets of a node, or of all with node 0.
func (r *reads) Tickets(ctx context.Context, node int64) ([]Ticket, error) {
	return r.tickets(ctx, "WHERE $1 = 0 OR t.node = $1 ORDER BY t.id", node)
}

// TicketsOfName returns the tickets of every life of a name.
func (r *reads) TicketsOfName(ctx context.Context, name string) ([]Ticket, error) {
	return r.tickets(ctx, "WHERE t.node IN (SELECT id FROM node WHERE name = $1) ORDER BY t.id", name)
}

func (r *reads) tickets(ctx context.Context, where string, arg any) ([]Ticket, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.pool.Query(ctx, "SELECT t.id, t.node, t.cancel, t.overtaken, "+jobColumns+` FROM ticket t
		JOIN job j ON j.seq = t.job JOIN delivery d ON d.seq = j.delivery `+where, arg)
	if err != nil {
		return nil, fmt.Errorf("read tickets: %w", err)
	}
	tickets, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t Ticket, err error) {
		t.Job, err = scanJob(row, &t.ID, &t.Node, &t.Cancel, &t.Overtaken)
		if err != nil {
			return t, err
		}
		return t, decodeTexts(&t.Cancel)
	})
	if err != nil {
		return nil, fmt.Errorf("read tickets: %w", err)
	}
	return tickets, nil
}

// Cancelled notes on the ticket of a job that runs why a person ends it, and returns the node that
// has it; store.ErrFenced when none has.
func (s *Store) Cancelled(ctx context.Context, id, reason string) (node int64, err error) {
	return s.mark(ctx, "cancel", id, encodeText(reason))
}

// Overtaken notes on the ticket of a job which one it has to make room for.
func (s *Store) Overtaken(ctx context.Context, id, by string) (node int64, err error) {
	return s.mark(ctx, "overtaken", id, by)
}

func (s *Store) mark(ctx context.Context, column, id, value string) (node int64, err error) {
	if id, err = knownID("job", id); err != nil {
		return 0, err
	}
	err = s.side.QueryRow(ctx, "UPDATE ticket t SET "+column+" = $2 FROM job j WHERE j.seq = t.job AND j.id = $1 RETURNING t.node", id, value).Scan(&node)
	if isNoRows(err) {
		err = fmt.Errorf("job %s does not wait or run: %w", id, store.ErrFenced)
	}
	return node, err
}

// JobsBySeq returns jobs by their Seq.
func (r *reads) JobsBySeq(ctx context.Context, seqs []int64) ([]job.Job, error) {
	return r.jobs(ctx, "WHERE j.seq = ANY($1) ORDER BY j.seq", seqs)
}

// Waiting calls yield for every job that waits. It reads less of it than Live does, for those that look often.
func (r *reads) Waiting(ctx context.Context, yield func(seq int64, id string)) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.pool.Query(ctx, "SELECT seq, id::text FROM job WHERE "+isLive+" AND state <> 'running' ORDER BY seq")
	if err != nil {
		return fmt.Errorf("read waiting jobs: %w", err)
	}
	var (
		seq int64
		id  string
	)
	if _, err = pgx.ForEachRow(rows, []any{&seq, &id}, func() error { yield(seq, id); return nil }); err != nil {
		return fmt.Errorf("read waiting jobs: %w", err)
	}
	return nil
}

// LastSeq returns the highest Seq of a job, 0 when there is none.
func (r *reads) LastSeq(ctx context.Context) (seq int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if err = r.pool.QueryRow(ctx, "SELECT coalesce(max(seq), 0) FROM job").Scan(&seq); err != nil {
		err = fmt.Errorf("read the last job: %w", err)
	}
	return seq, err
}

// Held returns a job, and whether a node has its ticket.
func (r *reads) Held(ctx context.Context, id string) (j job.Job, held bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.pool.Query(ctx, "SELECT EXISTS (SELECT FROM ticket t WHERE t.job = j.seq), "+jobColumns+
		" FROM job j JOIN delivery d ON d.seq = j.delivery WHERE j.id = $1", id)
	if err != nil {
		return j, false, fmt.Errorf("read job: %w", err)
	}
	j, err = pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (job.Job, error) { return scanJob(row, &held) })
	if isNoRows(err) {
		err = fmt.Errorf("job %q: %w", id, store.ErrNotFound)
	}
	return j, held, err
}
