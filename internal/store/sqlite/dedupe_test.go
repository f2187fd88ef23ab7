package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// keyModel walks the delivery keys of a store at random beside a plain map. Runs are of few keys, so
// that there are many of them.
type keyModel struct {
	t     *testing.T
	s     *Store
	path  string
	now   time.Time
	taken map[[2]string]keyTaken
}

type keyTaken struct {
	by    string
	until time.Time
}

func (m *keyModel) options() Options { return Options{runLength: 8} }

func TestKeys_AreAsAPlainMapSaysThroughRunsPurgesAndKills(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		m := &keyModel{t: t, path: filepath.Join(t.TempDir(), "t.db"), now: epoch, taken: map[[2]string]keyTaken{}}
		m.s = open(t, m.path, m.options())
		rt.Repeat(map[string]func(*rapid.T){
			"new": m.fresh, "any": m.any, "any too": m.any, "bad neighbour": m.badNeighbour, "wait": m.wait,
			"prune": m.prune, "prune too": m.prune, "stop": m.stop, "kill": m.kill, "": m.sound,
		})
		if err := m.s.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

func (m *keyModel) deliver(t *rapid.T, hook, key string, window time.Duration) {
	d := newDelivery(key)
	d.Hook, d.Window, d.ReceivedAt = hook, window, m.now
	got, err := m.s.Accept(context.Background(), d, nil)
	if err != nil {
		t.Fatal(err)
	}
	k := [2]string{hook, key}
	if was, ok := m.taken[k]; ok && m.now.Before(was.until) {
		if !got.Duplicate || got.Delivery != was.by {
			t.Fatalf("key %v of %s came again: %+v", k, was.by, got)
		}
		return
	}
	if got.Duplicate {
		t.Fatalf("key %v is free, but: %+v", k, got)
	}
	m.taken[k] = keyTaken{d.ID, m.now.Add(window)}
}

func window(t *rapid.T) time.Duration {
	return rapid.SampledFrom([]time.Duration{0, time.Minute, time.Minute, time.Hour, 100 * time.Hour}).Draw(t, "window")
}

func (m *keyModel) fresh(t *rapid.T) {
	for range rapid.IntRange(1, 12).Draw(t, "deliveries") {
		m.deliver(t, "deploy", job.NewID(), window(t))
	}
}

func (m *keyModel) any(t *rapid.T) {
	for range rapid.IntRange(1, 6).Draw(t, "deliveries") {
		hook := rapid.SampledFrom([]string{"deploy", "bill"}).Draw(t, "hook")
		m.deliver(t, hook, fmt.Sprint(rapid.IntRange(0, 12).Draw(t, "key")), window(t))
	}
}

// badNeighbour takes a key in a transaction that is rolled back.
func (m *keyModel) badNeighbour(t *rapid.T) {
	d := newDelivery(job.NewID())
	d.Window, d.ReceivedAt = time.Hour, m.now
	op, err := newAccept(d, nil)
	if err != nil {
		t.Fatal(err)
	}
	bad := errors.New("bad")
	if err := m.s.writer.do(context.Background(), failing{op, bad}, 0); !errors.Is(err, bad) {
		t.Fatal(err)
	}
	m.deliver(t, d.Hook, d.Key, window(t))
}

// failing applies an operation and fails then.
type failing struct {
	operation
	err error
}

func (f failing) apply(c *connection, now *jumpGuard) error {
	return errors.Join(f.operation.apply(c, now), f.err)
}

func (m *keyModel) wait(t *rapid.T) {
	m.now = m.now.Add(rapid.SampledFrom([]time.Duration{time.Second, 30 * time.Second, 2 * time.Minute, 2 * time.Hour}).Draw(t, "time"))
}

func (m *keyModel) prune(t *rapid.T) {
	for more, slices := true, 0; more; slices++ {
		pruned, err := m.s.Prune(context.Background(), store.Retention{For: time.Minute}, m.now)
		if err != nil {
			t.Fatal(err)
		}
		more = pruned.More
		if slices > 1000 {
			t.Fatal("retention finds no end")
		}
	}
}

func (m *keyModel) stop(t *rapid.T) {
	if err := m.s.Close(); err != nil {
		t.Fatal(err)
	}
	m.s = open(m.t, m.path, m.options())
}

// kill goes on with what a kill would leave just now.
func (m *keyModel) kill(t *rapid.T) {
	to := filepath.Join(m.t.TempDir(), "t.db")
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(m.path + suffix)
		if err == nil {
			err = os.WriteFile(to+suffix, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := m.s.Close(); err != nil {
		t.Fatal(err)
	}
	m.path, m.s = to, open(m.t, to, m.options())
}

// sound holds each key to be there once, the runs that are kept to be of the keys there are, and their
// memory to be bounded.
func (m *keyModel) sound(t *rapid.T) {
	twice, err := m.s.Count(context.Background(), "(SELECT 1 FROM dedupe_key GROUP BY hook, key HAVING count(*) > 1)")
	if err != nil || twice != 0 {
		t.Fatalf("%d keys are there twice, %v", twice, err)
	}
	rows, err := m.s.Rows(context.Background(), "dedupe_key k", []string{"(SELECT count(*) FROM dedupe_run r WHERE k.seq BETWEEN r.first AND r.first + r.length - 1)"}, []string{"seq"}, nil, 100_000)
	if err != nil {
		t.Fatal(err)
	}
	tail := 0
	for i, row := range rows {
		switch n := row[0].(int64); {
		case n > 1:
			t.Fatalf("key %d is in %d runs", i, n)
		case n == 0:
			tail++
		}
	}
	if tail > 2*m.options().runLength+12 {
		t.Fatalf("%d of %d keys are in no run", tail, len(rows))
	}
}

// fill takes keys in order from one number up to another.
func fill(t *testing.T, s *Store, from, to int, window time.Duration) {
	t.Helper()
	for i := from; i < to; i++ {
		d := newDelivery(fmt.Sprint(i))
		d.Window = window
		if r, err := s.Accept(context.Background(), d, nil); err != nil || r.Duplicate {
			t.Fatalf("key %d: %+v, %v", i, r, err)
		}
	}
}

// duplicates reports of keys in order whether they are taken.
func duplicates(t *testing.T, s *Store, from, to int, at time.Time) (n int) {
	t.Helper()
	for i := from; i < to; i++ {
		d := newDelivery(fmt.Sprint(i))
		d.Window, d.ReceivedAt = time.Hour, at
		r, err := s.Accept(context.Background(), d, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.Duplicate {
			n++
		}
	}
	return n
}

func count(t *testing.T, s *Store, table string) int {
	t.Helper()
	n, err := s.Count(context.Background(), table)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestKeys_OfARunThatHasFewLeftMoveOn(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "t.db"), Options{runLength: 64})
	for i := range 10 { // of each 64 keys one lasts
		fill(t, s, 1000+64*i, 1000+64*i+1, 100*time.Hour)
		fill(t, s, 64*i, 64*i+63, time.Minute)
	}
	fill(t, s, 5000, 5001, time.Minute)
	before := count(t, s, "dedupe_run")
	later := epoch.Add(time.Hour)
	for more := true; more; {
		pruned, err := s.Prune(context.Background(), store.Retention{}, later)
		if err != nil {
			t.Fatal(err)
		}
		more = pruned.More
	}
	if runs, keys := count(t, s, "dedupe_run"), count(t, s, "dedupe_key"); before < 9 || runs > 1 || keys > 64 {
		t.Errorf("of %d runs %d are left, with %d keys", before, runs, keys)
	}
	for i := range 10 {
		if duplicates(t, s, 1000+64*i, 1000+64*i+1, later) != 1 {
			t.Errorf("key %d that lasts is free", i)
		}
	}
}

func TestKeys_AKeyTakenAgainWhileRetentionLooksIsNotLost(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "t.db"), Options{runLength: 4})
	fill(t, s, 0, 5, time.Minute)
	later := epoch.Add(time.Hour)
	found, err := s.expired(context.Background(), later)
	if err != nil || found == nil || len(found.expired) != 4 {
		t.Fatal(found, err)
	}
	if duplicates(t, s, 2, 3, later) != 0 {
		t.Fatal("a key is taken beyond its window")
	}
	if err := s.writer.doLow(context.Background(), &prune{keys: found, now: encodeTime(later)}); err != nil {
		t.Fatal(err)
	}
	if n := duplicates(t, s, 2, 3, later); n != 1 {
		t.Error("a key that was taken again is free")
	}
}

func TestKeys_OfAnOlderSchemaAreBroughtOver(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "t.db")
	steps, err := schema()
	if err != nil {
		t.Fatal(err)
	}
	const n = 2*runLength + 100
	made(t, path, append(append([]string{"PRAGMA page_size = 8192", "PRAGMA journal_mode = WAL"}, steps[:8]...), "PRAGMA user_version = 8", fmt.Sprintf(`WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < %d - 1)
		INSERT INTO dedupe (hook, key, delivery, expires_at) SELECT 'deploy', CAST('k' || i AS BLOB), unhex(printf('019c000070008%%019x', i)), %d + i FROM c`,
		n, encodeTime(epoch)+1e6))...)
	for range 2 {
		s := open(t, path, Options{})
		if got := duplicates(t, s, 0, 50, epoch) + duplicates(t, s, n-50, n, epoch); got != 100 {
			t.Errorf("of 100 keys %d are taken", got)
		}
		if runs := count(t, s, "dedupe_run"); runs != 2 {
			t.Errorf("%d runs, want 2", runs)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKeys_AreIndexedAgainWhenARunIsDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	s := open(t, path, Options{runLength: 100})
	fill(t, s, 0, 350, time.Hour)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	made(t, path, "UPDATE dedupe_run SET data = x'00' WHERE first = 101", "DELETE FROM dedupe_key WHERE seq = 50 OR seq = 250")
	for range 2 {
		s = open(t, path, Options{})
		if n := duplicates(t, s, 0, 49, epoch) + duplicates(t, s, 50, 249, epoch) + duplicates(t, s, 250, 350, epoch); n != 348 {
			t.Errorf("%d keys are taken, want 348", n)
		}
		if n := count(t, s, "dedupe_run"); n != 0 {
			t.Errorf("%d runs are left of a damaged index", n)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKeys_HaveHashesOfTheirStoresOwn has the same keys in two stores, and in one that was kept by
// the version before, whose hashes anybody could compute.
func TestKeys_HaveHashesOfTheirStoresOwn(t *testing.T) {
	salts := map[string]bool{}
	for range 2 {
		path := filepath.Join(t.TempDir(), "t.db")
		s := open(t, path, Options{runLength: 8})
		for i := range 40 {
			mustPut(t, s, fmt.Sprint("key ", i))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}

		c, err := openConnection(t.Context(), path, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		var (
			salt string
			runs int
		)
		if err := c.conn.QueryRowContext(t.Context(), "SELECT salt, (SELECT count(*) FROM dedupe_run) FROM dedupe_salt").Scan(&salt, &runs); err != nil {
			t.Fatal(err)
		}
		if salts[salt] = true; runs == 0 {
			t.Error("there are no runs")
		}
		step, err := schemaFiles.ReadFile("schema/0012_salt.sql") // finds runs whose hashes have another salt
		if err != nil {
			t.Fatal(err)
		}
		for _, sql := range []string{"DROP TABLE dedupe_salt", string(step)} {
			if _, err := c.conn.ExecContext(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, path, Options{runLength: 8})
		if string(s.writer.conn.salt) == salt {
			t.Error("the salt is the same")
		}
		for i := range 40 {
			d := newDelivery(fmt.Sprint("key ", i))
			if receipt, err := s.Accept(t.Context(), d, nil); err != nil || !receipt.Duplicate {
				t.Errorf("key %d is free: %+v %v", i, receipt, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(salts) != 2 {
		t.Error("two stores have the same salt")
	}
}
