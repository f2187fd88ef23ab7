package postgres

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tenterhook/tenterhook/internal/store/codec"
)

// Source is a SQLite store that Import reads. Times in it are microseconds since 1970, ids are
// the bytes of UUIDs.
type Source interface {
	Rows(ctx context.Context, from string, columns, key []string, after []any, most int) ([][]any, error)
	Count(ctx context.Context, table string) (int, error)
}

// importPage is how many rows are copied in one transaction.
const importPage = 500

// imported is a table that Import copies.
type imported struct {
	name    string
	from    string // of the source; "" is name
	columns []string
	source  []string // expressions in the source; nil are the columns
	key     []string // of the source, what its rows are ordered by
	unique  []string // of columns, what the database finds a row by; nil is key
	counted string   // the table of the source whose rows these are; "" is name
	serial  bool     // seq is numbered by the database
}

func (t imported) read() []string {
	if t.source == nil {
		return t.columns
	}
	return t.source
}

func columns(words string) []string { return strings.Fields(words) }

// importedTables are in an order in which every row finds what it refers to.
var importedTables = []imported{
	{
		name: "delivery", from: "delivery d LEFT JOIN body b ON b.delivery = d.seq", serial: true, key: []string{"seq"},
		columns: columns("seq id hook key key_window on_duplicate event received_at outcome origin method path query ip secret config header params withheld verdicts size trace encoding body"),
		source:  columns("seq id hook key key_window on_duplicate event received_at outcome origin method path query ip secret config header params withheld verdicts size trace coalesce(b.encoding,0) b.data"),
	},
	{
		name: "dedupe", from: "dedupe_key", counted: "dedupe_key", key: []string{"seq"}, unique: []string{"hook", "key"},
		columns: columns("hook key delivery expires_at"),
	},
	{
		name: "job", key: []string{"seq"}, serial: true,
		columns: columns("seq id delivery hook rule state reason attempt since run_at created_at started_at finished_at exit_code error concurrency_key superseded_by replay_of node keys burst ending target"),
	},
	{name: "attempt", key: []string{"job", "n"}, columns: columns("job n started_at finished_at exit_code signal status error config size encoding output")},
	{
		name: "follow_up", key: []string{"job", "attempt", "step", "try"},
		columns: columns("job attempt step try event kind started_at finished_at exit_code signal status error size encoding output"),
	},
	{
		name: "control", key: []string{"hook", "rule", "control", "key"},
		columns: columns("hook rule control name key job at value count bytes expires_at"),
		source:  columns("hook rule control key key job at value count bytes expires_at"),
	},
	{name: "pause", key: []string{"hook", "rule"}, columns: columns("hook rule since reason")},
	{name: "audit", key: []string{"n"}, columns: columns("n at who remote action subject detail result previous hash")},
	{name: "audit_anchor", key: []string{"n"}, columns: columns("n hash")},
	{name: "reject", key: []string{"seq"}, serial: true, columns: columns("seq id at ip hook status error reason size count last_at")},
	{name: "replay", key: []string{"seq"}, serial: true, columns: columns("seq id data")},
	{name: "held", key: []string{"delivery"}, columns: columns("delivery hook state taker tries until at reason scheme host raw_path sealed")},
	{name: "report", key: []string{"job", "n"}, columns: columns("job n kind reached remote tries next_at at error open")},
	{name: "listened", key: []string{"seq"}, serial: true, columns: columns("seq id since until")},
	{name: "expectation", key: []string{"hook"}, columns: columns("hook since last silent")},
	{name: "position", key: []string{"hook"}, columns: columns("hook source place")},
}

// Imported says what an import came to.
type Imported struct {
	Rows    int // copied by this call
	Before  int // that an earlier call had copied
	Checked int // compared with the source, all of them
}

