package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/codec"
)

const (
	readers     = 4
	readTimeout = 5 * time.Second // a read that lasts keeps the log from being written back
	// quickCheckFor bounds the check after an unclean stop: damage beyond is noticed when read.
	quickCheckFor = 500 * time.Millisecond
)

// reads are the methods that change nothing, on connections that cannot.
type reads struct {
	db     *sql.DB
	inputs [2]*lazyStatement // for one job, and for fewest to mostInputs
}

// lazyStatement is compiled when it is first used, once for each connection. The database may not
// have its schema before.
type lazyStatement struct {
	text string

	mu   sync.Mutex
	stmt *sql.Stmt
}

func (l *lazyStatement) on(db *sql.DB) (*sql.Stmt, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stmt != nil {
		return l.stmt, nil
	}
	stmt, err := db.Prepare(l.text)
	l.stmt = stmt
	return stmt, err
}

// openReads opens no file yet; the first read does.
func openReads(path string) (reads, error) {
	useSafeLocks()
	db, err := sql.Open("sqlite", dsn(path, url.Values{
		"mode": {"ro"}, "_busy_timeout": {"5000"}, "_query_only": {"1"},
	}, "trusted_schema(0)"))
	if err != nil {
		return reads{}, err
	}
	db.SetMaxOpenConns(readers)
	db.SetMaxIdleConns(readers)
	return reads{db, [2]*lazyStatement{{text: selectInputs(1)}, {text: selectInputs(mostInputs)}}}, nil
}

func (r *reads) close() error { return r.db.Close() }

// quickCheck looks for damage after a stop that was not clean, as far as it gets in a moment.
func (r *reads) quickCheck(ctx context.Context, log *slog.Logger) error {
	bounded, cancel := context.WithTimeout(ctx, quickCheckFor)
	defer cancel()
	var answer string
	err := r.db.QueryRowContext(bounded, "PRAGMA quick_check(1)").Scan(&answer)
	switch {
	case ctx.Err() == nil && bounded.Err() != nil:
		log.Debug("check after unclean stop cut short", "after", quickCheckFor)
		return nil
	case err != nil:
		return fmt.Errorf("check after unclean stop: %w", err)
	case answer != "ok":
		return fmt.Errorf("the database is damaged: %s", answer)
	}
	return nil
}

// deliveryColumns is what scanDelivery reads: everything but the body.
const deliveryColumns = `d.id, d.hook, d.key, d.key_window, d.on_duplicate, d.event, d.received_at, d.outcome,
	d.origin, d.method, d.path, d.query, d.ip, d.secret, d.config, d.header, d.params, d.withheld, d.verdicts,
	d.size, (SELECT group_concat(hex(j.id) ORDER BY j.seq) FROM job j WHERE j.delivery = d.seq)`

// Delivery returns one delivery with its body.
func (r *reads) Delivery(ctx context.Context, id string) (job.Delivery, error) {
	d, err := r.delivery(ctx, id)
	if err != nil {
		return job.Delivery{}, fmt.Errorf("read delivery: %w", err)
	}
	return d, nil
}

