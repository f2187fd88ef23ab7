package sqlite

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestKeyIndex_NeverLeavesAKeyOut walks an index at random beside a plain list, with hashes that collide
// whole, in their bucket, or in bucket and mark.
func TestKeyIndex_NeverLeavesAKeyOut(t *testing.T) {
	hashes := []uint64{0, 1, 1 << 40, 1<<40 + 1, 3 << 52, 3<<52 + 1<<36, 3<<52 + 2<<36, 1<<64 - 1}
	rapid.Check(t, func(t *rapid.T) {
		x, numbers := newKeyIndex(), map[int64]uint64{} // by number, of those that are there
		var kept []*keyRun
		settle := func(length int) {
			if !x.full(1) {
				return
			}
			r := x.oldest(length)
			read, err := decodeKeyRun(r.first, r.length(), r.encode())
			if err != nil {
				t.Fatal(err)
			}
			kept = append(kept, read)
			x.settle(r)
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				h := rapid.SampledFrom(hashes).Draw(t, "hash")
				numbers[x.next()] = h
				x.add(h, 0)
			},
			"make a run too": func(*rapid.T) { settle(1) },
			"make a run":     func(t *rapid.T) { settle(rapid.IntRange(1, 9).Draw(t, "length")) },
			"start again": func(*rapid.T) {
				tail := slices.Clone(x.tail.hashes)
				next := x.tail.first
				x = newKeyIndex()
				x.load(kept)
				for x.next() < next {
					x.skip(next)
				}
				for _, h := range tail {
					x.add(h, 0)
				}
			},
			"lose numbers": func(t *rapid.T) {
				r := x.skip(x.next() + rapid.SampledFrom([]int64{1, 5, 5, 40, 3 * runLength}).Draw(t, "numbers"))
				if r != nil {
					kept = append(kept, r)
				}
			},
			"drop": func(t *rapid.T) {
				if len(x.runs) == 0 {
					t.Skip("no run yet")
				}
				first := rapid.Int64Range(1, x.tail.first-1).Draw(t, "first")
				length := rapid.IntRange(1, int(x.tail.first-first)).Draw(t, "length")
				for n := first; n < first+int64(length); n++ {
					delete(numbers, n)
				}
				x.drop(first, length)
			},
			"": func(t *rapid.T) {
				for _, h := range hashes {
					found := x.find(h, nil)
					for n, has := range numbers {
						if has == h && !slices.Contains(found, n) {
							t.Fatalf("key %d of hash %x is not among %v", n, h, found)
						}
					}
					for _, n := range found {
						if has, ok := numbers[n]; ok && has>>36 != h>>36 {
							t.Fatalf("hash %x finds key %d of hash %x", h, n, has)
						}
					}
				}
			},
		})
	})
}

func TestKeyIndex_FindsLittleBesideTheKey(t *testing.T) {
	x := newKeyIndex()
	for range 4 * runLength {
		x.add(rand.Uint64(), 0)
		if x.full(runLength) {
			x.settle(x.oldest(runLength))
		}
	}
	found := 0
	for range 10_000 {
		found += len(x.find(rand.Uint64(), nil))
	}
	if found > 50 { // 5 are to be expected: 8 entries of 16 bits in each of 4 buckets
		t.Errorf("10,000 keys that are not there find %d others", found)
	}
}

func TestKeyIndex_RefusesADamagedRun(t *testing.T) {
	good := newKeyRun(1, []uint64{1, 2, 1 << 60}).encode()
	for name, damage := range map[string]func([]byte) []byte{
		"cut off": func(b []byte) []byte { return b[:len(b)-1] },
		"empty":   func([]byte) []byte { return nil },
		"buckets out of order": func(b []byte) []byte {
			b[100], b[101] = 0xff, 0xff
			return b
		},
		"more than there is": func(b []byte) []byte {
			b[2*buckets] = 9
			return b
		},
	} {
		if _, err := decodeKeyRun(1, 3, damage(slices.Clone(good))); !errors.Is(err, errKeyRun) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// BenchmarkKeyIndex looks keys up that are not there, beside 1 and 5 million.
func BenchmarkKeyIndex(b *testing.B) {
	for _, size := range []struct {
		name string
		runs int
	}{{"keys=1M", 31}, {"keys=5M", 153}} {
		b.Run(size.name, func(b *testing.B) {
			x := newKeyIndex()
			for range size.runs * runLength {
				x.add(rand.Uint64(), 0)
				if x.full(runLength) {
					x.settle(x.oldest(runLength))
				}
			}
			found := make([]int64, 0, 8)
			b.ResetTimer()
			for range b.N {
				found = x.find(rand.Uint64(), found[:0])
			}
		})
	}
}
