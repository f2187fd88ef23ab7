package daemon

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// The pauses of the watch: a burst of events is over when it was quiet for settle (editors
// truncate and write, Kubernetes swaps a symlink); again is when it is looked once more, for what
// a reload has newly made worth watching; and look is how often the files are read
// where the file system sends no events at all. Behind flood events of other files in one settle,
// their folder is not watched for stepBack, and then looked at: a file is read when it seems changed.
const (
	settle   = 150 * time.Millisecond
	again    = time.Second
	look     = 30 * time.Second
	flood    = 64
	stepBack = 500 * time.Millisecond
)

// watchFiles asks for a reload when files may have changed, until ctx ends.
func (d *Daemon) watchFiles(ctx context.Context) {
	w := &watcher{
		paths: func() []string {
			return append(slices.Clone(d.config.Load().File.Watch), absolute(d.options.Config.Path))
		},
		notify: func() { d.poke(triggerWatch) },
		log:    d.log,
	}
	w.run(ctx)
}

// watcher says when files may have changed. It watches folders, not files, because a save by
// rename, a checkout and a symlink swap replace the file and leave a watch on the old one.
type watcher struct {
	paths  func() []string // files and patterns whose change may matter, asked again after each change
	notify func()
	log    *slog.Logger

	steps    map[string]bool // every name a path leads over: links and the file itself
	patterns []string

	others int       // events of names that do not matter
	since  time.Time // the first of them

	before map[string]os.FileInfo // of steps and their folders, when they were last looked at
}

// run watches until ctx ends.
func (w *watcher) run(ctx context.Context) {
	events, err := fsnotify.NewWatcher()
	if err != nil {
		w.log.Warn("files are not watched, only looked at from time to time", "every", look.String(), "error", err)
		events = &fsnotify.Watcher{} // its nil channels never deliver
	} else {
		defer func() { _ = events.Close() }()
	}
	watched := map[string]bool{}
	// What changed between the load and the first watch is found by looking at once.
	quiet := time.NewTimer(0)
	defer quiet.Stop()
	due, pause, back := time.Now(), again, false
	wait := func(d time.Duration) { due = time.Now().Add(d); quiet.Reset(d) }
	for {
		select {
		case <-ctx.Done():
			return
		case event, ok := <-events.Events:
			if !ok {
				return
			}
			if w.matters(event.Name) {
				wait(settle)
				pause = again
				continue
			}
			// The store may be written in the same folder, all the time: an event for each write costs the
			// writer and us more than a look now and then.
			if !w.floods(time.Now()) || back {
				continue
			}
			folder := filepath.Dir(event.Name)
			forget(events, folder)
			delete(watched, folder)
			if back = true; time.Until(due) > stepBack {
				wait(stepBack)
			}
		case e := <-events.Errors:
			w.log.Warn("watching files", "error", e)
			wait(settle) // an overflow lost events: look
		case <-quiet.C:
			w.follow(events, watched, err == nil) // before reading: what changes later is an event
			if back && w.fresh(time.Now()) {
				wait(settle) // somebody may be writing it this moment, and there were no events to tell
				continue
			}
			if changed := w.changed(); changed || !back {
				w.notify()
			}
			back = false
			wait(pause)
			pause = look
		}
	}
}

// matters reports whether a changed name is one that a path leads over.
func (w *watcher) matters(name string) bool {
	if w.steps[name] {
		return true
	}
	return slices.ContainsFunc(w.patterns, func(pattern string) bool {
		ok, err := filepath.Match(pattern, name)
		return ok && err == nil
	})
}

// floods counts an event of a name that does not matter, and reports whether there are too many.
func (w *watcher) floods(now time.Time) bool {
	if now.Sub(w.since) > settle {
		w.others, w.since = 0, now
	}
	w.others++
	return w.others >= flood
}

// changed reports whether any step, or what is in its folder, is another than when it was last asked. It
// reads no file: 10,000 hooks would be read twice a second.
func (w *watcher) changed() bool {
	now := map[string]os.FileInfo{}
	for step := range w.steps {
		for _, path := range []string{step, filepath.Dir(step)} {
			if info, err := os.Lstat(path); err == nil {
				now[path] = info
			}
		}
	}
	before := w.before
	w.before = now
	return !maps.EqualFunc(before, now, func(a, b os.FileInfo) bool {
		return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && a.Mode() == b.Mode()
	})
}

// fresh reports whether a file was written to so recently that more may follow.
func (w *watcher) fresh(now time.Time) bool {
	for step := range w.steps {
		info, err := os.Stat(step)
		if err != nil || info.IsDir() {
			continue
		}
		if age := now.Sub(info.ModTime()); age >= 0 && age < settle {
			return true
		}
	}
	return false
}

// follow watches the folder of every name that a path leads over.
func (w *watcher) follow(events *fsnotify.Watcher, watched map[string]bool, able bool) {
	if !able {
		return
	}
	w.steps, w.patterns = map[string]bool{}, nil
	for _, path := range w.paths() {
		if strings.ContainsAny(path, "*?[") {
			w.patterns = append(w.patterns, path)
		}
		addSteps(w.steps, path, maxLinks)
	}
	want := map[string]bool{}
	for step := range w.steps {
		// What a link leads to is a step of its own, so the folders without links are enough. Two names
		// of one folder are too much for fsnotify, which panics when they are removed.
		folder := filepath.Dir(step)
		if real, err := filepath.EvalSymlinks(folder); err != nil || real == folder {
			want[folder] = true
		}
	}
	for folder := range maps.Clone(watched) {
		if !want[folder] {
			forget(events, folder)
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

// forget ends the watch of a folder; one that is gone already is as good. fsnotify may panic over a
// folder that has another name, too, such as a bind mount: no reason to end the daemon.
func forget(events *fsnotify.Watcher, folder string) {
	defer func() { _ = recover() }()
	_ = events.Remove(folder)
}

// maxLinks bounds a chain of symbolic links, as the kernel does.
const maxLinks = 40

// addSteps adds a path and, for each symbolic link on the way to it, the link and what it leads
// to: Kubernetes changes a link in the middle of the way.
func addSteps(steps map[string]bool, path string, links int) {
	steps[path] = true
	for at := path; at != filepath.Dir(at); at = filepath.Dir(at) {
		target, err := os.Readlink(at)
		if err != nil || links == 0 {
			continue
		}
		steps[at] = true
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(at), target)
		}
		addSteps(steps, filepath.Join(target, strings.TrimPrefix(path, at)), links-1)
	}
}

func absolute(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return abs
}
