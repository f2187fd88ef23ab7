package sqlite

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
)

// A keyIndex finds delivery keys by their hash. The rows of the table dedupe_key are the truth; they
// are numbered as they come, so that new ones share a page wherever their hashes fall, and the index
// says which few of them could be the one that is looked for. It never leaves one out. What it names
// beside that, or what has been deleted since, the caller tells by reading the row.
//
// The newest keys are in the tail. Once they are runLength, they become an immutable run of four
// bytes for each key, which is kept in the table dedupe_run, so that a start does not read the keys
// again, and whole in memory. There, two neighbours of the same size are merged into one, up to a
// million keys, so that few places of the memory must be looked at.
type keyIndex struct {
	runs []*keyRun // by first
	tail keyTail
}

// runLength is how many keys become a run. It bounds what a start reads again, and how long the
// writer is busy with making one.
const runLength = 1 << placeBits

// keyHash is the hash that the index goes by. It is in the file: another one needs another schema. An
// entry of a run has only some of its bits, so without the salt whoever chooses keys could find
// thousands that agree in them, and have the writer look at all of their rows for each delivery.
func keyHash(salt []byte, hook string, key []byte) uint64 {
	b := make([]byte, 0, 256)
	b = append(b, salt...)
	b = binary.AppendUvarint(b, uint64(len(hook)))
	b = append(append(b, hook...), key...)
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:])
}

func newKeyIndex() (x keyIndex) {
	x.tail.reset(1)
	return x
}

// load takes in the runs that were kept, in order, before there is anything else.
func (x *keyIndex) load(runs []*keyRun) {
	for len(runs) > 0 {
		n := 1 << maxLevel
		for n > len(runs) || !near(runs[:n]) {
			n /= 2
		}
		x.push(merge(runs[:n]...))
		last := runs[n-1]
		x.tail.reset(last.first + int64(last.length()))
		runs = runs[n:]
	}
}

func (x *keyIndex) push(r *keyRun) {
	for len(x.runs) > 0 {
		last := x.runs[len(x.runs)-1]
		if last.level != r.level || r.level == maxLevel || !near([]*keyRun{last, r}) {
			break
		}
		r = merge(last, r)
		x.runs = x.runs[:len(x.runs)-1]
	}
	x.runs = append(x.runs, r)
}

// find appends to into the numbers of all keys with the hash, and of few others, newest first.
func (x *keyIndex) find(hash uint64, into []int64) []int64 {
	into = x.tail.find(hash, into)
	for _, r := range slices.Backward(x.runs) {
		into = r.find(hash, into)
	}
	return into
}

// next is the number of the next key. The index has it of no other: a row that was deleted, or rolled
// back, leaves a number that finds nothing.
func (x *keyIndex) next() int64 { return x.tail.first + int64(len(x.tail.hashes)) }

// add takes the key with number next in, whose window ends then.
func (x *keyIndex) add(hash uint64, end int64) { x.tail.add(hash, end) }

// skip takes over that the next key there is has the number seq, and the ones before are gone. It
// returns a run that the tail had to become for that, or nil.
func (x *keyIndex) skip(seq int64) *keyRun {
	if seq-x.tail.first >= runLength {
		var r *keyRun
		if len(x.tail.hashes) > 0 {
			r = x.oldest(runLength)
			x.settle(r)
		}
		x.tail.reset(seq)
		return r
	}
	for x.next() < seq {
		x.add(0, maxEnd)
	}
	return nil
}

// maxEnd is the end of a window that does not count.
const maxEnd = 1<<63 - 1

// full reports whether the tail is long enough for a run of so many keys.
func (x *keyIndex) full(length int) bool { return len(x.tail.hashes) >= length }

// oldest makes a run of the first keys of the tail, which keeps them.
func (x *keyIndex) oldest(length int) *keyRun {
	length = min(length, len(x.tail.hashes))
	r := newKeyRun(x.tail.first, x.tail.hashes[:length])
	r.due = slices.Min(x.tail.ends[:length])
	return r
}

// settle takes a run of the first keys of the tail in, in their place.
func (x *keyIndex) settle(r *keyRun) {
	x.push(r)
	hashes, ends := slices.Clone(x.tail.hashes[r.length():]), slices.Clone(x.tail.ends[r.length():])
	x.tail.reset(r.first + int64(r.length()))
	for i := range hashes {
		x.tail.add(hashes[i], ends[i])
	}
}

// drop forgets so many keys from number first on, which are gone.
func (x *keyIndex) drop(first int64, length int) {
	x.runs = slices.DeleteFunc(x.runs, func(r *keyRun) bool {
		r.drop(first, first+int64(length))
		return len(r.entries) == 0
	})
}

// keyTail is the newest keys: the hash of key first+i is hashes[i].
type keyTail struct {
	first  int64
	hashes []uint64
	newest map[uint64]int32 // by hash
	before []int32          // of each key, the one before it with the same hash, or -1
	ends   []int64          // of each key's window, when it came
}

func (t *keyTail) reset(first int64) {
	t.first, t.hashes, t.before, t.ends = first, t.hashes[:0], t.before[:0], t.ends[:0]
	if t.newest == nil {
		t.newest = map[uint64]int32{}
	}
	clear(t.newest)
}

func (t *keyTail) add(hash uint64, end int64) {
	i := int32(len(t.hashes))
	was, ok := t.newest[hash]
	if !ok {
		was = -1
	}
	t.hashes, t.before, t.ends = append(t.hashes, hash), append(t.before, was), append(t.ends, end)
	t.newest[hash] = i
}

func (t *keyTail) find(hash uint64, into []int64) []int64 {
	i, ok := t.newest[hash]
	if !ok {
		return into
	}
	for ; i >= 0; i = t.before[i] {
		into = append(into, t.first+int64(i))
	}
	return into
}

