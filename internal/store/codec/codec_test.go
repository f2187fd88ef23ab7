package codec

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestALongKeyIsNotTakenByItsHash(t *testing.T) {
	long := strings.Repeat("x", 200)
	for _, pair := range [][2]string{{long, string(Key(long))}, {long, string(Key(long)[1:])}, {"k", "kk"}} {
		if bytes.Equal(Key(pair[0]), Key(pair[1])) {
			t.Errorf("keys %q and %q are remembered alike", pair[0], pair[1])
		}
	}
	if n := len(Key(strings.Repeat("x", 1<<20))); n > 129 {
		t.Errorf("a long key is remembered with %d bytes", n)
	}
}

func FuzzLists(f *testing.F) {
	f.Add("Accept", "text/html", "", []byte{3, 'a'})
	f.Add("", "\xff", "\x00", binary.AppendUvarint(nil, 1<<63))
	f.Add("a", "b", "c", []byte("\x01a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"))
	f.Fuzz(func(t *testing.T, name, a, b string, damaged []byte) {
		want := map[string][]string{name: {a, b}, name + "-": {b}, name + "+": {}}
		got, err := DecodeLists(EncodeLists(want))
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Errorf("%v\n%s", err, diff)
		}
		_, _ = DecodeLists(damaged) // must not panic, nor allocate without bound
		_, _ = Decode(Compressed, damaged, 100)
	})
}
