package sqlite

import (
	"fmt"
	"slices"
	"sync"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// SQLite writes its log one half of a page at a time and copies it into the database file page by page, each with a
// system call of its own: some hundred for a commit of large bodies. The file system of this file (a VFS in the words
// of SQLite) passes everything on to SQLite's own, but holds back what is written one behind the other until there is
// a reason to write it: a sync, the release of a lock, a read, a write elsewhere, or that it is much. So the system
// sees one write where there were many.
//
// That changes nothing of what is durable: SQLite counts on no write before it has synced the file, and nobody looks
// at pages of the log or the database file before the sync has returned (walFrames and walCheckpoint of wal.c), which
// holds for synchronous=FULL, with which alone the writer is opened. A write that fails is told by the call that makes
// it necessary. A log that has failed so stays failed until it is opened again, as a part of it that SQLite counts
// with may be missing; the database file is copied to again from the log.

// bundleVFS is the name under which a connection asks for it.
const bundleVFS = "tenterhook"

const (
	mostBundled = 1 << 20       // held back at most for each file
	mostAtOnce  = 15 * pageSize // SQLite's own file system takes less than 128 KiB a call
)

// registerBundle makes the file system known to SQLite, once.
var registerBundle = sync.OnceValue(func() error {
	tls := libc.NewTLS() // stays: SQLite keeps what is made here
	own := lib.Xsqlite3_vfs_find(tls, 0)
	if own == 0 {
		return fmt.Errorf("SQLite has no file system")
	}
	bundled.base = *at[lib.Tsqlite3_vfs](own)
	vfs := libc.Xcalloc(tls, 1, libc.Tsize_t(unsafe.Sizeof(bundled.base)))
	name, err := libc.CString(bundleVFS)
	if err != nil || vfs == 0 {
		return fmt.Errorf("register SQLite's file system: no memory")
	}
	copied := at[lib.Tsqlite3_vfs](vfs)
	*copied = bundled.base
	copied.FpNext, copied.FzName, copied.FxOpen = 0, name, pointer(bundleOpen)
	if rc := lib.Xsqlite3_vfs_register(tls, vfs, 0); rc != lib.SQLITE_OK {
		return fmt.Errorf("register SQLite's file system: code %d", rc)
	}
	return nil
})

// bundled is what the calls find their file by. SQLite opens files rarely.
var bundled struct {
	base    lib.Tsqlite3_vfs
	mu      sync.RWMutex
	files   map[uintptr]*bundledFile // by SQLite's handle
	methods map[uintptr]uintptr      // ours by SQLite's own
}

// bundledFile is one open file. Its calls come one after the other.
type bundledFile struct {
	own    *lib.Tsqlite3_io_methods
	isLog  bool
	held   []byte // SQLite's memory, as its calls take no other
	from   int64  // where held belongs
	failed int32  // code of the write that failed, of a log

	log       *bundledFile // of a database file that has one open
	logHandle uintptr
}

func fileOf(handle uintptr) *bundledFile {
	bundled.mu.RLock()
	defer bundled.mu.RUnlock()
	return bundled.files[handle]
}

func bundleOpen(tls *libc.TLS, _, name, handle uintptr, flags int32, out uintptr) int32 {
	rc := openOwn(tls, name, handle, flags, out)
	switch {
	case rc != lib.SQLITE_OK || at[lib.Tsqlite3_file](handle).FpMethods == 0:
	case flags&lib.SQLITE_OPEN_MAIN_DB != 0:
		bundle(tls, handle, &bundledFile{})
	case flags&lib.SQLITE_OPEN_WAL != 0:
		f := &bundledFile{isLog: true}
		if db := fileOf(lib.Xsqlite3_database_file_object(tls, name)); db != nil && bundle(tls, handle, f) {
			bundled.mu.Lock()
			db.log, db.logHandle = f, handle
			bundled.mu.Unlock()
		}
	}
	return rc
}

func openOwn(tls *libc.TLS, name, handle uintptr, flags int32, out uintptr) int32 {
	own := lib.Xsqlite3_vfs_find(tls, 0)
	return function[func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32](bundled.base.FxOpen)(tls, own, name, handle, flags, out)
}

// bundle puts our calls in the place of the file's own; false when there is no memory for them, and it works without.
func bundle(tls *libc.TLS, handle uintptr, f *bundledFile) bool {
	bundled.mu.Lock()
	defer bundled.mu.Unlock()
	file := at[lib.Tsqlite3_file](handle)
	f.own = at[lib.Tsqlite3_io_methods](file.FpMethods)
	methods := bundled.methods[file.FpMethods]
	if methods == 0 {
		if methods = libc.Xcalloc(tls, 1, libc.Tsize_t(unsafe.Sizeof(*f.own))); methods == 0 {
			return false
		}
		*at[lib.Tsqlite3_io_methods](methods) = bundling(*f.own)
		if bundled.methods == nil {
			bundled.methods, bundled.files = map[uintptr]uintptr{}, map[uintptr]*bundledFile{}
		}
		bundled.methods[file.FpMethods] = methods
	}
	bundled.files[handle] = f
	file.FpMethods = methods
	return true
}

// bundling puts our calls in the place of those that write, or for which everything must be written.
func bundling(m lib.Tsqlite3_io_methods) lib.Tsqlite3_io_methods {
	m.FxClose, m.FxRead, m.FxWrite, m.FxTruncate = pointer(bundleClose), pointer(bundleRead), pointer(bundleWrite), pointer(bundleTruncate)
	m.FxSync, m.FxFileSize, m.FxFileControl = pointer(bundleSync), pointer(bundleFileSize), pointer(bundleFileControl)
	m.FxUnlock, m.FxShmLock = pointer(bundleUnlock), pointer(bundleShmLock)
	return m
}

func bundleWrite(tls *libc.TLS, handle, data uintptr, n int32, offset int64) int32 {
	f := fileOf(handle)
	if f.failed != 0 {
		return f.failed
	}
	if offset != f.from+int64(len(f.held)) || len(f.held)+int(n) > mostBundled {
		if rc := f.flush(tls, handle); rc != lib.SQLITE_OK {
			return rc
		}
		f.from = offset
	}
	if !f.makeRoom(tls, len(f.held)+int(n)) {
		return lib.SQLITE_NOMEM
	}
	f.held = append(f.held, unsafe.Slice(at[byte](data), n)...)
	return lib.SQLITE_OK
}

// makeRoom has held take n bytes in all.
func (f *bundledFile) makeRoom(tls *libc.TLS, n int) bool {
	if n <= cap(f.held) {
		return true
	}
	size := max(n, min(2*cap(f.held), mostBundled), mostAtOnce)
	room := libc.Xrealloc(tls, address(f.held), libc.Tsize_t(size))
	if room == 0 {
		return false
	}
	f.held = unsafe.Slice(at[byte](room), size)[:len(f.held)]
	return true
}

// address is where SQLite's memory is, 0 of none.
func address(memory []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(memory))) }

