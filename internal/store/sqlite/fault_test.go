package sqlite

import (
	"bufio"
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
	t.Parallel()
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
	t.Parallel()
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

// TestClose_LeavesNoFileOpen holds a store, and a connection that is given up after a fault, to
// leave neither files nor locks behind.
func TestClose_LeavesNoFileOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	s := open(t, path, Options{})
	mustPut(t, s, "")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if left := openFiles(t, path); len(left) > 0 {
		t.Errorf("after Close: %v", left)
	}
	s = open(t, path, Options{})
	mustPut(t, s, "")
	before := openFiles(t, path)
	for range 20 {
		again, err := s.writer.reopen()
		if err != nil {
			t.Fatal(err)
		}
		if err := again.close(); err != nil { // as discard does
			t.Fatal(err)
		}
	}
	// SQLite keeps one more for the next connection, because closing it would drop others' locks.
	if after := openFiles(t, path); len(after) > len(before)+1 {
		t.Errorf("%d files were open, after 20 connections that were given up %d: %v", len(before), len(after), after)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// openFiles are those of this process whose path begins so.
func openFiles(t *testing.T, path string) (names []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if name, err := os.Readlink(one); err == nil && strings.HasPrefix(name, path) {
			names = append(names, name)
		}
	}
	return names
}

// childStray opens and closes the store's file beside the connection that writes, which drops
// locks of POSIX, and stays until its standard input ends.
func childStray(path string) error {
	c, err := openConnection(context.Background(), path, time.Second)
	if err != nil {
		return err
	}
	if _, err := c.conn.ExecContext(context.Background(), "CREATE TABLE stray (x)"); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	fmt.Println("closed")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	return c.close()
}

// TestB11_AStrayCloseDropsNoLock asks the kernel: while the connection is open its lock on the file is
// there, which keeps other programs from taking themselves for the last one. (A close of the -shm
// file would drop locks still; nothing of ours opens it.)
func TestB11_AStrayCloseDropsNoLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	if err := open(t, path, Options{}).Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	const sharedFirst = 0x40000000 + 2 // of SQLite's lock bytes
	ours := fmt.Sprintf(":%d %d ", info.Sys().(*syscall.Stat_t).Ino, sharedFirst)
	cmd := child(t, "stray", path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(locks), ours) {
		t.Errorf("no lock on %s is left:\n%s", ours, locks)
	}
	if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
		t.Fatal(err)
	}
}
