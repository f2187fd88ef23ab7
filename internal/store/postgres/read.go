package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/codec"
)

const (
	readTimeout = 5 * time.Second
	livePage    = 1000
)

// reads are the methods that change nothing, on connections that cannot.
type reads struct{ pool *pgxpool.Pool }

// deliveryColumns is what scanDelivery reads: everything but the body.
const deliveryColumns = `d.id::text, d.hook, d.key, d.key_window, d.on_duplicate, d.event, d.received_at, d.outcome,
	d.origin, d.method, d.path, d.query, d.ip, d.secret, d.config, d.header, d.params, d.withheld, d.verdicts,
	d.size, (SELECT array_agg(mine.id::text ORDER BY mine.seq) FROM job mine WHERE mine.delivery = d.seq)`

// Delivery returns one delivery with its body.
func (r *reads) Delivery(ctx context.Context, id string) (job.Delivery, error) {
	key, err := knownID("delivery", id)
	var found []job.Delivery
	if err == nil {
		found, err = r.deliveriesWithBodies(ctx, "WHERE d.id = $1", key)
	}
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("delivery %q: %w", id, store.ErrNotFound)
	}
	if err != nil {
		return job.Delivery{}, fmt.Errorf("read delivery: %w", err)
	}
	return found[0], nil
}

// deliveriesWithBodies reads whole deliveries; where is what follows FROM delivery d.
func (r *reads) deliveriesWithBodies(ctx context.Context, where string, args ...any) ([]job.Delivery, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.pool.Query(ctx, "SELECT "+deliveryColumns+", d.encoding, d.body, d.trace FROM delivery d "+where, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (job.Delivery, error) {
		var (
			encoding    int
			body, trace []byte
		)
		d, err := scanDelivery(row, &encoding, &body, &trace)
		if err != nil {
			return d, err
		}
		if d.Body, err = codec.Decode(encoding, body, d.Size); err == nil {
			err = codec.DecodeTrace(trace, d.Verdicts)
		}
		if err != nil {
			return d, fmt.Errorf("delivery %s: %w", d.ID, err)
		}
		return d, nil
	})
}

func scanDelivery(row pgx.CollectableRow, more ...any) (job.Delivery, error) {
	var (
		d                  job.Delivery
		header, params     []byte
		withheld, verdicts *string
		window             int64
		received           *time.Time
	)
	err := row.Scan(append([]any{
		&d.ID, &d.Hook, &d.Key, &window, &d.OnDuplicate, &d.Event, &received, &d.Outcome,
		&d.Origin, &d.Method, &d.Path, &d.Query, &d.IP, &d.Secret, &d.Config, &header, &params, &withheld, &verdicts,
		&d.Size, &d.JobIDs,
	}, more...)...)
	if err != nil {
		return d, err
	}
	d.Window, d.ReceivedAt = time.Duration(window)*time.Microsecond, timeOf(received)
	lists, err := codec.DecodeLists(header)
	d.Header = http.Header(lists)
	errs := []error{err, decodeTexts(&d.Key, &d.Event, &d.Method, &d.Path, &d.Query, &d.IP)}
	keep := func(err error) { errs = append(errs, err) }
	d.Params, err = codec.DecodeParams(params)
	keep(err)
	d.Withheld, err = decodeJSON[string](withheld)
	keep(err)
	d.Verdicts, err = decodeJSON[job.RuleVerdict](verdicts)
	keep(err)
	return d, errors.Join(errs...)
}

// jobColumns is what scanJobs reads; it needs delivery d beside job j.
const jobColumns = `j.seq, j.id::text, d.id::text, j.hook, j.rule, j.state, j.reason, j.attempt, j.since,
	j.run_at, j.created_at, j.started_at, j.finished_at, j.exit_code, j.error, j.concurrency_key,
	j.superseded_by, j.replay_of, j.node, j.keys, coalesce(j.burst::text, ''), j.ending, j.target`

const jobsWithDelivery = "SELECT " + jobColumns + " FROM job j JOIN delivery d ON d.seq = j.delivery "

// Job returns one job.
func (r *reads) Job(ctx context.Context, id string) (job.Job, error) {
	key, err := knownID("job", id)
	if err != nil {
		return job.Job{}, fmt.Errorf("read %w", err)
	}
	jobs, err := r.jobs(ctx, "WHERE j.id = $1", key)
	if err == nil && len(jobs) == 0 {
		err = fmt.Errorf("job %q: %w", id, store.ErrNotFound)
	}
	if err != nil {
		return job.Job{}, fmt.Errorf("read job: %w", err)
	}
	return jobs[0], nil
}

