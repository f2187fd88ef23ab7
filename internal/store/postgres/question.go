package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Question is what one node asks another.
type Question struct {
	ID            int64
	Kind, Subject string
}

// PutQuestion asks a node.
func (s *Store) PutQuestion(ctx context.Context, node int64, kind, subject string) (id int64, err error) {
	err = s.side.QueryRow(ctx, "INSERT INTO question (node, kind, subject) VALUES ($1, $2, $3) RETURNING id", node, kind, encodeText(subject)).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("ask node %d: %w", node, err)
	}
	return id, nil
}

// Questions returns what a node was asked and has not answered.
func (s *Store) Questions(ctx context.Context, node int64) ([]Question, error) {
	rows, err := s.side.Query(ctx, "SELECT id, kind, subject FROM question WHERE node = $1 AND answer IS NULL ORDER BY id LIMIT 200", node)
	if err != nil {
		return nil, fmt.Errorf("read questions: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (q Question, err error) {
		if err := row.Scan(&q.ID, &q.Kind, &q.Subject); err != nil {
			return q, err
		}
		return q, decodeTexts(&q.Subject)
	})
}

// AnswerQuestion answers; the answer to one that nobody waits for any more is dropped.
func (s *Store) AnswerQuestion(ctx context.Context, id int64, answer []byte) error {
	if answer == nil {
		answer = []byte{}
	}
	if _, err := s.side.Exec(ctx, "UPDATE question SET answer = $2 WHERE id = $1", id, answer); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return nil
}

// Answer takes the answer to a question; false while there is none.
func (s *Store) Answer(ctx context.Context, id int64) (answer []byte, ok bool, err error) {
	err = s.side.QueryRow(ctx, "DELETE FROM question WHERE id = $1 AND answer IS NOT NULL RETURNING answer", id).Scan(&answer)
	if isNoRows(err) {
		return nil, false, nil
	}
	return answer, err == nil, err
}

// DropQuestion forgets a question that nobody waits for any more.
func (s *Store) DropQuestion(ctx context.Context, id int64) error {
	_, err := s.side.Exec(ctx, "DELETE FROM question WHERE id = $1", id)
	return err
}

// Happened is what happened on a node, for those who listen on others.
type Happened struct {
	Kind, Hook, Job string
	Body            []byte // JSON
}

// PutHappened keeps what happened for a minute, and returns the ids.
func (s *Store) PutHappened(ctx context.Context, all []Happened) ([]int64, error) {
	var kinds, hooks, jobs []string
	var bodies [][]byte
	for _, h := range all {
		kinds, hooks, jobs, bodies = append(kinds, h.Kind), append(hooks, h.Hook), append(jobs, h.Job), append(bodies, h.Body)
	}
	rows, err := s.side.Query(ctx, `INSERT INTO happened (kind, hook, job, body)
		SELECT u.kind, u.hook, u.job, u.body FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[]) WITH ORDINALITY AS u (kind, hook, job, body, n)
		ORDER BY u.n RETURNING id`, kinds, hooks, jobs, bodies)
	if err != nil {
		return nil, fmt.Errorf("tell what happened: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// Happened returns what happened elsewhere, by its ids.
func (s *Store) Happened(ctx context.Context, ids []int64) ([]Happened, error) {
	rows, err := s.side.Query(ctx, "SELECT kind, hook, job, body FROM happened WHERE id = ANY($1) ORDER BY id", ids)
	if err != nil {
		return nil, fmt.Errorf("read what happened: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Happened])
}

// ForgetTalk removes what nodes told each other a minute ago.
func (s *Store) ForgetTalk(ctx context.Context) error {
	_, err := s.side.Exec(ctx, "DELETE FROM question WHERE asked_at < now() - interval '1 minute'")
	if err == nil {
		_, err = s.side.Exec(ctx, "DELETE FROM happened WHERE at < now() - interval '1 minute'")
	}
	return err
}

// TicketNode returns the node that has a job's ticket, 0 for none.
func (r *reads) TicketNode(ctx context.Context, id string) (node int64, err error) {
	if id, err = knownID("job", id); err != nil {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err = r.pool.QueryRow(ctx, "SELECT t.node FROM ticket t JOIN job j ON j.seq = t.job WHERE j.id = $1 AND j.state = 'running'", id).Scan(&node)
	if isNoRows(err) {
		return 0, nil
	}
	return node, err
}
