package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"sync"

	"github.com/klauspost/compress/s2"
)

// Large data that repeats itself, as JSON does, is compressed with S2, in a third of the time that zstd
// takes and to some half more bytes: with zstd it would be most of the work with a large body. It
// is a mark, which no zstd frame begins with, and blocks: the length of each, and the block.
const (
	blocksMark = "\x00S2\x01"
	blockLen   = 1 << 20 // of what is in a block
	// worthBlocks is to how many hundredths the first block must come. What repeats less, such as base64,
	// is for zstd, which also makes letters shorter that are rare.
	worthBlocks = 60
)

// rooms are where blocks are made.
var rooms = sync.Pool{New: func() any {
	room := make([]byte, s2.MaxEncodedLen(blockLen))
	return &room
}}

// encodeBlocks returns data as blocks, or nil when it does not repeat itself.
func encodeBlocks(data []byte) (out []byte) {
	room := rooms.Get().(*[]byte)
	defer rooms.Put(room)
	for part := range slices.Chunk(data, blockLen) {
		block := s2.Encode(*room, part)
		if out == nil {
			if len(block) > len(part)/100*worthBlocks {
				return nil
			}
			blocks := (len(data) + blockLen - 1) / blockLen
			out = append(make([]byte, 0, len(blocksMark)+blocks*(len(block)+len(block)/16+binary.MaxVarintLen64)), blocksMark...)
		}
		out = append(binary.AppendUvarint(out, uint64(len(block))), block...)
	}
	return out
}

func isBlocks(stored []byte) bool { return bytes.HasPrefix(stored, []byte(blocksMark)) }

var errBlocks = errors.New("stored data is damaged")

// decodeBlocks undoes encodeBlocks. It makes room for what is there and three times as much, at most size.
func decodeBlocks(stored []byte, size int) (data []byte, err error) {
	for left := stored[len(blocksMark):]; len(left) > 0; {
		n, head := binary.Uvarint(left)
		if head <= 0 || n > uint64(len(left)-head) {
			return nil, errBlocks
		}
		block := left[head : head+int(n)]
		left = left[head+int(n):]
		holds, err := s2.DecodedLen(block)
		if err != nil || holds == 0 || holds > blockLen {
			return nil, errBlocks
		}
		if holds > size-len(data) {
			return nil, errSize(size)
		}
		if cap(data)-len(data) < holds {
			data = append(make([]byte, 0, min(size, max(holds, 4*len(data)))), data...)
		}
		if _, err := s2.Decode(data[len(data):len(data)+holds], block); err != nil {
			return nil, errBlocks
		}
		data = data[:len(data)+holds]
	}
	if len(data) != size {
		return nil, errSize(size)
	}
	return data, nil
}