// flush writes what is held back.
func (f *bundledFile) flush(tls *libc.TLS, handle uintptr) int32 {
	if f.failed != 0 {
		return f.failed
	}
	if len(f.held) == 0 {
		return lib.SQLITE_OK
	}
	held, offset := f.held, f.from
	f.held, f.from = f.held[:0], 0
	write := function[func(*libc.TLS, uintptr, uintptr, int32, int64) int32](f.own.FxWrite)
	for part := range slices.Chunk(held, mostAtOnce) {
		if rc := write(tls, handle, address(part), int32(len(part)), offset); rc != lib.SQLITE_OK {
			if f.isLog {
				f.failed = rc
			}
			return rc
		}
		offset += int64(len(part))
	}
	return lib.SQLITE_OK
}

func bundleRead(tls *libc.TLS, handle, data uintptr, n int32, offset int64) int32 {
	f := fileOf(handle)
	if rc := f.flush(tls, handle); rc != lib.SQLITE_OK {
		return rc
	}
	return function[func(*libc.TLS, uintptr, uintptr, int32, int64) int32](f.own.FxRead)(tls, handle, data, n, offset)
}

func bundleTruncate(tls *libc.TLS, handle uintptr, size int64) int32 {
	f := fileOf(handle)
	if rc := f.flush(tls, handle); rc != lib.SQLITE_OK {
		return rc
	}
	return function[func(*libc.TLS, uintptr, int64) int32](f.own.FxTruncate)(tls, handle, size)
}

