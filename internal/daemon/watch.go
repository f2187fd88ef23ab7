package daemon

import (
	"context"
	"log/slog"
	"maps"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// The pauses of the watch: a burst of events is over when it was quiet for settle (editors
// truncate and write, Kubernetes swaps a symlink), and look is how often the files are read
// where the file system sends no events at all.
const (
	settle = 150 * time.Millisecond
	look   = 30 * time.Second
)

// watcher says when files may have changed. It watches folders, not files, because a save by
// rename, a checkout and a symlink swap replace the file and leave a watch on the old one.
type watcher struct {
	paths  func() []string // files and folders whose change may matter, asked again after each change
	notify func()
	log    *slog.Logger
}

// run watches until ctx ends.
func (w *watcher) run(ctx context.Context) {
	events, err := fsnotify.NewWatcher()
	if err != nil {
		w.log.Warn("files are not watched, only looked at from time to time", "every", look, "error", err)
		events = &fsnotify.Watcher{} // its nil channels never deliver
	} else {
		defer func() { _ = events.Close() }()
	}
	watched := map[string]bool{}
	w.follow(events, watched, err == nil)
	quiet := time.NewTimer(look)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-events.Events:
			if !ok {
				return
			}
			quiet.Reset(settle)
		case e := <-events.Errors:
			w.log.Warn("watching files", "error", e)
			quiet.Reset(settle) // an overflow lost events: look
		case <-quiet.C:
			w.notify()
			w.follow(events, watched, err == nil)
			quiet.Reset(look)
		}
	}
}

// follow watches the folders of every path and of what the path leads to.
func (w *watcher) follow(events *fsnotify.Watcher, watched map[string]bool, able bool) {
	if !able {
		return
	}
	want := map[string]bool{}
	for _, path := range w.paths() {
		for _, folder := range folders(path) {
			want[folder] = true
		}
	}
	for folder := range maps.Clone(watched) {
		if !want[folder] {
			_ = events.Remove(folder) // gone already is as good
			delete(watched, folder)
		}
	}
	for folder := range want {
		// Added again each time: a folder that was removed and made anew has a new inode.
		if err := events.Add(folder); err == nil {
			watched[folder] = true
		}
	}
}

// folders are where a change of path would be seen: its own folder, and at each step of a chain
// of symbolic links the folder of the link's target.
func folders(path string) []string {
	out := []string{filepath.Dir(path)}
	if target, err := filepath.EvalSymlinks(path); err == nil && target != path {
		out = append(out, filepath.Dir(target))
	}
	if parent, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		out = append(out, parent)
	}
	return out
}