// Import copies a whole SQLite store, which nobody may write to meanwhile, into the database that
// url names. The database must hold no store yet, or what an earlier call copied of the same
// source, which it goes on with then. At the end every row is read back and compared. progress is
// told how many rows are done and how many there are to do, copying and comparing.
func Import(ctx context.Context, url string, from Source, name string, progress func(done, all int)) (Imported, error) {
	var sum Imported
	target, err := parse(url)
	if err != nil {
		return sum, err
	}
	conn, err := target.connect(ctx, connectWithin)
	if err != nil {
		return sum, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := bringUp(ctx, conn, target); err != nil { // it takes the store for itself
		return sum, err
	}
	i := &importer{conn: conn, from: from, name: name, progress: progress, sum: &sum}
	if err := i.begin(ctx); err != nil {
		return sum, err
	}
	for _, step := range []func(context.Context, imported) error{i.copy, i.compare} {
		for _, t := range importedTables {
			if err := step(ctx, t); err != nil {
				return sum, fmt.Errorf("%s: %w", t.name, err)
			}
		}
	}
	_, err = conn.Exec(ctx, "DROP TABLE importing")
	return sum, err
}

type importer struct {
	conn     *pgx.Conn
	from     Source
	name     string
	progress func(done, all int)
	sum      *Imported
	done     int
	all      int
}

// begin makes the table that remembers how far an import is, and refuses a store that is in use.
func (i *importer) begin(ctx context.Context) error {
	for _, t := range importedTables {
		n, err := i.from.Count(ctx, cmp.Or(t.counted, t.name))
		if err != nil {
			return err
		}
		i.all += 2 * n
	}
	var going bool
	var rows int
	err := i.conn.QueryRow(ctx, "SELECT to_regclass('importing') IS NOT NULL, (SELECT count(*) FROM (SELECT FROM delivery LIMIT 1) d)").Scan(&going, &rows)
	switch {
	case err != nil:
		return err
	case !going && rows > 0:
		return errors.New("the database holds a store with deliveries already: name another schema with ?search_path=")
	case !going:
		_, err = i.conn.Exec(ctx, "CREATE TABLE importing (source text NOT NULL, name text PRIMARY KEY, last text NOT NULL, rows bigint NOT NULL)")
		return err
	}
	var other string
	err = i.conn.QueryRow(ctx, "SELECT source FROM importing WHERE source <> $1 LIMIT 1", i.name).Scan(&other)
	if isNoRows(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("the database holds a part of another store, of %s: go on with that, or name another schema with ?search_path=", other)
}

// copy copies what of a table is not there yet, a page in each transaction, with how far it is.
func (i *importer) copy(ctx context.Context, t imported) error {
	after, before, err := i.last(ctx, t)
	if err != nil {
		return err
	}
	i.sum.Before += before
	i.step(before)
	types, err := i.types(ctx, t)
	if err != nil {
		return err
	}
	for n := before; ; {
		rows, err := i.page(ctx, t, after)
		if err != nil || len(rows) == 0 {
			return errors.Join(err, i.renumber(ctx, t))
		}
		n += len(rows)
		after = rows[len(rows)-1].key
		err = pgx.BeginFunc(ctx, i.conn, func(tx pgx.Tx) error {
			converted := make([][]any, len(rows))
			for k := range rows {
				if converted[k], err = convertRow(t, types, rows[k].values); err != nil {
					return err
				}
			}
			if _, err := tx.CopyFrom(ctx, pgx.Identifier{t.name}, t.columns, pgx.CopyFromRows(converted)); err != nil {
				return err
			}
			key, err := json.Marshal(after)
			if err != nil {
				return err
			}
			_, err = tx.Exec(ctx, `INSERT INTO importing (source, name, last, rows) VALUES ($1, $2, $3, $4)
				ON CONFLICT (name) DO UPDATE SET last = excluded.last, rows = excluded.rows`, i.name, t.name, string(key), n)
			return err
		})
		if err != nil {
			return err
		}
		i.sum.Rows += len(rows)
		i.step(len(rows))
	}
}

func (i *importer) step(n int) {
	i.done += n
	i.progress(i.done, i.all)
}

// last returns the key of the last row that was copied, nil for none, and how many were.
func (i *importer) last(ctx context.Context, t imported) (after []any, n int, err error) {
	var text string
	err = i.conn.QueryRow(ctx, "SELECT last, rows FROM importing WHERE name = $1", t.name).Scan(&text, &n)
	if isNoRows(err) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&after); err != nil {
		return nil, 0, err
	}
	for k, v := range after {
		switch v := v.(type) {
		case json.Number:
			if after[k], err = v.Int64(); err != nil {
				return nil, 0, err
			}
		case map[string]any: // bytes
			b, err := json.Marshal(v)
			if err != nil {
				return nil, 0, err
			}
			var bytes keyBytes
			if err := json.Unmarshal(b, &bytes); err != nil {
				return nil, 0, err
			}
			after[k] = bytes.Bytes
		}
	}
	return after, n, nil
}

// keyBytes keeps bytes apart from text in a key that is remembered.
type keyBytes struct{ Bytes []byte }

// keepable is a key as JSON can hold it: text and numbers as they are, bytes as keyBytes.
func keepable(key []any) []any {
	out := make([]any, len(key))
	for i, v := range key {
		if b, ok := v.([]byte); ok {
			out[i] = keyBytes{b}
		} else {
			out[i] = v
		}
	}
	return out
}

// sourceRow is a row of the source with its key.
type sourceRow struct{ values, key []any }

func (i *importer) page(ctx context.Context, t imported, after []any) ([]sourceRow, error) {
	from := t.from
	if from == "" {
		from = t.name
	}
	for k, v := range after {
		if b, ok := v.(keyBytes); ok {
			after[k] = b.Bytes
		}
	}
	rows, err := i.from.Rows(ctx, from, append(append([]string{}, t.read()...), t.key...), t.key, after, importPage)
	if err != nil {
		return nil, err
	}
	out := make([]sourceRow, len(rows))
	for k, row := range rows {
		out[k] = sourceRow{row[:len(t.columns)], keepable(row[len(t.columns):])}
	}
	return out, nil
}

// renumber lets the database number new rows behind those that were copied.
func (i *importer) renumber(ctx context.Context, t imported) error {
	if !t.serial {
		return nil
	}
	_, err := i.conn.Exec(ctx, "SELECT setval(pg_get_serial_sequence($1, 'seq'), greatest((SELECT max(seq) FROM "+t.name+"), 1))", t.name)
	return err
}

// types are the types of a table's columns in the database.
func (i *importer) types(ctx context.Context, t imported) (map[string]string, error) {
	rows, err := i.conn.Query(ctx, "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $1", t.name)
	if err != nil {
		return nil, err
	}
	types := map[string]string{}
	var name, kind string
	_, err = pgx.ForEachRow(rows, []any{&name, &kind}, func() error { types[name] = kind; return nil })
	return types, err
}

// convertRow makes of a row of SQLite what the database takes.
func convertRow(t imported, types map[string]string, values []any) ([]any, error) {
	out := make([]any, len(values))
	for i, v := range values {
		var err error
		if out[i], err = convert(types[t.columns[i]], v); err != nil {
			return nil, fmt.Errorf("column %s: %w", t.columns[i], err)
		}
		if t.name == "control" && t.columns[i] == "name" {
			out[i] = codec.Key(fmt.Sprint(v))
		}
	}
	return out, nil
}

func convert(kind string, v any) (any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case int64:
		if kind == "timestamp with time zone" {
			if v == 0 {
				return nil, nil
			}
			return time.UnixMicro(v).UTC(), nil
		}
		if kind == "boolean" {
			return v != 0, nil
		}
		return v, nil
	case []byte:
		switch kind {
		case "uuid":
			u, err := uuid.FromBytes(v)
			return [16]byte(u), err
		case "text":
			return encodeText(string(v)), nil
		}
		return v, nil
	case string:
		if kind == "bytea" {
			return []byte(v), nil
		}
		return encodeText(v), nil
	}
	return nil, fmt.Errorf("a value of type %T", v)
}

