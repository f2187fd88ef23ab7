package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// Replay gives a stored delivery further jobs. A rule that has a job of it that waits or runs
// gets none. The jobs' Seq is set.
func (s *Store) Replay(ctx context.Context, delivery string, jobs []job.Job) ([]job.Job, error) {
	return replayBy(ctx, delivery, jobs, func(ctx context.Context, op operation, size int) error { return s.writer.do(ctx, op, size) })
}

// Replay is Store.Replay for the leader of a term.
func (l *Led) Replay(ctx context.Context, delivery string, jobs []job.Job) ([]job.Job, error) {
	return replayBy(ctx, delivery, jobs, func(ctx context.Context, op operation, _ int) error { return l.do(ctx, op) })
}

func replayBy(ctx context.Context, delivery string, jobs []job.Job, do func(context.Context, operation, int) error) ([]job.Job, error) {
	id, err := knownID("delivery", delivery)
	op := &replay{id: id, jobs: jobs}
	for i := range jobs {
		if err == nil {
			_, err = encodeID(jobs[i].ID)
		}
	}
	if err == nil {
		err = do(ctx, op, 256+512*len(jobs))
	}
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	return op.stored, nil
}

type replay struct {
	id   string
	jobs []job.Job

	stored []job.Job
}

func (o *replay) statement() (string, []any, string) { return "", nil, "" }

func (o *replay) answer(pgx.Rows) (bool, error) { return true, nil }

func (o *replay) finish(ctx context.Context, tx pgx.Tx) error {
	o.stored = nil
	var delivery int64
	// Locked, so that of two replays at once one sees the other's jobs.
	err := tx.QueryRow(ctx, "SELECT seq FROM delivery WHERE id = $1 FOR NO KEY UPDATE", o.id).Scan(&delivery)
	if isNoRows(err) {
		return fmt.Errorf("delivery %s: %w", o.id, store.ErrNotFound)
	}
	if err != nil {
		return err
	}
	for _, j := range o.jobs {
		var live bool
		err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM job WHERE delivery = $1 AND hook = $2 AND rule = $3 AND (target IN ($4, '', '*') OR $4 IN ('', '*')) AND "+isLive+")",
			delivery, j.Hook, j.Rule, j.Target).Scan(&live)
		if err != nil {
			return err
		}
		if live {
			continue
		}
		j.Delivery, j.State = o.id, job.Queued
		if err := insertJob(ctx, tx, delivery, &j); err != nil {
			return err
		}
		if err := insertReports(ctx, tx, &j); err != nil {
			return err
		}
		o.stored = append(o.stored, j)
	}
	return nil
}

func (o *replay) told() []job.Job { return o.stored }
