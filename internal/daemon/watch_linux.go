package daemon

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// changes are what tells of a file that was saved, however that is done. A file that is written is
// told of when its writer closes it, not with each write: the store and a log may be in the same
// folder as the configuration, and each of their writes would wake this process up.
const changes = unix.IN_CREATE | unix.IN_CLOSE_WRITE | unix.IN_ATTRIB | unix.IN_MOVED_FROM | unix.IN_MOVED_TO |
	unix.IN_DELETE | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR

// folderWatch tells which names changed in folders, see inotify(7). Close it once.
type folderWatch struct {
	names  chan string // paths of what changed
	faults chan error
	file   *os.File
	closed chan struct{}
	reader sync.WaitGroup

	mu      sync.Mutex
	folders map[int]string // by watch
	watches map[string]int // by folder
}

func newFolderWatch() (*folderWatch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch folders: %w", err)
	}
	w := &folderWatch{
		names: make(chan string), faults: make(chan error), closed: make(chan struct{}),
		file: os.NewFile(uintptr(fd), "inotify"), folders: map[int]string{}, watches: map[string]int{},
	}
	w.reader.Go(w.read)
	return w, nil
}

// add watches a folder. It may be watched already, also as another folder of that name.
func (w *folderWatch) add(folder string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	watch, err := w.control(func(fd int) (int, error) { return unix.InotifyAddWatch(fd, folder, changes) })
	if err != nil {
		return err
	}
	if before, ok := w.watches[folder]; ok && before != watch {
		w.end(before)
	}
	w.folders[watch], w.watches[folder] = folder, watch
	return nil
}

// remove ends the watch of a folder; one that is gone already is as good.
func (w *folderWatch) remove(folder string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if watch, ok := w.watches[folder]; ok {
		delete(w.watches, folder)
		w.end(watch)
	}
}

// end ends a watch, unless another name of its folder is watched. w.mu is held.
func (w *folderWatch) end(watch int) {
	for folder, other := range w.watches {
		if other == watch && folder != w.folders[watch] {
			w.folders[watch] = folder
			return
		}
	}
	delete(w.folders, watch)
	_, _ = w.control(func(fd int) (int, error) { return unix.InotifyRmWatch(fd, uint32(watch)) })
}

func (w *folderWatch) control(do func(fd int) (int, error)) (n int, err error) {
	raw, err := w.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	if failed := raw.Control(func(fd uintptr) { n, err = do(int(fd)) }); failed != nil {
		return 0, failed
	}
	return n, err
}

// close ends all watches, and waits for the goroutine that reads.
func (w *folderWatch) close() {
	close(w.closed)
	_ = w.file.Close() // nothing was written
	w.reader.Wait()
}

func (w *folderWatch) read() {
	buf := make([]byte, 64<<10)
	for {
		n, err := w.file.Read(buf)
		if errors.Is(err, fs.ErrClosed) {
			return
		}
		if err != nil {
			select {
			case w.faults <- err:
			case <-w.closed:
			}
			return // it would not read again; the files are looked at from time to time
		}
		if !w.tell(buf[:n]) {
			return
		}
	}
}

// tell tells of each event in buf; false when the watch is closed.
func (w *folderWatch) tell(buf []byte) bool {
	for len(buf) >= unix.SizeofInotifyEvent {
		watch, mask := int(int32(binary.NativeEndian.Uint32(buf))), binary.NativeEndian.Uint32(buf[4:])
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(buf[12:]))
		name := strings.TrimRight(string(buf[unix.SizeofInotifyEvent:end]), "\x00")
		buf = buf[end:]
		if mask&unix.IN_Q_OVERFLOW != 0 {
			select {
			case w.faults <- errors.New("more changes than could be told: some were lost"):
				continue
			case <-w.closed:
				return false
			}
		}
		folder, ok := w.folderOf(watch, mask)
		if !ok {
			continue
		}
		select {
		case w.names <- filepath.Join(folder, name):
		case <-w.closed:
			return false
		}
	}
	return true
}

// folderOf is the folder of a watch, and forgets it if it is told that it has ended.
func (w *folderWatch) folderOf(watch int, mask uint32) (string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	folder, ok := w.folders[watch]
	if mask&unix.IN_IGNORED == 0 {
		return folder, ok
	}
	delete(w.folders, watch)
	for name, of := range w.watches {
		if of == watch {
			delete(w.watches, name)
		}
	}
	return "", false
}
