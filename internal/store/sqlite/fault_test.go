package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tenterhook/tenterhook/internal/store"
)

// noise does not compress.
func noise(size int) []byte {
	b := make([]byte, size)
	x := uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}

func TestAFullDiskRefusesAndRecoversByItself(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	var log logged
	path := filepath.Join(dir, "t.db")
	s := open(t, path, Options{Log: log.logger()})
	var acked []string
	var full error
	for full == nil {
		d := newDelivery("")
		d.Body = noise(20_000)
		if full = put(s, d); full == nil {
			acked = append(acked, d.ID)
		}
	}
	wantUnavailable(t, full)
	if !strings.Contains(full.Error(), "full") || len(acked) == 0 {
		t.Errorf("after %d deliveries: %v", len(acked), full)
	}
	for range 3 {
		d := newDelivery("")
		d.Body = noise(20_000)
		wantUnavailable(t, put(s, d))
	}
	if s.Ready(context.Background()) == nil {
		t.Error("ready on a full disk")
	}
	select {
	case err := <-s.Broken():
		t.Fatalf("a full disk broke the store: %v", err)
	default:
	}

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	after := mustPut(t, s, "") // the very next one
	if err := s.Ready(context.Background()); err != nil {
		t.Errorf("space is back: %v", err)
	}
	if n := strings.Count(log.String(), "cannot commit"); n != 1 || !strings.Contains(log.String(), "commits again") {
		t.Errorf("log says %d times that it cannot commit:\n%s", n, log.String())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, Options{})
	for _, id := range append(acked, after.ID) {
		if !stored(t, s, id) {
			t.Errorf("acknowledged delivery %s is lost", id)
		}
	}
}

func TestALockHeldElsewhereRefusesInTimeAndRecoversWithoutTraffic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	s := open(t, path, Options{CommitDeadline: 200 * time.Millisecond})
	mustPut(t, s, "")
	unlock := lockElsewhere(t, path)
	began := time.Now()
	d := newDelivery("k")
	wantUnavailable(t, put(s, d))
	if took := time.Since(began); took < 100*time.Millisecond || took > 10*time.Second {
		t.Errorf("refused after %v", took)
	}
	eventually(t, "Ready says why", func() bool {
		err := s.Ready(context.Background())
		return err != nil && strings.Contains(err.Error(), "locked")
	})
	unlock()
	eventually(t, "the store is ready again", func() bool { return s.Ready(context.Background()) == nil })
	mustPut(t, s, "k")
}

// lockElsewhere begins a transaction on a connection of another tool.
func lockElsewhere(t *testing.T, path string) (unlock func()) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	return func() { _ = db.Close() }
}

func TestAnIOErrorBreaksTheStoreForGood(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	out, err := child(t, "io-error", path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s := open(t, path, Options{})
	acked := strings.Fields(string(out))
	if len(acked) == 0 {
		t.Fatal("nothing was stored before the error")
	}
	for _, id := range acked {
		if !stored(t, s, id) {
			t.Errorf("acknowledged delivery %s is lost", id)
		}
	}
}

// childIOError limits the size of files, so that a write fails, and prints what was stored
// before. A failed write past the limit is an I/O error to SQLite.
func childIOError(path string) error {
	s, err := Open(context.Background(), path, Options{})
	if err != nil {
		return err
	}
	var broken, refused error
	limit := syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	for range 1000 {
		d := newDelivery("")
		d.Body = noise(20_000)
		if refused = put(s, d); refused != nil {
			break
		}
		fmt.Println(d.ID)
	}
	select {
	case broken = <-s.Broken():
	case <-time.After(patience):
	}
	again, ready := put(s, newDelivery("")), s.Ready(context.Background())
	for what, err := range map[string]error{"the write": refused, "the next": again, "Ready": ready} {
		if !errors.Is(err, store.ErrUnavailable) || !isLost(err) {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	if !isLost(broken) {
		return fmt.Errorf("Broken: %w", broken)
	}
	if err := s.Close(); !isLost(err) {
		return fmt.Errorf("Close: %w", err)
	}
	return nil
}

func TestADamagedPageIsNoticedAndNothingIsWrittenOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	s := open(t, path, Options{})
	for range 500 {
		mustPut(t, s, "")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, path, pageSize, 1<<20) // everything but the first page
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err = Open(context.Background(), path, Options{})
	if err == nil {
		defer s.Close()
		wantUnavailable(t, put(s, newDelivery("")))
		select {
		case err = <-s.Broken():
		case <-time.After(patience):
			t.Fatal("the store is not broken")
		}
	}
	if !isLost(err) {
		t.Errorf("a damaged file: %v", err)
	}
	after, readErr := os.ReadFile(path)
	if readErr != nil || !bytes.Equal(before, after) {
		t.Errorf("a damaged file was written to (%v)", readErr)
	}
}

// damage overwrites a part of the file with noise, as far as the file goes.
func damage(t *testing.T, path string, from, length int64) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.WriteAt(noise(int(min(length, info.Size()-from))), from)
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestAReplacedFileBreaksTheStore(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"removed": os.Remove,
		"replaced": func(path string) error {
			return errors.Join(os.Rename(path, path+".old"), os.WriteFile(path, nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "t.db")
			s := open(t, path, Options{})
			mustPut(t, s, "")
			if err := change(path); err != nil {
				t.Fatal(err)
			}
			select {
			case <-s.Broken():
			case <-time.After(patience):
				t.Fatal("not noticed")
			}
			wantUnavailable(t, put(s, newDelivery("")))
		})
	}
}

func TestFaultsAreToldApart(t *testing.T) {
	if isPoison(lostError{errors.New("gone")}) || isPoison(sql.ErrConnDone) {
		t.Error("a fault of the connection is blamed on a row")
	}
	if !isPoison(errors.New("cannot encode")) || isLost(errors.New("cannot encode")) {
		t.Error("a fault of a row is blamed on the file")
	}
}
