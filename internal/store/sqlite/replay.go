package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// Replay gives a stored delivery further jobs. A rule that has a job of it that waits or runs
// gets none. The jobs' Seq is set.
func (s *Store) Replay(ctx context.Context, delivery string, jobs []job.Job) ([]job.Job, error) {
	op := &replay{name: delivery, jobs: jobs}
	var err error
	if op.id, err = knownID("delivery", delivery); err == nil {
		err = s.writer.do(ctx, op, 256+512*len(jobs))
	}
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	return op.stored, nil
}

type replay struct {
	name string
	id   []byte
	jobs []job.Job

	stored []job.Job
}

func (o *replay) apply(c *connection, _ *jumpGuard) error {
	o.stored = nil
	var delivery int64
	err := c.deliverySeqByID.QueryRow(o.id).Scan(&delivery)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("delivery %s: %w", o.name, store.ErrNotFound)
	}
	if err != nil {
		return err
	}
	for _, j := range o.jobs {
		var live int
		if err := c.liveJobsOfRule.QueryRow(delivery, j.Hook, j.Rule, j.Target).Scan(&live); err != nil {
			return err
		}
		if live > 0 {
			continue
		}
		id, err := encodeID(j.ID)
		if err != nil {
			return err
		}
		c.jobSeq++
		j.Seq, j.Delivery, j.State = c.jobSeq, o.name, job.Queued
		if err := insertJobOf(c, delivery, &j, id); err != nil {
			return err
		}
		if err := insertReports(c, &j); err != nil {
			return err
		}
		o.stored = append(o.stored, j)
	}
	return nil
}

func (o *replay) told() []job.Job { return o.stored }

// ofReplays are the statements of one delivery decided anew.
func (s *statements) ofReplays() []statement {
	return []statement{
		{&s.deliverySeqByID, "SELECT seq FROM delivery WHERE id = ?"},
		{&s.liveJobsOfRule, "SELECT count(*) FROM job WHERE delivery = ?1 AND hook = ?2 AND rule = ?3 AND (target IN (?4, '', '*') OR ?4 IN ('', '*')) AND " + isLive},
	}
}