func (r *reads) delivery(ctx context.Context, id string) (job.Delivery, error) {
	key, err := knownID("delivery", id)
	if err != nil {
		return job.Delivery{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var (
		encoding sql.NullInt64
		body     []byte
		trace    []byte
	)
	row := r.db.QueryRowContext(ctx, "SELECT "+deliveryColumns+`, b.encoding, b.data, d.trace
		FROM delivery d LEFT JOIN body b ON b.delivery = d.seq WHERE d.id = ?`, key)
	d, err := scanDelivery(row, &encoding, &body, &trace)
	if errors.Is(err, sql.ErrNoRows) {
		return d, fmt.Errorf("delivery %q: %w", id, store.ErrNotFound)
	}
	if err != nil {
		return d, err
	}
	if d.Body, err = codec.Decode(int(encoding.Int64), body, d.Size); err != nil {
		return d, fmt.Errorf("delivery %s: %w", id, err)
	}
	if err := codec.DecodeTrace(trace, d.Verdicts); err != nil {
		return d, fmt.Errorf("delivery %s: %w", id, err)
	}
	return d, nil
}

// scanner is a *sql.Row or *sql.Rows.
type scanner interface{ Scan(into ...any) error }

func scanDelivery(row scanner, more ...any) (job.Delivery, error) {
	var (
		d                                      job.Delivery
		id, header, params, withheld, verdicts []byte
		window, received                       int64
		jobs                                   sql.NullString
	)
	err := row.Scan(append([]any{
		&id, &d.Hook, &d.Key, &window, &d.OnDuplicate, &d.Event, &received, &d.Outcome,
		&d.Origin, &d.Method, &d.Path, &d.Query, &d.IP, &d.Secret, &d.Config, &header, &params, &withheld, &verdicts,
		&d.Size, &jobs,
	}, more...)...)
	if err != nil {
		return d, err
	}
	d.Window, d.ReceivedAt = time.Duration(window)*time.Microsecond, decodeTime(received)
	lists, err := codec.DecodeLists(header)
	d.Header = http.Header(lists)
	errs := []error{err}
	keep := func(err error) { errs = append(errs, err) }
	d.ID, err = decodeID(id)
	keep(err)
	d.Params, err = codec.DecodeParams(params)
	keep(err)
	d.Withheld, err = decodeJSON[string](withheld)
	keep(err)
	d.Verdicts, err = decodeJSON[job.RuleVerdict](verdicts)
	keep(err)
	d.JobIDs, err = decodeIDs(jobs.String)
	keep(err)
	return d, errors.Join(errs...)
}

// decodeIDs reads ids joined with commas, each in hexadecimal.
func decodeIDs(joined string) (ids []string, err error) {
	if joined == "" {
		return nil, nil
	}
	for _, one := range strings.Split(joined, ",") {
		b, err := hex.DecodeString(one)
		if err != nil {
			return nil, fmt.Errorf("read id: %w", err)
		}
		id, err := decodeID(b)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// Job returns one job.
func (r *reads) Job(ctx context.Context, id string) (job.Job, error) {
	key, err := knownID("job", id)
	if err != nil {
		return job.Job{}, fmt.Errorf("read %w", err)
	}
	jobs, err := r.jobs(ctx, jobsWithDelivery+"WHERE j.id = ?", key)
	if err == nil && len(jobs) == 0 {
		err = fmt.Errorf("job %q: %w", id, store.ErrNotFound)
	}
	if err != nil {
		return job.Job{}, fmt.Errorf("read job: %w", err)
	}
	return jobs[0], nil
}

func (r *reads) jobs(ctx context.Context, query string, args ...any) ([]job.Job, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return scanJobs(rows)
}

// scanJobs reads all rows of jobColumns and closes them.
func scanJobs(rows *sql.Rows) ([]job.Job, error) {
	defer rows.Close()
	var jobs []job.Job
	for rows.Next() {
		var (
			j                               job.Job
			id, delivery                    []byte
			run, created, started, finished int64
			exit                            sql.NullInt64
			keys, burst                     []byte
		)
		err := rows.Scan(&j.Seq, &id, &delivery, &j.Hook, &j.Rule, &j.State, &j.Reason, &j.Attempt, &j.Since,
			&run, &created, &started, &finished, &exit, &j.Error, &j.ConcurrencyKey, &j.SupersededBy, &j.ReplayOf, &j.Node,
			&keys, &burst, &j.Ending, &j.Target)
		if err != nil {
			return nil, err
		}
		if j.Keys, j.Burst, err = decodeControls(keys, burst); err != nil {
			return nil, err
		}
		if j.ID, err = decodeID(id); err != nil {
			return nil, err
		}
		if j.Delivery, err = decodeID(delivery); err != nil {
			return nil, err
		}
		j.RunAt, j.CreatedAt, j.StartedAt, j.FinishedAt = decodeTime(run), decodeTime(created), decodeTime(started), decodeTime(finished)
		j.ExitCode = optional(exit)
		jobs = append(jobs, j)
	}
	return jobs, rows.Err()
}

func optional(v sql.NullInt64) *int {
	if !v.Valid {
		return nil
	}
	i := int(v.Int64)
	return &i
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
	rows, err := r.db.QueryContext(ctx, `SELECT n, started_at, finished_at, exit_code, signal, status, error, config,
		size, encoding, output FROM attempt WHERE job = (SELECT seq FROM job WHERE id = ?) ORDER BY n`, key)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []job.Attempt
	for rows.Next() {
		var (
			a                 job.Attempt
			started, finished int64
			exit              sql.NullInt64
			size, encoding    int
			output            []byte
		)
		err := rows.Scan(&a.N, &started, &finished, &exit, &a.Signal, &a.Status, &a.Error, &a.Config, &size, &encoding, &output)
		if err != nil {
			return nil, err
		}
		a.StartedAt, a.FinishedAt, a.ExitCode = decodeTime(started), decodeTime(finished), optional(exit)
		if a.Output, err = codec.Decode(encoding, output, size); err != nil {
			return nil, fmt.Errorf("output of attempt %d: %w", a.N, err)
		}
		out = append(out, a)
	}
	return out, rows.Err()
}

// Counts returns how many jobs are in each state that has not ended.
func (r *reads) Counts(ctx context.Context) (map[job.State]int, error) {
	counts, err := r.counts(ctx)
	if err != nil {
		return nil, fmt.Errorf("count jobs: %w", err)
	}
	return counts, nil
}

func (r *reads) counts(ctx context.Context) (map[job.State]int, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.db.QueryContext(ctx, "SELECT state, count(*) FROM job INDEXED BY job_live WHERE "+isLive+" GROUP BY state")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	counts := map[job.State]int{job.Scheduled: 0, job.Queued: 0, job.Running: 0}
	for rows.Next() {
		var (
			s job.State
			n int
		)
		if err := rows.Scan(&s, &n); err != nil {
			return nil, err
		}
		counts[s] = n
	}
	return counts, rows.Err()
}
