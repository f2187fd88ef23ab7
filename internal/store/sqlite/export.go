package sqlite

import (
	"context"
	"fmt"
	"strings"
)

// Rows reads at most most rows of a table behind a key, in the order of the key's columns, as they
// are in the file: for who copies a store. The first page has no key. from is what follows FROM.
func (r *reads) Rows(ctx context.Context, from string, columns, key []string, after []any, most int) ([][]any, error) {
	ctx, cancel := context.WithTimeout(ctx, exportTimeout)
	defer cancel()
	where := ""
	if len(after) > 0 {
		where = fmt.Sprintf(" WHERE (%s) > (%s)", strings.Join(key, ", "), strings.TrimSuffix(strings.Repeat("?, ", len(key)), ", "))
	}
	rows, err := r.db.QueryContext(ctx, fmt.Sprintf("SELECT %s FROM %s%s ORDER BY %s LIMIT ?",
		strings.Join(columns, ", "), from, where, strings.Join(key, ", ")), append(append([]any{}, after...), most)...)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", from, err)
	}
	defer rows.Close()
	var out [][]any
	for rows.Next() {
		row, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, fmt.Errorf("read %s: %w", from, err)
		}
		out = append(out, row)
	}
	return out, rows.Err()
}

// exportTimeout bounds the reading of one page.
const exportTimeout = 5 * readTimeout

// Count returns how many rows a table has.
func (r *reads) Count(ctx context.Context, table string) (n int, err error) {
	err = r.db.QueryRowContext(ctx, "SELECT count(*) FROM "+table).Scan(&n)
	return n, err
}
