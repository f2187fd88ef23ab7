package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"strings"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store/codec"
)

// mostInputs is how many deliveries Inputs reads in one go. What a read costs beside them, the locks
// and the pages that the writer has changed since the last one, is then shared by that many jobs.
const mostInputs = 16

// selectInputs reads n deliveries by id; an id may be NULL, for none.
func selectInputs(n int) string {
	return `SELECT d.id, d.hook, d.key, d.event, d.received_at, d.origin, d.method, d.path, d.query, d.ip, d.header, d.params,
		d.size, b.encoding, b.data FROM delivery d LEFT JOIN body b ON b.delivery = d.seq WHERE d.size <= ? AND d.id IN (?` + strings.Repeat(", ?", n-1) + ")"
}

// Inputs returns deliveries with what actions see of them.
func (r *reads) Inputs(ctx context.Context, ids []string, maxBytes int) ([]job.Delivery, error) {
	out, err := r.readInputs(ctx, ids, maxBytes)
	if err != nil {
		return nil, fmt.Errorf("read inputs: %w", err)
	}
	return out, nil
}

func (r *reads) readInputs(ctx context.Context, ids []string, maxBytes int) (out []job.Delivery, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	for len(ids) > 0 {
		some := ids[:min(len(ids), mostInputs)]
		ids = ids[len(some):]
		stmt, most := r.inputs[0], 1
		if len(some) > 1 {
			stmt, most = r.inputs[1], mostInputs
		}
		args := make([]any, 1+most)
		args[0] = int64(maxBytes)
		for i, id := range some {
			if key, err := encodeID(id); err == nil { // else it names nothing
				args[1+i] = key
			}
		}
		compiled, err := stmt.on(r.db)
		if err != nil {
			return nil, err
		}
		rows, err := compiled.QueryContext(ctx, args...)
		if err != nil {
			return nil, err
		}
		if out, maxBytes, err = scanInputs(rows, out, maxBytes); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// scanInputs adds what rows hold to out, up to maxBytes of bodies. It returns how many further bytes
// there is room for.
func scanInputs(rows *sql.Rows, out []job.Delivery, maxBytes int) ([]job.Delivery, int, error) {
	defer rows.Close()
	for rows.Next() {
		var (
			d                        job.Delivery
			id, header, params, body []byte
			received                 int64
			encoding                 sql.NullInt64
		)
		err := rows.Scan(&id, &d.Hook, &d.Key, &d.Event, &received, &d.Origin, &d.Method, &d.Path, &d.Query, &d.IP, &header, &params,
			&d.Size, &encoding, &body)
		if err != nil {
			return nil, 0, err
		}
		if d.Size > maxBytes {
			continue
		}
		if d.ID, err = decodeID(id); err != nil {
			return nil, 0, err
		}
		lists, err := codec.DecodeLists(header)
		if err == nil {
			d.Params, err = codec.DecodeParams(params)
		}
		if err == nil {
			d.Body, err = codec.Decode(int(encoding.Int64), body, d.Size)
		}
		if err != nil {
			return nil, 0, fmt.Errorf("delivery %s: %w", d.ID, err)
		}
		d.Header, d.ReceivedAt = http.Header(lists), decodeTime(received)
		out, maxBytes = append(out, d), maxBytes-d.Size
	}
	return out, maxBytes, rows.Err()
}