func bundleSync(tls *libc.TLS, handle uintptr, flags int32) int32 {
	f := fileOf(handle)
	if rc := f.flush(tls, handle); rc != lib.SQLITE_OK {
		return rc
	}
	return function[func(*libc.TLS, uintptr, int32) int32](f.own.FxSync)(tls, handle, flags)
}

func bundleFileSize(tls *libc.TLS, handle, size uintptr) int32 {
	f := fileOf(handle)
	if rc := f.flush(tls, handle); rc != lib.SQLITE_OK {
		return rc
	}
	return function[func(*libc.TLS, uintptr, uintptr) int32](f.own.FxFileSize)(tls, handle, size)
}

func bundleUnlock(tls *libc.TLS, handle uintptr, lock int32) int32 {
	f := fileOf(handle)
	flushed := f.flush(tls, handle)
	if rc := function[func(*libc.TLS, uintptr, int32) int32](f.own.FxUnlock)(tls, handle, lock); rc != lib.SQLITE_OK {
		return rc
	}
	return flushed
}

// bundleShmLock takes and releases the locks of the log, all of which are the database file's. Behind one that is
// released others may write and copy the log, so that what an interrupted commit or copy left is written before.
func bundleShmLock(tls *libc.TLS, handle uintptr, offset, n, flags int32) int32 {
	f := fileOf(handle)
	if flags&lib.SQLITE_SHM_UNLOCK != 0 {
		_ = f.flush(tls, handle) // who had the lock knows nothing as durable that was not synced
		if f.log != nil {
			_ = f.log.flush(tls, f.logHandle)
		}
	}
	return function[func(*libc.TLS, uintptr, int32, int32, int32) int32](f.own.FxShmLock)(tls, handle, offset, n, flags)
}

func bundleFileControl(tls *libc.TLS, handle uintptr, op int32, arg uintptr) int32 {
	f := fileOf(handle)
	if rc := f.flush(tls, handle); rc != lib.SQLITE_OK {
		return rc
	}
	return function[func(*libc.TLS, uintptr, int32, uintptr) int32](f.own.FxFileControl)(tls, handle, op, arg)
}

func bundleClose(tls *libc.TLS, handle uintptr) int32 {
	f := fileOf(handle)
	flushed := f.flush(tls, handle)
	forgetFile(f, handle)
	libc.Xfree(tls, address(f.held))
	if rc := function[func(*libc.TLS, uintptr) int32](f.own.FxClose)(tls, handle); rc != lib.SQLITE_OK {
		return rc
	}
	return flushed
}

func forgetFile(f *bundledFile, handle uintptr) {
	bundled.mu.Lock()
	defer bundled.mu.Unlock()
	delete(bundled.files, handle)
	for _, db := range bundled.files {
		if db.log == f {
			db.log = nil
		}
	}
}

// at is memory of SQLite's as what it is.
func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

// pointer is a function as SQLite calls it, and function the other way round; the translation to Go keeps functions
// in C's pointers so.
func pointer[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&f)) }

func function[F any](p uintptr) F { return *(*F)(unsafe.Pointer(&p)) }
