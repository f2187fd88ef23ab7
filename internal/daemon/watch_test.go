package daemon

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Two names of one folder, as a symlink and what it leads to are, must not be watched at once:
// fsnotify 1.10 loses count of them and panics when they are removed.
func TestWatch_AFolderIsWatchedByOneNameWhileLinksToItMove(t *testing.T) {
	for range 30 { // the order of a map decides
		dir, err := filepath.EvalSymlinks(t.TempDir())
		sound(t, err)
		config := filepath.Join(dir, "hooks.yaml")
		for _, version := range []string{"v1", "v2", "v3"} {
			sound(t, os.Mkdir(filepath.Join(dir, version), 0o700))
			sound(t, os.WriteFile(filepath.Join(dir, version, "hooks.yaml"), nil, 0o600))
		}
		events, err := fsnotify.NewWatcher()
		sound(t, err)
		w := &watcher{paths: func() []string { return []string{config} }, log: slog.New(slog.DiscardHandler)}
		watched := map[string]bool{}
		sound(t, os.Symlink("..data/hooks.yaml", config))
		for _, version := range []string{"v1", "v2", "v1", "v3"} {
			link := filepath.Join(dir, "..data")
			sound(t, os.Symlink(version, link+"_tmp"))
			sound(t, os.Rename(link+"_tmp", link))
			w.follow(events, watched, true)
			if !watched[filepath.Join(dir, version)] || !watched[dir] || len(watched) != 2 {
				t.Fatalf("at %s %v is watched", version, watched)
			}
			sound(t, os.WriteFile(filepath.Join(dir, version, "hooks.yaml"), []byte(version), 0o600))
			for name := ""; name != filepath.Join(dir, version, "hooks.yaml"); {
				name = (<-events.Events).Name
				if name == filepath.Join(dir, version, "hooks.yaml") && !w.matters(name) {
					t.Fatalf("%s does not matter", name)
				}
			}
		}
		sound(t, os.Remove(config))
		sound(t, os.RemoveAll(filepath.Join(dir, "v3")))
		sound(t, os.WriteFile(config, nil, 0o600))
		w.follow(events, watched, true)
		if !watched[dir] || len(watched) != 1 {
			t.Fatalf("%v is watched", watched)
		}
		sound(t, events.Close())
	}
}

func sound(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The store and the log may be written in the folder of the configuration. Hearing of every write would
// cost each delivery something, so that folder is left alone for a while; what changes then is noticed all the
// same, soon and whole.
func TestWatch_AFolderThatIsWrittenToAllTheTimeIsLookedAtInstead(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	sound(t, err)
	config := filepath.Join(dir, "hooks.yaml")
	sound(t, os.WriteFile(config, []byte("0"), 0o600))
	read := make(chan string)
	ctx, cancel := context.WithCancel(context.Background())
	w := &watcher{paths: func() []string { return []string{config} }, log: slog.New(slog.DiscardHandler), notify: func() {
		now, err := os.ReadFile(config)
		if err != nil {
			t.Error(err)
		}
		select {
		case read <- string(now):
		case <-ctx.Done():
		}
	}}
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	group.Go(func() { w.run(ctx) })
	group.Go(func() { writeAllTheTime(ctx, t, filepath.Join(dir, "t.db-wal")) })
	deadline := time.After(time.Minute)
	next := func() string {
		select {
		case now := <-read:
			return now
		case <-deadline:
			t.Fatal("nobody looked for a minute")
			return ""
		}
	}
	for i := range 3 {
		want := strconv.Itoa(i + 1)
		if i%2 == 0 {
			sound(t, os.WriteFile(config, []byte(want), 0o600))
		} else {
			sound(t, os.WriteFile(config+"~", []byte(want), 0o600))
			sound(t, os.Rename(config+"~", config))
		}
		changed := time.Now()
		for now := ""; now != want; {
			if now = next(); now == "" {
				t.Error("a file was read that was just being written")
			}
		}
		if took := time.Since(changed); took > look/2 {
			t.Errorf("a change was noticed after %v", took)
		}
	}
}

// writeAllTheTime writes to a file as a store under load does.
func writeAllTheTime(ctx context.Context, t *testing.T, path string) {
	file, err := os.Create(path)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = file.Close() }()
	every := time.NewTicker(500 * time.Microsecond)
	defer every.Stop()
	for n := int64(0); ctx.Err() == nil; n++ {
		<-every.C
		if _, err := file.WriteAt([]byte("page"), n%64*4096); err != nil {
			t.Error(err)
			return
		}
	}
}

func TestWatch_WhatIsLookedAtIsReadOnlyIfItSeemsChanged(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "hooks.yaml")
	sound(t, os.WriteFile(file, []byte("0"), 0o600))
	sound(t, os.Symlink("a.yaml", link))
	w := &watcher{steps: map[string]bool{file: true, link: true}}
	past := time.Now().Add(-time.Hour)
	for _, step := range []struct {
		name   string
		do     func() error
		reread bool
	}{
		{"the first time", func() error { return nil }, true},
		{"nothing", func() error { return nil }, false},
		{"written in place", func() error { return os.WriteFile(file, []byte("00"), 0o600) }, true},
		{"another file beside it", func() error { return os.WriteFile(filepath.Join(dir, "b.yaml"), nil, 0o600) }, true},
		{"that other file written", func() error { return os.WriteFile(filepath.Join(dir, "b.yaml"), []byte("0"), 0o600) }, false},
		{"an older file in its place", func() error {
			return errors.Join(os.WriteFile(file+"~", []byte("00"), 0o600), os.Chtimes(file+"~", past, past), os.Rename(file+"~", file))
		}, true},
		{"a link that leads elsewhere", func() error { return errors.Join(os.Symlink("b.yaml", link+"~"), os.Rename(link+"~", link)) }, true},
		{"gone", func() error { return os.Remove(file) }, true},
		{"nothing again", func() error { return nil }, false},
	} {
		sound(t, step.do())
		if got := w.changed(); got != step.reread {
			t.Errorf("%s: changed %v", step.name, got)
		}
	}
}

func TestWatch_OnlyManyEventsInAShortTimeAreAFlood(t *testing.T) {
	w, now := &watcher{}, time.Unix(0, 0)
	for range 10 * flood {
		now = now.Add(2 * settle / flood)
		if w.floods(now) {
			t.Fatal("a few now and then are taken for a flood")
		}
	}
	w, n := &watcher{}, 0
	for range 2 * flood {
		now = now.Add(time.Millisecond)
		if w.floods(now) {
			n++
		}
	}
	if n != flood+1 {
		t.Errorf("%d events of %d were told of as a flood", n, 2*flood)
	}
}
