package sqlite

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// openedFile is a file as SQLite has it open, with memory as it takes it.
type openedFile struct {
	t       *testing.T
	tls     *libc.TLS
	handle  uintptr
	memory  uintptr
	methods *lib.Tsqlite3_io_methods
}

func openBundled(t *testing.T, path string, flags int32) *openedFile {
	t.Helper()
	if err := registerBundle(); err != nil {
		t.Fatal(err)
	}
	tls := libc.NewTLS()
	t.Cleanup(tls.Close)
	name, err := libc.CString(path)
	if err != nil {
		t.Fatal(err)
	}
	handle := libc.Xcalloc(tls, 1, libc.Tsize_t(bundled.base.FszOsFile))
	if rc := openOwn(tls, name, handle, flags|lib.SQLITE_OPEN_READWRITE|lib.SQLITE_OPEN_CREATE, 0); rc != lib.SQLITE_OK {
		t.Fatalf("open: code %d", rc)
	}
	if !bundle(tls, handle, &bundledFile{isLog: flags == lib.SQLITE_OPEN_WAL}) {
		t.Fatal("no memory")
	}
	return &openedFile{t, tls, handle, libc.Xmalloc(tls, 4<<20), at[lib.Tsqlite3_io_methods](at[lib.Tsqlite3_file](handle).FpMethods)}
}

func (f *openedFile) write(data []byte, offset int64) int32 {
	copy(unsafe.Slice(at[byte](f.memory), len(data)), data)
	return function[func(*libc.TLS, uintptr, uintptr, int32, int64) int32](f.methods.FxWrite)(f.tls, f.handle, f.memory, int32(len(data)), offset)
}

func (f *openedFile) read(n int, offset int64) []byte {
	rc := function[func(*libc.TLS, uintptr, uintptr, int32, int64) int32](f.methods.FxRead)(f.tls, f.handle, f.memory, int32(n), offset)
	if rc != lib.SQLITE_OK && rc != lib.SQLITE_IOERR_SHORT_READ {
		f.t.Fatalf("read: code %d", rc)
	}
	return bytes.Clone(unsafe.Slice(at[byte](f.memory), n))
}

func (f *openedFile) truncate(size int64) int32 {
	return function[func(*libc.TLS, uintptr, int64) int32](f.methods.FxTruncate)(f.tls, f.handle, size)
}

func (f *openedFile) sync() int32 {
	return function[func(*libc.TLS, uintptr, int32) int32](f.methods.FxSync)(f.tls, f.handle, lib.SQLITE_SYNC_NORMAL)
}

func (f *openedFile) size() int64 {
	function[func(*libc.TLS, uintptr, uintptr) int32](f.methods.FxFileSize)(f.tls, f.handle, f.memory)
	return *at[int64](f.memory)
}

func (f *openedFile) close() int32 {
	return function[func(*libc.TLS, uintptr) int32](f.methods.FxClose)(f.tls, f.handle)
}

func TestBundle_HoldsWritesBackUntilTheSync(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f := openBundled(t, path, lib.SQLITE_OPEN_WAL)
	page := bytes.Repeat([]byte("p"), pageSize)
	for i := range 40 {
		if rc := f.write(page, int64(i*pageSize)); rc != lib.SQLITE_OK {
			t.Fatalf("write: code %d", rc)
		}
	}
	if on, err := os.ReadFile(path); err != nil || len(on) != 0 {
		t.Errorf("%d bytes are written before they have to be, %v", len(on), err)
	}
	if rc := f.sync(); rc != lib.SQLITE_OK {
		t.Fatalf("sync: code %d", rc)
	}
	if on, err := os.ReadFile(path); err != nil || !bytes.Equal(on, bytes.Repeat(page, 40)) {
		t.Errorf("%d bytes after a sync, %v", len(on), err)
	}
	if rc := f.close(); rc != lib.SQLITE_OK {
		t.Errorf("close: code %d", rc)
	}
}

