package daemon

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

// Of two names of one folder, as a symlink and what it leads to are, one is enough.
func TestWatch_AFolderIsWatchedByOneNameWhileLinksToItMove(t *testing.T) {
	for range 30 { // the order of a map decides
		dir, err := filepath.EvalSymlinks(t.TempDir())
		sound(t, err)
		config := filepath.Join(dir, "hooks.yaml")
		for _, version := range []string{"v1", "v2", "v3"} {
			sound(t, os.Mkdir(filepath.Join(dir, version), 0o700))
			sound(t, os.WriteFile(filepath.Join(dir, version, "hooks.yaml"), nil, 0o600))
		}
		events, err := newFolderWatch()
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
				name = <-events.names
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
		events.close()
	}
}

func sound(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What is written all the time beside the configuration, as the store and a log may be, must not
// wake the watch with each write; a file that was saved must, however that is done.
func TestWatch_TellsOfWhatWasSavedAndNotOfEachWrite(t *testing.T) {
	dir := t.TempDir()
	log, err := os.Create(filepath.Join(dir, "log"))
	sound(t, err)
	defer func() { _ = log.Close() }()
	events, err := newFolderWatch()
	sound(t, err)
	defer events.close()
	sound(t, events.add(dir))
	for range 10 {
		_, err := log.WriteString("a line\n")
		sound(t, err)
	}
	saved := filepath.Join(dir, "hooks.yaml")
	sound(t, os.WriteFile(saved, []byte("1"), 0o600)) // made, written and closed
	if name := <-events.names; name != saved {
		t.Fatalf("told of %s, want %s first", name, saved)
	}
	if name := <-events.names; name != saved {
		t.Fatalf("told of %s, want %s when it was closed", name, saved)
	}
	sound(t, os.Rename(saved, saved+".old"))
	if name := <-events.names; name != saved {
		t.Fatalf("told of %s, want %s when it was moved away", name, saved)
	}
	if name := <-events.names; name != saved+".old" {
		t.Fatalf("told of %s, want its new name", name)
	}
	sound(t, os.Chmod(saved+".old", 0o400))
	if name := <-events.names; name != saved+".old" {
		t.Fatalf("told of %s, want what was given other rights", name)
	}
	events.remove(dir)
	sound(t, os.Remove(saved+".old"))
	sound(t, events.add(dir)) // the same folder again
	sound(t, os.WriteFile(saved, nil, 0o600))
	if name := <-events.names; name != saved {
		t.Fatalf("told of %s after the folder was watched again, want %s", name, saved)
	}
}
