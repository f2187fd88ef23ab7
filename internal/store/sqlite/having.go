package sqlite

import (
	"context"

	"github.com/go-json-experiment/json"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// fewJobs is up to how many jobs are collected to find their deliveries.
const fewJobs = 5000

// havingJobs adds the condition that a delivery has a job of the filter's rule and state. When
// there are few of these, to look at every delivery for one would take long, and they are
// collected first; when there are many, the newest deliveries have some.
func (r *reads) havingJobs(ctx context.Context, w *where, f store.Filter) error {
	var has where
	equal(&has, "j.rule", f.Rule)
	from := "job j"
	switch f.State {
	case job.Scheduled, job.Queued, job.Running:
		from = "job j INDEXED BY job_live"
		has.add(isLive)
	case job.Failed, job.TimedOut, job.Interrupted:
		from = "job j INDEXED BY job_bad"
		has.add(endedBadly)
	}
	equal(&has, "j.state", f.State)
	few, err := r.numbers(ctx, "SELECT DISTINCT j.delivery FROM "+from+has.String()+" LIMIT ?", append(has.args, fewJobs+1)...)
	if err != nil {
		return err
	}
	if len(few) <= fewJobs {
		list, err := json.Marshal(few)
		if err != nil {
			return err
		}
		w.add("d.seq IN (SELECT value FROM json_each(?))", string(list))
		return nil
	}
	has.add("j.delivery = d.seq")
	w.add("EXISTS (SELECT 1 FROM job j"+has.String()+")", has.args...)
	return nil
}

// numbers reads rows of one number.
func (r *reads) numbers(ctx context.Context, query string, args ...any) ([]int64, error) {
	rows, err := r.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	numbers := []int64{}
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		numbers = append(numbers, n)
	}
	return numbers, rows.Err()
}