// TestBundle_WritesTheLogBeforeOthersMayWriteIt stands for a commit that ended between its writes and its sync.
func TestBundle_WritesTheLogBeforeOthersMayWriteIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	s := open(t, path, Options{})
	mustPut(t, s, "")
	var db *bundledFile
	var handle uintptr
	for h, f := range bundled.files {
		if f.log != nil && fileOf(f.logHandle) == f.log {
			db, handle = f, h
		}
	}
	if db == nil {
		t.Fatal("no database file knows its log")
	}
	before, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	tls := libc.NewTLS()
	defer tls.Close()
	page := libc.Xcalloc(tls, 1, pageSize)
	if rc := bundleWrite(tls, db.logHandle, page, pageSize, before.Size()); rc != lib.SQLITE_OK {
		t.Fatalf("write: code %d", rc)
	}
	bundleShmLock(tls, handle, 3, 1, lib.SQLITE_SHM_UNLOCK|lib.SQLITE_SHM_SHARED)
	if after, err := os.Stat(path + "-wal"); err != nil || after.Size() != before.Size()+pageSize {
		t.Errorf("the log has %d bytes, had %d, %v", after.Size(), before.Size(), err)
	}
}

// TestBundle_IsAFile does what a file can do in any order, beside a file that is only bytes.
func TestBundle_IsAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f := openBundled(t, path, lib.SQLITE_OPEN_WAL)
	var want []byte
	next := int64(0)
	for range 3000 {
		switch n := rand.IntN(40); {
		case n < 30: // most writes follow the one before
			if n < 3 {
				next = rand.Int64N(int64(len(want)) + 100_000)
			}
			data := bytes.Repeat([]byte{byte(rand.Uint32())}, 1+rand.IntN(20_000))
			if n == 29 {
				data = bytes.Repeat(data[:1], mostBundled+rand.IntN(3*mostAtOnce)-mostAtOnce)
			}
			if rc := f.write(data, next); rc != lib.SQLITE_OK {
				t.Fatalf("write: code %d", rc)
			}
			if grow := int(next) + len(data) - len(want); grow > 0 {
				want = append(want, make([]byte, grow)...)
			}
			next += int64(copy(want[next:], data))
		case n < 35 && len(want) > 0:
			from := rand.IntN(len(want))
			if size := 1 + rand.IntN(min(len(want)-from, 1<<20)); !bytes.Equal(f.read(size, int64(from)), want[from:from+size]) {
				t.Fatalf("%d bytes at %d are not what was written", size, from)
			}
		case n == 35:
			size := rand.IntN(len(want) + 1)
			if rc := f.truncate(int64(size)); rc != lib.SQLITE_OK {
				t.Fatalf("truncate: code %d", rc)
			}
			want = want[:size]
		case n < 38:
			if size := f.size(); size != int64(len(want)) {
				t.Fatalf("the file has %d bytes, want %d", size, len(want))
			}
		default:
			if rc := f.sync(); rc != lib.SQLITE_OK {
				t.Fatalf("sync: code %d", rc)
			}
		}
	}
	if rc := f.close(); rc != lib.SQLITE_OK {
		t.Errorf("close: code %d", rc)
	}
	if on, err := os.ReadFile(path); err != nil || !bytes.Equal(on, want) {
		t.Errorf("%d bytes in the file, want %d, %v", len(on), len(want), err)
	}
}

func TestBundle_AFailedLogStaysFailedAndAFileDoesNot(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	for name, kind := range map[string]int32{"log": lib.SQLITE_OPEN_WAL, "db": lib.SQLITE_OPEN_MAIN_DB} {
		f := openBundled(t, filepath.Join(dir, name), kind)
		if rc := f.write(make([]byte, 512<<10), 0); rc != lib.SQLITE_OK {
			t.Fatalf("%s: a write that is held back: code %d", name, rc)
		}
		if rc := f.sync(); rc != lib.SQLITE_FULL {
			t.Errorf("%s: the sync of more than there is room: code %d", name, rc)
		}
		if err := os.Truncate(filepath.Join(dir, name), 0); err != nil {
			t.Fatal(err)
		}
		again := firstOf(f.write([]byte("x"), 0), f.sync())
		if failed := kind == lib.SQLITE_OPEN_WAL; failed != (again != lib.SQLITE_OK) {
			t.Errorf("%s: when there is room again: code %d", name, again)
		}
		f.close()
	}
}

// firstOf is the first code that is one.
func firstOf(codes ...int32) int32 {
	for _, code := range codes {
		if code != lib.SQLITE_OK {
			return code
		}
	}
	return lib.SQLITE_OK
}
