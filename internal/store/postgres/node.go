package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenterhook/tenterhook/internal/store"
)

// This file is what package fleet reads and writes of nodes, the leader and tickets.

// Node is one life of a daemon on the store.
type Node = store.Node

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

func (*number) answer(pgx.Rows) (bool, error) { return true, nil }

func (o *number) finish(ctx context.Context, tx pgx.Tx) (err error) {
	o.result, err = o.fn(ctx, tx)
	return err
}

// Beat says that a node lives. It is ErrGone once the node was taken over, and ErrReplaced when
// another daemon has registered with its name.
func (s *Store) Beat(ctx context.Context, id int64, state, config string) error {
	var now string
	var there time.Time
	asked := time.Now()
	err := s.side.QueryRow(ctx, `UPDATE node SET beat = beat + CASE WHEN state IN ('up', 'draining') THEN 1 ELSE 0 END,
		beat_at = now(), config = $3, state = CASE WHEN state IN ('up', 'draining') THEN $2 ELSE state END, clock = $4, listens = $5
		WHERE id = $1 RETURNING state, clock_timestamp()`, id, state, config, s.clock.Load(), s.listens.Load()).Scan(&now, &there)
	if err == nil {
		s.noteClock(asked, time.Now(), there)
	}
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

// noteClock notes how far the clock here is from the database's, when the way was short.
func (s *Store) noteClock(asked, answered, there time.Time) {
	if took := answered.Sub(asked); took < time.Second {
		here := asked.Round(0).Add(took / 2)
		s.clock.Store(here.Sub(there).Microseconds())
	}
}

// SetListens says whether somebody follows here what happens; the next Beat tells the other nodes.
func (s *Store) SetListens(on bool) { s.listens.Store(on) }

// Clock is by how much the clock here is ahead of the database's, as the last Beat found.
func (s *Store) Clock() time.Duration { return time.Duration(s.clock.Load()) * time.Microsecond }

// Nodes returns the nodes that are up or draining, and those whose tickets are left; with all,
// every one that is remembered.
func (r *reads) Nodes(ctx context.Context, all bool) ([]Node, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.pool.Query(ctx, `SELECT n.id, n.name, n.labels, n.workers, n.lease, n.state, n.beat, n.beat_at, n.started_at,
		n.config, n.version, n.clock, n.listens, (SELECT count(*) FROM ticket t WHERE t.node = n.id), l.holder IS NOT DISTINCT FROM n.id
		FROM node n, leader l WHERE $1 OR n.state IN ('up', 'draining') OR EXISTS (SELECT FROM ticket t WHERE t.node = n.id)
		ORDER BY n.name, n.id`, all)
	if err != nil {
		return nil, fmt.Errorf("read nodes: %w", err)
	}
	nodes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (n Node, err error) {
		var lease, clock int64
		err = row.Scan(&n.ID, &n.Name, &n.Labels, &n.Workers, &lease, &n.State, &n.Beat, &n.BeatAt, &n.StartedAt,
			&n.Config, &n.Version, &clock, &n.Listens, &n.Tickets, &n.Leads)
		n.Lease, n.Clock = time.Duration(lease)*time.Microsecond, time.Duration(clock)*time.Microsecond
		return n, err
	})
	if err != nil {
		return nil, fmt.Errorf("read nodes: %w", err)
	}
	return nodes, nil
}

// ForgetNodes removes what is left of nodes that have ended a day ago.
func (s *Store) ForgetNodes(ctx context.Context) error {
	_, err := s.side.Exec(ctx, `DELETE FROM node n WHERE state NOT IN ('up', 'draining') AND beat_at < now() - interval '1 day'
		AND NOT EXISTS (SELECT FROM ticket t WHERE t.node = n.id)`)
	return err
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
