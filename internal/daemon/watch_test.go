package daemon

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

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
