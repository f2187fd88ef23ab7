//go:build !linux

package daemon

import (
	"sync"

	"github.com/fsnotify/fsnotify"
)

// folderWatch tells which names changed in folders. Close it once.
type folderWatch struct {
	names  chan string // paths of what changed
	faults chan error
	events *fsnotify.Watcher
	done   chan struct{}
	reader sync.WaitGroup
}

func newFolderWatch() (*folderWatch, error) {
	events, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	w := &folderWatch{names: make(chan string), faults: events.Errors, events: events, done: make(chan struct{})}
	w.reader.Go(w.forward)
	return w, nil
}

func (w *folderWatch) forward() {
	for {
		select {
		case event, ok := <-w.events.Events:
			if !ok {
				return
			}
			select {
			case w.names <- event.Name:
			case <-w.done:
				return
			}
		case <-w.done:
			return
		}
	}
}

// add watches a folder. It may be watched already, also as another folder of that name.
func (w *folderWatch) add(folder string) error { return w.events.Add(folder) }

// remove ends the watch of a folder; one that is gone already is as good. fsnotify may panic over a
// folder that has another name, too, such as a bind mount: no reason to end the daemon.
func (w *folderWatch) remove(folder string) {
	defer func() { _ = recover() }()
	_ = w.events.Remove(folder)
}

// close ends all watches, and waits for the goroutine that forwards.
func (w *folderWatch) close() {
	close(w.done)
	_ = w.events.Close()
	w.reader.Wait()
}