// keyRun is an index of keys that were numbered one after the other, the first of them first. The first
// bits of a hash choose a bucket of a few entries; an entry has the next bits, the mark, and behind them
// the number less first, the place. A run of the next level has twice the keys: one bit of the mark is a
// bit of the bucket instead, and the place has one more.
type keyRun struct {
	first   int64
	level   int
	due     int64    // no window of a key ends before; only of a run that is new
	starts  []uint32 // of the buckets in entries, and where the last one ends
	entries []uint32
}

// The bits of an entry's parts at level 0.
const (
	bucketBits = 12
	markBits   = 16
	placeBits  = 15
	maxLevel   = 5
	buckets    = 1 << bucketBits
)

func newKeyRun(first int64, hashes []uint64) *keyRun {
	type placed struct{ hash, place uint32 }
	all := make([]placed, len(hashes))
	for i, h := range hashes {
		all[i] = placed{uint32(h >> (64 - bucketBits - markBits)), uint32(i)}
	}
	slices.SortFunc(all, func(a, b placed) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.place, b.place)) })
	r := &keyRun{first: first, starts: make([]uint32, buckets+1), entries: make([]uint32, len(all))}
	for i, p := range all {
		r.entries[i] = p.hash<<placeBits&(1<<(markBits+placeBits)-1) | p.place
		r.starts[p.hash>>markBits+1]++
	}
	for i := range buckets {
		r.starts[i+1] += r.starts[i]
	}
	return r
}

// length is how many keys a run of level 0 has that was just made or read.
func (r *keyRun) length() int { return len(r.entries) }

func (r *keyRun) find(hash uint64, into []int64) []int64 {
	b := hash >> (64 - bucketBits - r.level)
	place := placeBits + r.level
	mark := uint32(hash>>(64-bucketBits-markBits)) & (1<<(markBits-r.level) - 1)
	for _, e := range r.entries[r.starts[b]:r.starts[b+1]] {
		if e>>place == mark {
			into = append(into, r.first+int64(e&(1<<place-1)))
		}
	}
	return into
}

// near reports whether runs of one level have their numbers so close together that one run can hold
// them: gaps are where rows were lost.
func near(runs []*keyRun) bool {
	first, last := runs[0], runs[len(runs)-1]
	return last.first-first.first <= int64(len(runs)-1)<<(placeBits+first.level)
}

// merge makes one run of 2, 4, 8, … of one level.
func merge(runs ...*keyRun) *keyRun {
	first, more, length := runs[0], bits.Len(uint(len(runs)))-1, 0
	for _, r := range runs {
		length += len(r.entries)
	}
	m := &keyRun{
		first: first.first, level: first.level + more,
		starts: make([]uint32, (len(first.starts)-1)<<more+1), entries: make([]uint32, length),
	}
	place, top := placeBits+first.level, placeBits+markBits-more
	low, mark := uint32(1)<<place-1, uint32(1)<<(top-place)-1
	end := uint32(0)
	for b := range len(first.starts) - 1 {
		var next [1 << maxLevel]uint32 // where the next entry of each new bucket goes; first, how many there are
		for _, r := range runs {
			for _, e := range r.entries[r.starts[b]:r.starts[b+1]] {
				next[e>>top]++
			}
		}
		for i := range 1 << more {
			next[i], end = end, end+next[i]
			m.starts[b<<more+i+1] = end
		}
		for _, r := range runs {
			shift := uint32(r.first - first.first)
			for _, e := range r.entries[r.starts[b]:r.starts[b+1]] {
				m.entries[next[e>>top]] = e>>place&mark<<(place+more) | (e&low + shift)
				next[e>>top]++
			}
		}
	}
	return m
}

// drop leaves the keys with the numbers from up to, but not including, to out.
func (r *keyRun) drop(from, to int64) {
	place := placeBits + r.level
	if to <= r.first || from >= r.first+1<<place {
		return
	}
	kept, begin := r.entries[:0], uint32(0)
	for i := range len(r.starts) - 1 {
		end := r.starts[i+1]
		for _, e := range r.entries[begin:end] {
			if n := r.first + int64(e&(1<<place-1)); n < from || n >= to {
				kept = append(kept, e)
			}
		}
		begin, r.starts[i+1] = end, uint32(len(kept))
	}
	r.entries = slices.Clip(slices.Clone(kept))
}

// encode is how a run of level 0 is kept.
func (r *keyRun) encode() []byte {
	b := make([]byte, 0, 2*len(r.starts)+4*len(r.entries))
	for _, s := range r.starts {
		b = binary.LittleEndian.AppendUint16(b, uint16(s))
	}
	for _, e := range r.entries {
		b = binary.LittleEndian.AppendUint32(b, e)
	}
	return b
}

var errKeyRun = errors.New("index of delivery keys is damaged")

// decodeKeyRun undoes encode for a run of so many keys.
func decodeKeyRun(first int64, length int, b []byte) (*keyRun, error) {
	if length <= 0 || length > runLength || len(b) != 2*(buckets+1)+4*length {
		return nil, fmt.Errorf("%w: run %d of %d keys has %d bytes", errKeyRun, first, length, len(b))
	}
	r := &keyRun{first: first, starts: make([]uint32, buckets+1), entries: make([]uint32, length)}
	for i := range r.starts {
		r.starts[i] = uint32(binary.LittleEndian.Uint16(b[2*i:]))
	}
	b = b[2*len(r.starts):]
	for i := range r.entries {
		r.entries[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	if r.starts[0] != 0 || int(r.starts[buckets]) != length || !slices.IsSorted(r.starts) {
		return nil, fmt.Errorf("%w: buckets of run %d", errKeyRun, first)
	}
	return r, nil
}
