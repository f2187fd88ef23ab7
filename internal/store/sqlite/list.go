package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/codec"
)

const (
	defaultLimit = 50
	maxLimit     = 500
)

// where collects conditions, all of which must hold.
type where struct {
	conditions []string
	args       []any
}

func (w *where) add(condition string, args ...any) {
	w.conditions = append(w.conditions, condition)
	w.args = append(w.args, args...)
}

// equal adds a condition unless value is empty.
func equal[T ~string](w *where, column string, value T) {
	if value != "" {
		w.add(column+" = ?", string(value))
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
		w.add(column+" >= ?", encodeTime(f.Since))
	}
	if !f.Until.IsZero() {
		w.add(column+" < ?", encodeTime(f.Until))
	}
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
	other := f
	other.Rule, other.State = "", ""
	w := deliveriesWhere(other)
	if f.Rule != "" || f.State != "" {
		if err := r.havingJobs(ctx, &w, f); err != nil {
			return nil, err
		}
	}
	if err := r.afterDelivery(ctx, &w, f); err != nil {
		return nil, err
	}
	rows, err := r.db.QueryContext(ctx, "SELECT "+deliveryColumns+" FROM delivery d"+w.String()+newestFirst(f)+" LIMIT ?",
		append(w.args, limit(f.Limit))...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []job.Delivery
	for rows.Next() {
		d, err := scanDelivery(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, rows.Err()
}

// deliveriesWhere are the conditions of a filter but its cursor.
func deliveriesWhere(f store.Filter) (w where) {
	equal(&w, "d.hook", f.Hook)
	equal(&w, "d.event", f.Event)
	equal(&w, "d.outcome", f.Outcome)
	w.between("d.received_at", f)
	if f.Rule != "" || f.State != "" {
		var has where
		has.add("j.delivery = d.seq")
		equal(&has, "j.rule", f.Rule)
		equal(&has, "j.state", f.State)
		w.add("EXISTS (SELECT 1 FROM job j"+has.String()+")", has.args...)
	}
	return w
}

// ReadDeliveries lists deliveries with their bodies, newest first. A page ends early once its
// bodies are maxBytes together; only an empty page is the end.
func (r *reads) ReadDeliveries(ctx context.Context, f store.Filter, maxBytes int) ([]job.Delivery, error) {
	ds, err := r.withBodies(ctx, f, maxBytes)
	if err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	return ds, nil
}

func (r *reads) withBodies(ctx context.Context, f store.Filter, maxBytes int) ([]job.Delivery, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	w := deliveriesWhere(f)
	if err := r.afterDelivery(ctx, &w, f); err != nil {
		return nil, err
	}
	rows, err := r.db.QueryContext(ctx, "SELECT "+deliveryColumns+", b.encoding, b.data FROM delivery d LEFT JOIN body b ON b.delivery = d.seq"+
		w.String()+newestFirst(f)+" LIMIT ?", append(w.args, limit(f.Limit))...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []job.Delivery
	for left := maxBytes; (len(out) == 0 || left > 0) && rows.Next(); {
		var (
			encoding sql.NullInt64
			body     []byte
		)
		d, err := scanDelivery(rows, &encoding, &body)
		if err != nil {
			return nil, err
		}
		if d.Body, err = codec.Decode(int(encoding.Int64), body, d.Size); err != nil {
			return nil, fmt.Errorf("delivery %s: %w", d.ID, err)
		}
		left -= d.Size
		out = append(out, d)
	}
	return out, rows.Err()
}

// CountDeliveries returns how many deliveries a filter selects, whatever its Cursor and Limit.
func (r *reads) CountDeliveries(ctx context.Context, f store.Filter) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	w := deliveriesWhere(f)
	if err := r.db.QueryRowContext(ctx, "SELECT count(*) FROM delivery d"+w.String(), w.args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("count deliveries: %w", err)
	}
	return n, nil
}

// newestFirst is the order of deliveries. Between times it is that of the index on them, or each page
// would sort all there is between them.
func newestFirst(f store.Filter) string {
	if f.Since.IsZero() && f.Until.IsZero() {
		return " ORDER BY d.seq DESC"
	}
	return " ORDER BY d.received_at DESC, d.seq DESC"
}

// afterDelivery is after for deliveries in the order of newestFirst.
func (r *reads) afterDelivery(ctx context.Context, w *where, f store.Filter) error {
	if err := r.after(ctx, w, "delivery", "d.seq", f.Cursor); err != nil || f.Cursor == "" || f.Since.IsZero() && f.Until.IsZero() {
		return err
	}
	last := len(w.conditions) - 1
	w.conditions[last] = "(d.received_at, d.seq) < (SELECT received_at, seq FROM delivery WHERE seq = ?)"
	return nil
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
	err = r.db.QueryRowContext(ctx, "SELECT seq FROM "+table+" WHERE id = ?", id).Scan(&seq)
	if errors.Is(err, sql.ErrNoRows) {
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
	if f.State.EndedBadly() {
		w.add(endedBadly) // so that job_bad is used
	}
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
	return r.jobs(ctx, jobsWithDelivery+w.String()+" ORDER BY j.seq DESC LIMIT ?", append(w.args, limit(f.Limit))...)
}
