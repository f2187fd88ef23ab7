package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

func TestFilesAreForTheirOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "tenterhook")
	path := filepath.Join(dir, "t #1?%20.db") // a name that is no URL
	s := open(t, path, Options{})
	mustPut(t, s, "")
	for _, name := range []string{path, path + "-wal", path + "-shm", path + ".lock"} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want 0600", name, info, err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v; want 0700", info, err)
	}
}

func TestOpenWarnsOfAFileOthersCanRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	if err := open(t, path, Options{}).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	var log logged
	open(t, path, Options{Log: log.logger()})
	if !strings.Contains(log.String(), "-rw-r--r--") {
		t.Errorf("log says: %s", log.String())
	}
}

// made makes a database with the statements.
func made(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefusesWhatItMustNotWriteTo(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(t *testing.T, path string)
		want string
	}{
		{"a text file", func(t *testing.T, path string) { writeFile(t, path, bytes.Repeat([]byte("hooks:\n"), 9000)) }, "not a database"},
		{"a short file", func(t *testing.T, path string) { writeFile(t, path, []byte("SQLite format 3\x00")) }, "not a database"},
		{"an empty file beside its log", func(t *testing.T, path string) {
			writeFile(t, path, nil)
			writeFile(t, path+"-wal", []byte("data"))
		}, "empty but its log"},
		{"a log without its file", func(t *testing.T, path string) { writeFile(t, path+"-wal", []byte("data")) }, "missing but its log"},
		{"another program's database", func(t *testing.T, path string) { made(t, path, "CREATE TABLE a (b)") }, "another program"},
		{"another program's marked database", func(t *testing.T, path string) {
			made(t, path, "PRAGMA application_id = 7")
		}, "another program"},
		{"a newer schema", func(t *testing.T, path string) {
			made(t, path, "PRAGMA application_id = 1952804468", "PRAGMA user_version = 4711", "PRAGMA journal_mode = WAL")
		}, "schema is 4711, this program knows up to "},
		{"a folder", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "not a regular file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "t.db")
			tt.make(t, path)
			before, _ := os.ReadFile(path)
			s, err := Open(context.Background(), path, Options{})
			if err == nil {
				_ = s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want %q and the path", err, tt.want)
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
			if r, err := OpenReader(context.Background(), path); err == nil {
				t.Error("a reader takes it")
				_ = r.Close()
			}
		})
	}
}

func TestOpenTakesUpAStoreThatWasCutOffWhileItWasMade(t *testing.T) {
	for name, make := range map[string]func(t *testing.T, path string){
		"an empty file": func(t *testing.T, path string) { writeFile(t, path, nil) },
		"a file without tables": func(t *testing.T, path string) {
			made(t, path, "PRAGMA page_size = 8192", "PRAGMA journal_mode = WAL")
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "t.db")
			make(t, path)
			mustPut(t, open(t, path, Options{}), "")
		})
	}
}

func TestLocalFileSystemsAreTaken(t *testing.T) {
	for _, dir := range []string{t.TempDir(), "/", "/dev/shm", "/proc"} {
		if name, err := networkFileSystem(dir); name != "" || err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is on %q (%v)", dir, name, err)
		}
	}
}

func TestVersionsAreComparedAsNumbers(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"3.51.3", "3.51.3", false},
		{"3.51.2", "3.51.3", true},
		{"3.9.9", "3.51.3", true},
		{"3.100.0", "3.51.3", false},
		{"3.52", "3.51.3", false},
		{"3.51", "3.51.3", true},
		{"4.0.0", "3.51.3", false},
	} {
		if got := older(tt.a, tt.b); got != tt.want {
			t.Errorf("%s older than %s: %t", tt.a, tt.b, got)
		}
	}
}

func TestAReaderReadsBesideTheDaemonAndWithoutIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	if _, err := OpenReader(context.Background(), path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading what is not there: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a reader made a file: %v", err)
	}
	s := open(t, path, Options{})
	first := mustPut(t, s, "a")
	r, err := OpenReader(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	reads := func(d *job.Delivery) {
		t.Helper()
		if got, err := r.Delivery(context.Background(), d.ID); err != nil || got.Key != d.Key {
			t.Errorf("read %+v, %v", got, err)
		}
	}
	reads(first)
	reads(mustPut(t, s, "b"))
	if _, err := r.db.Exec("DELETE FROM dedupe_key"); err == nil {
		t.Error("a reader can write")
	}
	if err := errors.Join(r.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}

	if r, err = OpenReader(context.Background(), path); err != nil {
		t.Fatal(err)
	}
	reads(first)
	s = open(t, path, Options{}) // the daemon starts beside the reader
	reads(mustPut(t, s, "c"))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, "d")
}

// testClock is a clock that a test sets.
type testClock struct {
	wall time.Time
	mono time.Duration
}

func (c *testClock) clock() clock {
	return clock{wall: func() time.Time { return c.wall }, monotonic: func() time.Duration { return c.mono }}
}

// pass lets time go by, and jump sets the wall clock as well.
func (c *testClock) pass(d, jump time.Duration) {
	c.wall, c.mono = c.wall.Add(d+jump), c.mono+d
}

func TestPruningSkipsARoundWhenTheClockWasSet(t *testing.T) {
	c := &testClock{wall: epoch}
	var log logged
	s := open(t, filepath.Join(t.TempDir(), "t.db"), Options{Log: log.logger(), clock: c.clock()})
	d := newDelivery("k")
	if _, err := s.Accept(context.Background(), d, nil); err != nil {
		t.Fatal(err)
	}
	keep := store.Retention{For: 24 * time.Hour}
	prune := func() {
		t.Helper()
		if pruned, err := s.Prune(context.Background(), keep, c.wall); pruned.More || err != nil {
			t.Errorf("Prune: %+v, %v", pruned, err)
		}
	}
	c.pass(10*time.Minute, 0)
	prune()
	c.pass(10*time.Minute, 365*24*time.Hour)
	prune()
	if !stored(t, s, d.ID) {
		t.Error("the clock was set and a delivery is gone")
	}
	if !strings.Contains(log.String(), "the clock was set") {
		t.Errorf("log says: %s", log.String())
	}
	c.pass(10*time.Minute, 30*time.Minute) // no jump
	prune()
	if stored(t, s, d.ID) {
		t.Error("pruning did not go on in the next round")
	}
}

func TestAKeyDoesNotExpireBecauseTheClockWasSet(t *testing.T) {
	c := &testClock{wall: epoch}
	s := open(t, filepath.Join(t.TempDir(), "t.db"), Options{clock: c.clock()})
	duplicate := func() bool {
		t.Helper()
		d := newDelivery("k")
		d.ReceivedAt = c.wall
		r, err := s.Accept(context.Background(), d, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r.Duplicate
	}
	prune := func() {
		t.Helper()
		if _, err := s.Prune(context.Background(), store.Retention{}, c.wall); err != nil {
			t.Fatal(err)
		}
	}
	duplicate()
	for _, jump := range []time.Duration{365 * 24 * time.Hour, -700 * 24 * time.Hour} {
		c.pass(time.Minute, jump)
		prune()
		prune()
		if !duplicate() {
			t.Errorf("the clock was set by %v and the key is free", jump)
		}
	}
	c.pass(time.Hour, 0)
	if duplicate() {
		t.Error("the key is taken after its window")
	}
}
