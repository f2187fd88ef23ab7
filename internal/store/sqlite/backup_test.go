package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// A backup taken while deliveries come in is one moment: it opens as a store, with what was there
// when it began.
func TestBackup_IsOneMomentOfAStoreThatIsWrittenTo(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "live.db"), Options{})
	var before []string
	for i := range 200 {
		before = append(before, mustPut(t, s, fmt.Sprint("before", i)).ID)
	}
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				done <- n
				return
			default:
			}
			if err := put(s, newDelivery(fmt.Sprint("during", n))); err != nil {
				t.Error(err)
			}
		}
	}()
	to := filepath.Join(dir, "backup.db")
	told := 0
	c, err := Backup(t.Context(), filepath.Join(dir, "live.db"), to, false, func(done, all int) { told = done * 100 / all })
	close(stop)
	during := <-done
	if err != nil {
		t.Fatal(err)
	}
	if told != 100 || during == 0 || c.Deliveries < 200 || c.Deliveries > int64(200+during) || c.Jobs != c.Deliveries {
		t.Errorf("%d%%, %d written meanwhile, %+v", told, during, c)
	}
	if info, err := os.Stat(to); err != nil || info.Mode().Perm() != 0o600 || info.Size() != c.Bytes {
		t.Errorf("%v %v", info, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".backup-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	copied := open(t, to, Options{})
	for _, id := range before {
		if !stored(t, copied, id) {
			t.Errorf("%s is missing", id)
		}
	}
	mustPut(t, copied, "after") // and it can be gone on with
}

func TestBackup_LeavesWhatIsThereUntilTheNewOneIsGood(t *testing.T) {
	dir := t.TempDir()
	path, to := filepath.Join(dir, "live.db"), filepath.Join(dir, "backup.db")
	s := open(t, path, Options{})
	mustPut(t, s, "one")
	if err := os.WriteFile(to, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	nothing := func(int, int) {}
	if _, err := Backup(t.Context(), path, to, false, nothing); !errors.Is(err, fs.ErrExist) {
		t.Errorf("written over: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Backup(ctx, path, to, true, nothing); !errors.Is(err, context.Canceled) {
		t.Errorf("not interrupted: %v", err)
	}
	if kept, _ := os.ReadFile(to); string(kept) != "precious" {
		t.Errorf("it holds %q", kept)
	}
	if _, err := Backup(t.Context(), path, to, true, nothing); err != nil {
		t.Fatal(err)
	}
	if got := open(t, to, Options{}); got == nil {
		t.Error("not replaced")
	}
}

func TestBackup_OfADamagedStoreIsNone(t *testing.T) {
	dir := t.TempDir()
	path, to := filepath.Join(dir, "live.db"), filepath.Join(dir, "backup.db")
	s := open(t, path, Options{})
	for i := range 300 {
		mustPut(t, s, fmt.Sprint(i))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	garbage := make([]byte, 2*pageSize)
	for i := range garbage {
		garbage[i] = 0xff
	}
	if _, err := f.WriteAt(garbage, info.Size()/pageSize/2*pageSize); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Backup(t.Context(), path, to, false, func(int, int) {}); err == nil {
		t.Error("the copy of a damaged store is called good")
	}
	if _, err := os.Stat(to); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the backup is there")
	}
}

// A daemon that has a store open goes on writing to the file whose name a backup took, and all of
// that would be lost: acknowledged deliveries, too.
func TestBackup_IsNeverOverTheStoreItself(t *testing.T) {
	dir := t.TempDir()
	live := filepath.Join(dir, "live.db")
	s := open(t, live, Options{})
	mustPut(t, s, "before")
	for name, target := range map[string]string{"link.db": live, "other": dir} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, to := range []string{
		live, live + "-wal", live + "-shm", live + "-journal", live + ".lock", live + ".last-good",
		filepath.Join(dir, "link.db"), filepath.Join(dir, "other", "live.db"), filepath.Join(dir, "other", "live.db-wal"),
	} {
		if _, err := Backup(t.Context(), live, to, true, func(int, int) {}); !errors.Is(err, ErrOwnFile) {
			t.Errorf("to %s: %v", to, err)
		}
	}
	if _, err := Backup(t.Context(), filepath.Join(dir, "link.db"), live, true, func(int, int) {}); !errors.Is(err, ErrOwnFile) {
		t.Errorf("of a link to it: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "old"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Backup(t.Context(), live, filepath.Join(dir, "old"), true, func(int, int) {}); err != nil {
		t.Errorf("over another file: %v", err)
	}
}
