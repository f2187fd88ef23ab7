package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// This file is what package fleet reads and writes of nodes, the leader and tickets.

// Node is one life of a daemon on the store.
type Node struct {
	ID        int64
	Name      string
	Labels    []string
	Workers   int
	Lease     time.Duration // of silence, after which its jobs are taken over
	State     string        // up, draining, left, silent (taken over) or replaced (by one of its name)
	Beat      int64         // changes while it lives
	BeatAt    time.Time     // by the server's clock, for people
	StartedAt time.Time     // the same
	Config    string        // digest
	Version   string
	Tickets   int  // filled by Nodes
	Leads     bool // filled by Nodes
}

// Lead is the state of the one row that says who leads.
type Lead struct{ Term, Beat, Holder int64 } // Holder 0 for none

// Ticket is a job that was given to a node.
type Ticket struct {
	ID        int64
	Node      int64
	Cancel    string // why a person ends it
	Overtaken string // the job it has to make room for
	Job       job.Job
}

// ErrDeposed: another node leads by now; nothing was written.
var ErrDeposed = errors.New("another node leads")

// ErrGone: the node's jobs were taken over; it must register anew.
var ErrGone = errors.New("the node was taken over")

// ErrReplaced: another daemon has registered with the node's name.
var ErrReplaced = errors.New("another daemon has the same node name")

// Register makes a node known, and returns its id. Earlier lives of its name are over with that.
func (s *Store) Register(ctx context.Context, n Node) (int64, error) {
	op := &number{fn: func(ctx context.Context, tx pgx.Tx) (id int64, err error) {
		if _, err := tx.Exec(ctx, `UPDATE node SET state = 'replaced' WHERE name = $1 AND state IN ('up', 'draining')`, n.Name); err != nil {
			return 0, err
		}
		return id, tx.QueryRow(ctx, `INSERT INTO node (name, labels, workers, lease, state, beat_at, started_at, config, version)
			VALUES ($1, $2, $3, $4, 'up', now(), now(), $5, $6) RETURNING id`,
			n.Name, append([]string{}, n.Labels...), n.Workers, n.Lease.Microseconds(), n.Config, n.Version).Scan(&id)
	}}
	if err := s.writer.do(ctx, op, 256); err != nil {
		return 0, fmt.Errorf("register node: %w", err)
	}
	return op.result, nil
}

// number is an operation that comes to a number.
type number struct {
	none
	fn     func(ctx context.Context, tx pgx.Tx) (int64, error)
	result int64
}

func (*number) statement() (string, []any, string) { return "", nil, "" }
func (*number) answer(pgx.Rows) (bool, error)      { return true, nil }

func (o *number) finish(ctx context.Context, tx pgx.Tx) (err error) {
	o.result, err = o.fn(ctx, tx)
	return err
}

// Beat says that a node lives. It is ErrGone once the node was taken over, and ErrReplaced when
// another daemon has registered with its name.
func (s *Store) Beat(ctx context.Context, id int64, state, config string) error {
	var now string
	err := s.side.QueryRow(ctx, `UPDATE node SET beat = beat + CASE WHEN state IN ('up', 'draining') THEN 1 ELSE 0 END,
		beat_at = now(), config = $3, state = CASE WHEN state IN ('up', 'draining') THEN $2 ELSE state END
		WHERE id = $1 RETURNING state`, id, state, config).Scan(&now)
	switch {
	case isNoRows(err) || now == "silent":
		return ErrGone
	case err != nil:
		return fmt.Errorf("beat: %w", err)
	case now == "replaced":
		return ErrReplaced
	}
	return nil
}

