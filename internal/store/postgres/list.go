package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

const (
	defaultLimit = 50
	maxLimit     = 500
)

// where collects conditions, all of which must hold. A condition's ? is its argument.
type where struct {
	conditions []string
	args       []any
}

func (w *where) add(condition string, arg any) {
	w.args = append(w.args, arg)
	w.conditions = append(w.conditions, strings.Replace(condition, "?", "$"+strconv.Itoa(len(w.args)), 1))
}

// equal adds a condition unless value is empty.
func equal[T ~string](w *where, column string, value T) {
	if value != "" {
		w.add(column+" = ?", encodeText(value))
	}
}

func (w *where) String() string {
	if len(w.conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.conditions, " AND ")
}

func (w *where) between(column string, f store.Filter) {
	if !f.Since.IsZero() {
		w.add(column+" >= ?", nullTime(f.Since))
	}
	if !f.Until.IsZero() {
		w.add(column+" < ?", nullTime(f.Until))
	}
}

// limited returns what ends a query, newest first, with its last argument.
func (w *where) limited(column string, n int) (string, []any) {
	return w.String() + " ORDER BY " + column + " DESC LIMIT $" + strconv.Itoa(len(w.args)+1), append(w.args, limit(n))
}

func limit(n int) int {
	if n <= 0 {
		return defaultLimit
	}
	return min(n, maxLimit)
}

// Deliveries lists deliveries without bodies, newest first. With Rule or State it lists those
// that have a job of that rule in that state. A Cursor that names no delivery is store.ErrNotFound.
func (r *reads) Deliveries(ctx context.Context, f store.Filter) ([]job.Delivery, error) {
	ds, err := r.deliveries(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("list deliveries: %w", err)
	}
	return ds, nil
}

func (r *reads) deliveries(ctx context.Context, f store.Filter) ([]job.Delivery, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	w := deliveriesWhere(f)
	if err := r.after(ctx, &w, "delivery", "d.seq", f.Cursor); err != nil {
		return nil, err
	}
	end, args := w.limited("d.seq", f.Limit)
	rows, err := r.pool.Query(ctx, "SELECT "+deliveryColumns+" FROM delivery d"+end, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (job.Delivery, error) { return scanDelivery(row) })
}

// deliveriesWhere are the conditions of a filter but its cursor.
func deliveriesWhere(f store.Filter) (w where) {
	equal(&w, "d.hook", f.Hook)
	equal(&w, "d.event", f.Event)
	equal(&w, "d.outcome", f.Outcome)
	w.between("d.received_at", f)
	if f.Rule != "" || f.State != "" {
		has := where{args: w.args}
		equal(&has, "j.rule", f.Rule)
		equal(&has, "j.state", f.State)
		w.args = has.args
		w.conditions = append(w.conditions, "EXISTS (SELECT FROM job j"+has.String()+" AND j.delivery = d.seq)")
	}
	return w
}

// ReadDeliveries lists deliveries with their bodies, newest first. A page ends early once its
// bodies are maxBytes together; only an empty page is the end.
func (r *reads) ReadDeliveries(ctx context.Context, f store.Filter, maxBytes int) ([]job.Delivery, error) {
	w := deliveriesWhere(f)
	if err := r.after(ctx, &w, "delivery", "d.seq", f.Cursor); err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	end, args := w.limited("d.seq", f.Limit)
	args = append(args, maxBytes)
	out, err := r.deliveriesWithBodies(ctx, `JOIN (
			SELECT seq AS one, row_number() OVER page AS n, sum(size) OVER page - size AS before
			FROM (SELECT d.seq, d.size FROM delivery d`+end+`) found WINDOW page AS (ORDER BY seq DESC)
		) page ON page.one = d.seq WHERE n = 1 OR before < $`+strconv.Itoa(len(args))+" ORDER BY d.seq DESC", args...)
	if err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	return out, nil
}

// Inputs returns deliveries with what actions see of them, and all else.
func (r *reads) Inputs(ctx context.Context, ids []string, maxBytes int) ([]job.Delivery, error) {
	keys := make([]string, 0, len(ids))
	for _, id := range ids {
		if key, err := encodeID(id); err == nil { // else it names nothing
			keys = append(keys, key)
		}
	}
	out, err := r.deliveriesWithBodies(ctx, `JOIN (
			SELECT seq AS one, sum(size) OVER (ORDER BY seq) AS total
			FROM delivery WHERE id = ANY($1) AND size <= $2::bigint
		) fits ON fits.one = d.seq WHERE total <= $2::bigint`, keys, maxBytes)
	if err != nil {
		return nil, fmt.Errorf("read inputs: %w", err)
	}
	return out, nil
}

// CountDeliveries returns how many deliveries a filter selects, whatever its Cursor and Limit.
func (r *reads) CountDeliveries(ctx context.Context, f store.Filter) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	w := deliveriesWhere(f)
	if err := r.pool.QueryRow(ctx, "SELECT count(*) FROM delivery d"+w.String(), w.args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("count deliveries: %w", err)
	}
	return n, nil
}

// after adds the condition that rows are older than the cursor's.
func (r *reads) after(ctx context.Context, w *where, table, column, cursor string) error {
	if cursor == "" {
		return nil
	}
	id, err := knownID("cursor", cursor)
	if err != nil {
		return err
	}
	var seq int64
	err = r.pool.QueryRow(ctx, "SELECT seq FROM "+table+" WHERE id = $1", id).Scan(&seq)
	if isNoRows(err) {
		return fmt.Errorf("cursor %q: %w", cursor, store.ErrNotFound)
	}
	if err != nil {
		return err
	}
	w.add(column+" < ?", seq)
	return nil
}

// Jobs lists jobs, newest first. Event and Outcome are those of the job's delivery. A Cursor that
// names no job is store.ErrNotFound.
func (r *reads) Jobs(ctx context.Context, f store.Filter) ([]job.Job, error) {
	jobs, err := r.listJobs(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	return jobs, nil
}

func (r *reads) listJobs(ctx context.Context, f store.Filter) ([]job.Job, error) {
	var w where
	equal(&w, "j.hook", f.Hook)
	equal(&w, "j.rule", f.Rule)
	equal(&w, "d.event", f.Event)
	equal(&w, "d.outcome", f.Outcome)
	equal(&w, "j.state", f.State)
	w.between("j.created_at", f)
	if f.Delivery != "" {
		id, err := encodeID(f.Delivery)
		if err != nil {
			return nil, nil // no delivery has such an id
		}
		w.add("d.id = ?", id)
	}
	if err := r.after(ctx, &w, "job", "j.seq", f.Cursor); err != nil {
		return nil, err
	}
	end, args := w.limited("j.seq", f.Limit)
	return r.jobs(ctx, end, args...)
}
