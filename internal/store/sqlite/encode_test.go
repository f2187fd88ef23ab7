package sqlite

import (
	"bytes"
	"context"
	"encoding/binary"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestABodyThatIsNotAsLongAsRecordedIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	s := open(t, path, Options{})
	d := newDelivery("")
	d.Body = bytes.Repeat([]byte("a"), 64<<20) // a few kilobytes when compressed
	if err := put(s, d); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, size := range []string{"4096", "67108863", "67108865"} {
		made(t, path, "UPDATE delivery SET size = "+size)
		s = open(t, path, Options{})
		var err error
		allocated := testing.AllocsPerRun(1, func() { _, err = s.Delivery(context.Background(), d.ID) })
		if err == nil || !strings.Contains(err.Error(), size) {
			t.Errorf("size %s: %v (%v allocations)", size, err, allocated)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestALongKeyIsNotTakenByItsHash(t *testing.T) {
	long := strings.Repeat("x", 200)
	for _, pair := range [][2]string{{long, string(encodeKey(long))}, {long, string(encodeKey(long)[1:])}, {"k", "kk"}} {
		if bytes.Equal(encodeKey(pair[0]), encodeKey(pair[1])) {
			t.Errorf("keys %q and %q are remembered alike", pair[0], pair[1])
		}
	}
	if n := len(encodeKey(strings.Repeat("x", 1<<20))); n > 129 {
		t.Errorf("a long key is remembered with %d bytes", n)
	}
}

func FuzzLists(f *testing.F) {
	f.Add("Accept", "text/html", "", []byte{3, 'a'})
	f.Add("", "\xff", "\x00", binary.AppendUvarint(nil, 1<<63))
	f.Add("a", "b", "c", []byte("\x01a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"))
	f.Fuzz(func(t *testing.T, name, a, b string, damaged []byte) {
		want := map[string][]string{name: {a, b}, name + "-": {b}, name + "+": {}}
		got, err := decodeLists(encodeLists(want))
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Errorf("%v\n%s", err, diff)
		}
		_, _ = decodeLists(damaged) // must not panic, nor allocate without bound
		_, _ = decodeData(compressed, damaged, 100)
	})
}