// compare reads every row back and compares it with the source.
func (i *importer) compare(ctx context.Context, t imported) error {
	types, err := i.types(ctx, t)
	if err != nil {
		return err
	}
	var have, want int
	if err := i.conn.QueryRow(ctx, "SELECT count(*) FROM "+t.name).Scan(&have); err != nil {
		return err
	}
	var after []any
	for {
		rows, err := i.page(ctx, t, after)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			break
		}
		want += len(rows)
		after = rows[len(rows)-1].key
		if err := i.comparePage(ctx, t, types, rows); err != nil {
			return err
		}
		i.sum.Checked += len(rows)
		i.step(len(rows))
	}
	if have != want {
		return fmt.Errorf("the database has %d rows, the source %d", have, want)
	}
	return nil
}

// comparePage looks each row of the source up by all of its values. What the database holds is
// compared by the database, so nothing of it depends on how it is read.
func (i *importer) comparePage(ctx context.Context, t imported, types map[string]string, rows []sourceRow) error {
	var b pgx.Batch
	var conditions []string
	unique := t.unique
	if unique == nil {
		unique = t.key
	}
	for k, c := range t.columns {
		equals := "IS NOT DISTINCT FROM" // which no index serves
		if slices.Contains(unique, c) || t.name == "control" && c == "name" {
			equals = "="
		}
		conditions = append(conditions, fmt.Sprintf("%s %s $%d::%s", c, equals, k+1, types[c]))
	}
	sql := fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", t.name, strings.Join(conditions, " AND "))
	for _, row := range rows {
		values, err := convertRow(t, types, row.values)
		if err != nil {
			return err
		}
		b.Queue(sql, values...)
	}
	results := i.conn.SendBatch(ctx, &b)
	for _, row := range rows {
		var n int
		if err := results.QueryRow().Scan(&n); err != nil {
			return errors.Join(err, results.Close())
		}
		if n != 1 {
			return errors.Join(fmt.Errorf("the row %v is not as it is in the source", shownKey(row.key)), results.Close())
		}
	}
	return results.Close()
}

func shownKey(key []any) string {
	var b bytes.Buffer
	for _, v := range key {
		fmt.Fprintf(&b, "%v ", v)
	}
	return strings.TrimSpace(b.String())
}