func (r *reads) jobs(ctx context.Context, where string, args ...any) ([]job.Job, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.pool.Query(ctx, jobsWithDelivery+where, args...)
	if err != nil {
		return nil, err
	}
	return scanJobs(rows)
}

// scanJobs reads all rows of jobColumns and closes them.
func scanJobs(rows pgx.Rows) ([]job.Job, error) {
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (job.Job, error) { return scanJob(row) })
}

// scanJob reads jobColumns, and what is before them into before.
func scanJob(row pgx.CollectableRow, before ...any) (j job.Job, err error) {
	var (
		run, created, started, finished *time.Time
		keys                            *string
	)
	err = row.Scan(append(before, &j.Seq, &j.ID, &j.Delivery, &j.Hook, &j.Rule, &j.State, &j.Reason, &j.Attempt, &j.Since,
		&run, &created, &started, &finished, &j.ExitCode, &j.Error, &j.ConcurrencyKey,
		&j.SupersededBy, &j.ReplayOf, &j.Node, &keys, &j.Burst, &j.Ending, &j.Target)...)
	if err != nil {
		return j, err
	}
	j.RunAt, j.CreatedAt, j.StartedAt, j.FinishedAt = timeOf(run), timeOf(created), timeOf(started), timeOf(finished)
	if j.Keys, err = decodeKeys(keys); err != nil {
		return j, err
	}
	return j, decodeTexts(&j.Reason, &j.Error, &j.ConcurrencyKey)
}

// Attempts returns a job's attempts, first to last.
func (r *reads) Attempts(ctx context.Context, id string) ([]job.Attempt, error) {
	attempts, err := r.attempts(ctx, id)
	if err == nil && len(attempts) == 0 {
		_, err = r.Job(ctx, id) // none yet, or no such job
	}
	if err != nil {
		return nil, fmt.Errorf("read attempts: %w", err)
	}
	return attempts, nil
}

func (r *reads) attempts(ctx context.Context, id string) ([]job.Attempt, error) {
	key, err := knownID("job", id)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.pool.Query(ctx, `SELECT n, started_at, finished_at, exit_code, signal, status, error, config,
		size, encoding, output FROM attempt WHERE job = (SELECT seq FROM job WHERE id = $1) ORDER BY n`, key)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (a job.Attempt, err error) {
		var (
			started, finished *time.Time
			size, encoding    int
			output            []byte
		)
		err = row.Scan(&a.N, &started, &finished, &a.ExitCode, &a.Signal, &a.Status, &a.Error, &a.Config, &size, &encoding, &output)
		if err == nil {
			err = decodeTexts(&a.Error)
		}
		if err != nil {
			return a, err
		}
		a.StartedAt, a.FinishedAt = timeOf(started), timeOf(finished)
		if a.Output, err = codec.Decode(encoding, output, size); err != nil {
			return a, fmt.Errorf("output of attempt %d: %w", a.N, err)
		}
		return a, nil
	})
}

// Live calls yield for every job that has not ended, in Seq order. It reads page by page, so
// that yield may take its time: a job that begins to wait meanwhile may be left out, and
// Options.Committed tells of it.
func (r *reads) Live(ctx context.Context, yield func(job.Job) bool) error {
	for after := int64(0); ; {
		jobs, err := r.jobs(ctx, "WHERE j.seq > $1 AND "+isLive+" ORDER BY j.seq LIMIT $2", after, livePage)
		if err != nil {
			return fmt.Errorf("read live jobs: %w", err)
		}
		for _, j := range jobs {
			if !yield(j) {
				return nil
			}
			after = j.Seq
		}
		if len(jobs) < livePage {
			return nil
		}
	}
}

// Counts returns how many jobs are in each state that has not ended.
func (r *reads) Counts(ctx context.Context) (map[job.State]int, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	counts := map[job.State]int{job.Scheduled: 0, job.Queued: 0, job.Running: 0}
	rows, err := r.pool.Query(ctx, "SELECT state, count(*) FROM job WHERE "+isLive+" GROUP BY state")
	if err != nil {
		return nil, fmt.Errorf("count jobs: %w", err)
	}
	var (
		state string
		n     int
	)
	_, err = pgx.ForEachRow(rows, []any{&state, &n}, func() error {
		counts[job.State(state)] = n
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count jobs: %w", err)
	}
	return counts, nil
}
