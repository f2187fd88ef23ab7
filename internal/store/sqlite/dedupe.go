package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store/codec"
)

// This file keeps the delivery keys: the rows of dedupe_key, and what finds them. See keyIndex.

// deliveryKey is a key as it is remembered, with its hash once holder was asked.
type deliveryKey struct {
	hook string
	key  []byte
	hash uint64
}

func newDeliveryKey(hook, key string) deliveryKey {
	return deliveryKey{hook: hook, key: codec.Key(key)}
}

// takenKey is who holds a key.
type takenKey struct {
	seq      int64
	delivery []byte
	end      int64 // of its window
}

// holder returns who holds a key; seq is 0 when nobody does.
func (c *connection) holder(k *deliveryKey) (t takenKey, err error) {
	k.hash = keyHash(c.salt, k.hook, k.key)
	c.found = c.keys.find(k.hash, c.found[:0])
	for _, seq := range c.found {
		row, err := c.keyHolder.first(seq, k.hook, k.key)
		if err != nil {
			return t, err
		}
		if row == nil {
			continue // another key, or one that is gone
		}
		delivery, ok := row[0].([]byte)
		end, whole := row[1].(int64)
		if !ok || !whole {
			return t, fmt.Errorf("key %d is of %T until %T", seq, row[0], row[1])
		}
		return takenKey{seq, delivery, end}, nil
	}
	return takenKey{}, nil
}

// hold gives a key that nobody holds to a delivery.
func (c *connection) hold(k deliveryKey, delivery []byte, end int64) error {
	if err := c.insertKey.exec(c.keys.next(), k.hook, k.key, delivery, end); err != nil {
		return err
	}
	c.keys.add(k.hash, end)
	return nil
}

// loadKeys reads the index, and makes runs where they are missing: of keys that were brought over
// from an older schema, or when a run is damaged.
func (c *connection) loadKeys(ctx context.Context) error {
	if err := c.conn.QueryRowContext(ctx, "SELECT salt FROM dedupe_salt").Scan(&c.salt); err != nil {
		return fmt.Errorf("read salt of delivery keys: %w", err)
	}
	err := c.readRuns(ctx)
	damaged := errors.Is(err, errKeyRun)
	if err != nil && !damaged {
		return fmt.Errorf("read index of delivery keys: %w", err)
	}
	if damaged {
		c.keys = newKeyIndex()
	}
	made, err := c.readTail(ctx)
	if err == nil && (len(made) > 0 || damaged) {
		err = c.keepRuns(ctx, made, damaged)
	}
	if err != nil {
		return fmt.Errorf("index delivery keys: %w", err)
	}
	return nil
}

func (c *connection) readRuns(ctx context.Context) error {
	c.keys = newKeyIndex()
	rows, err := c.conn.QueryContext(ctx, "SELECT first, length, data FROM dedupe_run ORDER BY first")
	if err != nil {
		return err
	}
	defer rows.Close()
	var runs []*keyRun
	for rows.Next() {
		var (
			first  int64
			length int
			data   sql.RawBytes
		)
		if err := rows.Scan(&first, &length, &data); err != nil {
			return err
		}
		r, err := decodeKeyRun(first, length, data)
		if err != nil {
			return err
		}
		runs = append(runs, r)
	}
	c.keys.load(runs)
	return rows.Err()
}

// readTail takes the keys in that no run has, and returns the runs that it made of them.
func (c *connection) readTail(ctx context.Context) (made []*keyRun, err error) {
	rows, err := c.conn.QueryContext(ctx, "SELECT seq, hook, key, expires_at FROM dedupe_key WHERE seq >= ? ORDER BY seq", c.keys.next())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			seq, end int64
			hook     string
			key      sql.RawBytes
		)
		if err := rows.Scan(&seq, &hook, &key, &end); err != nil {
			return nil, err
		}
		if r := c.keys.skip(seq); r != nil {
			made = append(made, r)
		}
		c.keys.add(keyHash(c.salt, hook, key), end)
		if c.keys.full(runLength) {
			r := c.keys.oldest(runLength)
			c.keys.settle(r)
			made = append(made, r)
		}
	}
	return made, rows.Err()
}

// keepRuns writes runs, perhaps in the place of all there are.
func (c *connection) keepRuns(ctx context.Context, made []*keyRun, instead bool) (err error) {
	if _, err := c.begin.ExecContext(ctx); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_, undo := c.rollback.Exec()
			err = errors.Join(err, undo)
		}
	}()
	if instead {
		if _, err := c.conn.ExecContext(ctx, "DELETE FROM dedupe_run"); err != nil {
			return err
		}
	}
	for _, r := range made {
		if err := c.keepRun(r); err != nil {
			return err
		}
	}
	_, err = c.commit.ExecContext(ctx)
	return err
}

func (c *connection) keepRun(r *keyRun) error {
	_, err := c.insertRun.Exec(r.first, r.length(), r.due, r.encode())
	return err
}

// indexKeys keeps a run of the oldest keys of the tail.
type indexKeys struct{ run *keyRun }

