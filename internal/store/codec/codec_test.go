package codec

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
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

// bodies are of every way in which a body is stored.
func bodies() map[string][]byte {
	chance := rand.New(rand.NewPCG(1, 2))
	noise, letters, text := make([]byte, 3<<20), make([]byte, 3<<20), []byte(nil)
	for i := range noise {
		noise[i] = byte(chance.Uint32())
		letters[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[noise[i]&63]
	}
	for len(text) < 3<<20 {
		text = fmt.Appendf(text, `{"id":"%016x","message":"Update README.md","modified":["README.md"]},`, chance.Uint64())
	}
	return map[string][]byte{
		"noise": noise, "base64": letters, "JSON": text, "JSON of one block": text[:blockLen], "JSON before noise": append(bytes.Clone(text), noise...), "small JSON": text[:5000],
		"noise before JSON": append(bytes.Clone(noise), text...), "little": text[:100], "nothing": {},
	}
}

func TestEncode_LosesNothing(t *testing.T) {
	for name, body := range bodies() {
		encoding, stored := Encode(body)
		got, err := Decode(encoding, stored, len(body))
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("%s: %d bytes instead of %d, %v", name, len(got), len(body), err)
		}
		t.Logf("%s: %d bytes stored as %d", name, len(body), len(stored))
		most := map[string]int{"base64": 76, "JSON": 50, "JSON of one block": 50}[name]
		if most > 0 && len(stored) > len(body)/100*most || len(stored) > len(body) {
			t.Errorf("%s: %d bytes are stored as %d", name, len(body), len(stored))
		}
		for _, size := range []int{len(body) - 1, len(body) + 1, 0} {
			if _, err := Decode(encoding, stored, size); err == nil && size != len(body) {
				t.Errorf("%s is read as of %d bytes instead of %d", name, size, len(body))
			}
		}
	}
}

// What an earlier version stored is zstd, whatever it is.
func TestDecode_ReadsWhatWasStoredBeforeThereWereBlocks(t *testing.T) {
	for name, body := range bodies() {
		got, err := Decode(Compressed, encoder().EncodeAll(body, nil), len(body))
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDecode_FindsDamagedBlocks(t *testing.T) {
	body := bodies()["JSON"]
	_, stored := Encode(body)
	if !isBlocks(stored) {
		t.Fatal("it is not stored as blocks")
	}
	for name, damaged := range map[string][]byte{
		"cut off": stored[:len(stored)-1], "without the last block": stored[:len(stored)/2], "nothing but the mark": stored[:len(blocksMark)],
		"an empty block": append(bytes.Clone(stored), 1, 0), "more behind it": append(bytes.Clone(stored), 0x80),
		"a block that claims more": append(binary.AppendUvarint([]byte(blocksMark), 5), 0xff, 0xff, 0xff, 0xff, 7),
	} {
		if _, err := Decode(Compressed, damaged, len(body)); err == nil {
			t.Errorf("%s: nobody noticed", name)
		}
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
		_, _ = Decode(Compressed, append([]byte(blocksMark), damaged...), 100)
	})
}