// Nodes returns the nodes that are up or draining, and those whose tickets are left; with all,
// every one that is remembered.
func (r *reads) Nodes(ctx context.Context, all bool) ([]Node, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.pool.Query(ctx, `SELECT n.id, n.name, n.labels, n.workers, n.lease, n.state, n.beat, n.beat_at, n.started_at,
		n.config, n.version, (SELECT count(*) FROM ticket t WHERE t.node = n.id), l.holder IS NOT DISTINCT FROM n.id
		FROM node n, leader l WHERE $1 OR n.state IN ('up', 'draining') OR EXISTS (SELECT FROM ticket t WHERE t.node = n.id)
		ORDER BY n.name, n.id`, all)
	if err != nil {
		return nil, fmt.Errorf("read nodes: %w", err)
	}
	nodes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (n Node, err error) {
		var lease int64
		err = row.Scan(&n.ID, &n.Name, &n.Labels, &n.Workers, &lease, &n.State, &n.Beat, &n.BeatAt, &n.StartedAt,
			&n.Config, &n.Version, &n.Tickets, &n.Leads)
		n.Lease = time.Duration(lease) * time.Microsecond
		return n, err
	})
	if err != nil {
		return nil, fmt.Errorf("read nodes: %w", err)
	}
	return nodes, nil
}

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
func (*led) answer(pgx.Rows) (bool, error)      { return true, nil }
func (o *led) told() []job.Job                  { return o.op.told() }

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

// ForgetNodes removes what is left of nodes that have ended a day ago.
func (s *Store) ForgetNodes(ctx context.Context) error {
	_, err := s.side.Exec(ctx, `DELETE FROM node n WHERE state NOT IN ('up', 'draining') AND beat_at < now() - interval '1 day'
		AND NOT EXISTS (SELECT FROM ticket t WHERE t.node = n.id)`)
	return err
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

// Leave ends a node whose runs have ended.
func (s *Store) Leave(ctx context.Context, node int64) error {
	op := &number{fn: func(ctx context.Context, tx pgx.Tx) (int64, error) {
		if _, err := tx.Exec(ctx, "UPDATE node SET state = 'left' WHERE id = $1 AND state IN ('up', 'draining')", node); err != nil {
			return 0, err
		}
		_, err := tx.Exec(ctx, `DELETE FROM ticket t USING job j WHERE j.seq = t.job AND t.node = $1
			AND NOT (j.state = 'running' AND j.ending = '')`, node)
		return 0, err
	}}
	if err := s.writer.do(ctx, op, 256); err != nil {
		return fmt.Errorf("leave: %w", err)
	}
	return nil
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

// A Note is what nodes tell each other. It may be lost: everything it says is also found by
// looking.
type Note struct {
	Kind byte    // of the Note constants
	IDs  []int64 // Seqs of jobs or ids of nodes
}

// The kinds of notes.
const (
	NoteJobs     = 'j' // jobs by Seq: they wait now, or were moved by somebody but the leader
	NoteReleased = 'r' // jobs by Seq: their tickets are gone
	NoteTickets  = 't' // nodes: they have other tickets now
	NotePauses   = 'p' // what is paused has changed
	NoteNodes    = 'n' // a node has come or gone, or nobody leads
)

// notePayload is the most that PostgreSQL carries.
const notePayload = 7900

// Tell sends a note to every node.
func (s *Store) Tell(ctx context.Context, n Note) error {
	var b strings.Builder
	send := func() error {
		_, err := s.side.Exec(ctx, "SELECT pg_notify($1, $2)", s.channel, s.sender+string(n.Kind)+b.String())
		b.Reset()
		return err
	}
	for _, id := range n.IDs {
		if b.Len() > notePayload-20 {
			if err := send(); err != nil {
				return err
			}
		}
		b.WriteString(strconv.FormatInt(id, 36) + ",")
	}
	return send()
}

// Listen calls heard for each note of others until ctx ends, and connected each time that notes may have
// been lost before, also at first.
func (s *Store) Listen(ctx context.Context, connected func(), heard func(Note)) error {
	conn, err := s.target.connect(ctx, connectWithin)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{s.channel}.Sanitize()); err != nil {
		return err
	}
	connected()
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		if strings.HasPrefix(n.Payload, s.sender) {
			continue // it knows what it said
		}
		if note, ok := parseNote(n.Payload); ok {
			heard(note)
		}
	}
}

// senderLen is how much of a note says who sent it.
const senderLen = 8

func parseNote(payload string) (n Note, ok bool) {
	if len(payload) <= senderLen {
		return n, false
	}
	n.Kind = payload[senderLen]
	for _, word := range strings.FieldsFunc(payload[senderLen+1:], func(r rune) bool { return r == ',' }) {
		id, err := strconv.ParseInt(word, 36, 64)
		if err != nil {
			return n, false
		}
		n.IDs = append(n.IDs, id)
	}
	return n, true
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