func (o *indexKeys) apply(c *connection, _ *jumpGuard) error { return c.keepRun(o.run) }
func (*indexKeys) told() []job.Job                           { return nil }
func (o *indexKeys) committed(c *connection)                 { c.keys.settle(o.run) }

// indexKeysIfDue makes a run of the tail when it is long enough. The callers have been answered by
// now. A run that could not be kept is tried again behind some further keys.
func (w *writer) indexKeysIfDue() {
	if w.conn == nil || !w.conn.keys.full(w.opts.runLength+w.unindexed) {
		return
	}
	wr := &write{op: &indexKeys{w.conn.keys.oldest(w.opts.runLength)}, reply: make(chan error, 1)}
	w.commit([]*write{wr})
	if err := <-wr.reply; err != nil {
		w.unindexed += w.opts.runLength / 8
		w.opts.Log.Warn("delivery keys not indexed, will try again", "error", err)
		return
	}
	w.unindexed = 0
}

// expiredKeys is what retention found in one run of keys.
type expiredKeys struct {
	first, length int64
	expired       []int64 // at most pruneRows
	left          int64   // how many others there are; -1 when not all that are expired were found
	due           int64   // when the window of the first of them ends
}

// sparse is in how many of its places a run must have a key, or they move to the tail.
const sparse = 4

// expired returns keys whose window has ended, of one run; nil when there is none. Keys without a run
// yet stay until they have one.
func (r *reads) expired(ctx context.Context, now time.Time) (*expiredKeys, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	e, at := &expiredKeys{left: -1}, encodeTime(now)
	err := r.db.QueryRowContext(ctx, "SELECT first, length FROM dedupe_run WHERE due <= ? ORDER BY due LIMIT 1", at).Scan(&e.first, &e.length)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	last := e.first + e.length - 1
	e.expired, err = r.numbers(ctx, "SELECT seq FROM dedupe_key WHERE seq BETWEEN ? AND ? AND expires_at <= ? ORDER BY seq LIMIT ?",
		e.first, last, at, pruneRows)
	if err != nil || len(e.expired) == pruneRows {
		return e, err
	}
	err = r.db.QueryRowContext(ctx, "SELECT count(*), coalesce(min(expires_at), 0) FROM dedupe_key WHERE seq BETWEEN ? AND ? AND expires_at > ?",
		e.first, last, at).Scan(&e.left, &e.due)
	return e, err
}

// expire deletes expired keys, and then gives up their run when it has none left.
func (o *prune) expire(c *connection, e *expiredKeys) error {
	for _, seq := range e.expired {
		if err := o.delete(c.deleteKey, seq, o.now); err != nil {
			return err
		}
	}
	switch {
	case e.left < 0:
		return nil
	case e.left == 0:
		res, err := c.deleteRun.Exec(e.first, e.first, e.first+e.length-1)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		o.emptied = n > 0
		return err
	case e.left*sparse < e.length:
		return o.moveKeys(c, e)
	}
	_, err := c.putOffRun.Exec(e.due, e.first)
	return err
}

// committed lets the index forget a run that is gone.
func (o *prune) committed(c *connection) {
	if o.emptied {
		c.keys.drop(o.keys.first, int(o.keys.length))
	}
}

// moveKeys moves some keys of a run that has few to the tail, so that the memory of runs is bounded by
// how many keys there are.
func (o *prune) moveKeys(c *connection, e *expiredKeys) error {
	rows, err := c.keysOfRun.Query(e.first, e.first+e.length-1, pruneRows)
	if err != nil {
		return err
	}
	defer rows.Close()
	type row struct {
		deliveryKey
		takenKey
	}
	var all []row
	for rows.Next() {
		var k row
		if err := rows.Scan(&k.seq, &k.hook, &k.key, &k.delivery, &k.end); err != nil {
			return err
		}
		k.hash = keyHash(c.salt, k.hook, k.key)
		all = append(all, k)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, k := range all {
		if err := o.delete(c.moveKey, k.seq); err != nil {
			return err
		}
		if err := c.hold(k.deliveryKey, k.delivery, k.end); err != nil {
			return err
		}
	}
	return nil
}

// ofKeys are the statements of the keys of deliveries.
func (s *statements) ofKeys() []statement {
	return []statement{
		{&s.insertRun, "INSERT INTO dedupe_run (first, length, due, data) VALUES (?, ?, ?, ?)"},
		{&s.putOffRun, "UPDATE dedupe_run SET due = ? WHERE first = ?"},
		{&s.deleteRun, "DELETE FROM dedupe_run WHERE first = ? AND NOT EXISTS (SELECT 1 FROM dedupe_key WHERE seq BETWEEN ? AND ?)"},
		{&s.keysOfRun, "SELECT seq, hook, key, delivery, expires_at FROM dedupe_key WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?"},
		{&s.moveKey, "DELETE FROM dedupe_key WHERE seq = ?"},
		{&s.deleteKey, "DELETE FROM dedupe_key WHERE seq = ? AND expires_at <= ?"},
	}
}
