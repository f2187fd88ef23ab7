package action

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func contentOf(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func logged(t *testing.T, l *LogFile, pieces ...string) error {
	t.Helper()
	for _, p := range pieces {
		if n, err := l.Write([]byte(p)); n != len(p) || err != nil {
			t.Fatalf("wrote %d of %d: %v", n, len(p), err)
		}
	}
	return l.Close()
}

func TestLogFile_KeepsEverythingUpToItsLimit(t *testing.T) {
	for name, tt := range map[string]struct {
		limit  int64
		pieces []string
		want   string
	}{
		"less than the limit":   {10, []string{"abc", "", "\x1b[31mé"}, "abc\x1b[31mé"},
		"just the limit":        {6, []string{"abc", "def"}, "abcdef"},
		"a byte more":           {6, []string{"abc", "defg"}, "abcdef\n[… 1 bytes left out: the log of an attempt is limited to 6 …]\n"},
		"far more in one":       {6, []string{strings.Repeat("x", 1000)}, "xxxxxx\n[… 994 bytes left out: the log of an attempt is limited to 6 …]\n"},
		"more after it is full": {6, []string{"abcdef", "g", "", "hi"}, "abcdef\n[… 3 bytes left out: the log of an attempt is limited to 6 …]\n"},
	} {
		t.Run(name, func(t *testing.T) {
			path := LogPath(filepath.Join(t.TempDir(), "store", "logs"), "job-1", 2)
			l := NewLogFile(path, tt.limit)
			if err := logged(t, l, tt.pieces...); err != nil {
				t.Fatal(err)
			}
			if got := contentOf(t, path); got != tt.want {
				t.Errorf("kept %q, want %q", got, tt.want)
			}
			if err := logged(t, l, "late"); err != nil || contentOf(t, path) != tt.want {
				t.Errorf("after its end: %v, %q", err, contentOf(t, path))
			}
			if filepath.Base(path) != "job-1-2.log" {
				t.Errorf("at %s", path)
			}
		})
	}
}

func TestLogFile_IsMadeOnlyWhenThereIsSomethingToKeep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	if err := logged(t, NewLogFile(filepath.Join(dir, "a"), 100), "", ""); err != nil {
		t.Fatal(err)
	}
	if err := logged(t, NewLogFile(filepath.Join(dir, "b"), 0), "output"); err != nil {
		t.Fatal(err)
	}
	if exists(dir) {
		t.Error("there is a folder for nothing")
	}
}

func TestLogFile_IsForTheDaemonsUserAlone(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	dir := filepath.Join(t.TempDir(), "logs")
	if err := logged(t, NewLogFile(filepath.Join(dir, "a"), 100), "output"); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{dir: 0o700, filepath.Join(dir, "a"): 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
	}
}

func TestLogFile_FollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	victim, path := filepath.Join(dir, "victim"), filepath.Join(dir, "a")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, path); err != nil {
		t.Fatal(err)
	}
	if err := logged(t, NewLogFile(path, 100), "output"); !errors.Is(err, syscall.ELOOP) || contentOf(t, victim) != "precious" {
		t.Errorf("%v; the file is %q", err, contentOf(t, victim))
	}
}

func TestLogFile_ADiskThatFailsFailsNoJob(t *testing.T) {
	dir := t.TempDir()
	blocked := filepath.Join(dir, "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		"/dev/full":                   syscall.ENOSPC,
		dir:                           syscall.EISDIR,
		filepath.Join(blocked, "log"): syscall.ENOTDIR,
	} {
		l := NewLogFile(path, 1<<20)
		if err := logged(t, l, "a", "b"); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
		if err := l.Close(); !errors.Is(err, want) {
			t.Errorf("%s, closed again: %v", path, err)
		}
	}
}

func TestLogFile_SaysOnAFullDiskThatItWasCut(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("needs a small disk: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	path := filepath.Join(dir, "a.log")
	const size = 1 << 20
	err := logged(t, NewLogFile(path, size), strings.Split(strings.Repeat(strings.Repeat("x", 1023)+"\n|", size/1024), "|")...)
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
	got := contentOf(t, path)
	head, last, ok := strings.Cut(got, "\n[… ")
	var left int
	if _, err := fmt.Sscanf(last, "%d bytes left out: no space left on device …]\n", &left); !ok || err != nil || len(head)+left != size || len(head) < 32<<10 {
		t.Errorf("%d bytes, and then %.100q", len(head), last)
	}
}

func TestPruneLogs_RemovesWhatNoJobIsKeptFor(t *testing.T) {
	dir := t.TempDir()
	files := []string{"gone-1.log", "gone-2.log", "kept-1.log", "kept-12.log", "gone-0.log", "gone-x.log", "gone.log", "gone-1.log.bak", ".gone-1.log", "notes.txt"}
	for _, name := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("output"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "gone-3.log"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "gone-4.log")); err != nil {
		t.Fatal(err)
	}
	removed, err := PruneLogs(dir, func(job string) (bool, error) { return job == "kept", nil }, 1<<20)
	if err != nil || removed != 2 {
		t.Errorf("removed %d, %v", removed, err)
	}
	for _, name := range append(files, "gone-3.log", "gone-4.log") {
		_, err := os.Lstat(filepath.Join(dir, name))
		if gone := err != nil; gone != (name == "gone-1.log" || name == "gone-2.log") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPruneLogs_RemovesTheOldestUntilTheRestHasRoom(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	for i := range 10 { // 0 is the newest
		path := LogPath(dir, fmt.Sprintf("job%d", i), 1)
		if err := os.WriteFile(path, make([]byte, 100), 0o600); err != nil {
			t.Fatal(err)
		}
		at := now.Add(-time.Duration(i) * time.Hour)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	all := func(string) (bool, error) { return true, nil }
	for _, tt := range []struct {
		most          int64
		removed, left int
	}{{1000, 0, 10}, {999, 1, 9}, {350, 6, 3}, {0, 3, 0}, {0, 0, 0}} {
		removed, err := PruneLogs(dir, all, tt.most)
		if err != nil || removed != tt.removed {
			t.Errorf("at most %d: removed %d, %v", tt.most, removed, err)
		}
		left, err := filepath.Glob(filepath.Join(dir, "*.log"))
		if err != nil || len(left) != tt.left || tt.left > 0 && !slices.Contains(left, LogPath(dir, "job0", 1)) {
			t.Errorf("at most %d: left %v, %v", tt.most, left, err)
		}
	}
}

func TestPruneLogs_StopsWhenNobodyKnowsWhatIsKept(t *testing.T) {
	dir, broken := t.TempDir(), errors.New("the store is closed")
	path := LogPath(dir, "job", 1)
	if err := os.WriteFile(path, []byte("output"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := PruneLogs(dir, func(string) (bool, error) { return false, broken }, 0); !errors.Is(err, broken) || !exists(path) {
		t.Errorf("got %v", err)
	}
	if n, err := PruneLogs(filepath.Join(dir, "none"), nil, 0); n != 0 || err != nil {
		t.Errorf("a folder that is not there: %d, %v", n, err)
	}
}
