// Package codec is how stores write bodies, outputs, headers and keys: compressed when that is
// worth it, and lossless for any bytes. What one store wrote another can read.
package codec

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

const (
	compressFrom = 4096 // below, compression costs more than the pages it saves
	longKey      = 128  // longer keys are remembered by their hash
)

// How a body or an output is stored.
const (
	Raw        = 0
	Compressed = 1 // by zstd, or as blocks, which begin with their mark
)

// Key returns what is remembered of a delivery key. The first byte keeps a key that looks
// like a hash apart from the hash.
func Key(key string) []byte {
	if len(key) <= longKey {
		return append([]byte{'k'}, key...)
	}
	sum := sha256.Sum256([]byte(key))
	return append([]byte{'h'}, sum[:]...)
}

// encoder serves every caller; EncodeAll needs no goroutine of its own.
var encoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0)), zstd.WithWindowSize(1<<20),
		zstd.WithAllLitEntropyCompression(true))
	if err != nil {
		panic(err) // the options are constants
	}
	return e
})

// Encode returns a copy of data as it is stored: compressed when that is worth it. The copy
// is the store's own, so a caller that no longer waits may use its buffer again.
func Encode(data []byte) (encoding int, stored []byte) {
	if encoding, stored = EncodeShared(data); encoding == Raw {
		stored = bytes.Clone(stored)
	}
	return encoding, stored
}

// EncodeShared is Encode for data that nobody changes any more: what is not compressed is data itself.
func EncodeShared(data []byte) (encoding int, stored []byte) {
	if len(data) < compressFrom {
		return Raw, data
	}
	if len(data) >= sampleFrom {
		if small := encodeBlocks(data); small != nil {
			return Compressed, small
		}
	}
	if room := expected(data); room < len(data) {
		if small := encoder().EncodeAll(data, make([]byte, 0, room)); len(small) < len(data) {
			return Compressed, small
		}
	}
	return Raw, data
}

// sampleLen is how long the parts of large data are that are compressed for a try, and sampleFrom from
// which size on.
const (
	sampleLen  = 8 << 10
	sampleFrom = 8 * sampleLen
)

// expected is about how many bytes data becomes, or len(data) when compression is not worth it: of
// large data one of three parts must lose a sixteenth. Images, archives and encrypted ones are found
// out that way for little; encoded ones (base64) become three quarters.
func expected(data []byte) int {
	if len(data) < sampleFrom {
		return len(data) / 2
	}
	small := make([]byte, 0, sampleLen+64)
	for _, at := range []int{0, len(data) / 2, len(data) - sampleLen} {
		if n := len(encoder().EncodeAll(data[at:at+sampleLen], small)); n < sampleLen-sampleLen/16 {
			return len(data) / sampleLen * (n + n/64)
		}
	}
	return len(data)
}

// Decode undoes Encode. Data that is not exactly size bytes long is an error, found
// before more than size bytes were made of it.
func Decode(encoding int, stored []byte, size int) ([]byte, error) {
	if encoding == Raw {
		if len(stored) != size {
			return nil, fmt.Errorf("stored data has %d bytes instead of %d", len(stored), size)
		}
		return stored, nil
	}
	if isBlocks(stored) {
		return decodeBlocks(stored, size)
	}
	d := decoders.Get().(*zstd.Decoder)
	defer func() {
		_ = d.Reset(nil) // lets go of stored; nothing is left to fail
		decoders.Put(d)
	}()
	if err := d.Reset(bytes.NewReader(stored)); err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	data := bytes.NewBuffer(make([]byte, 0, min(size, trustedSize)+bytes.MinRead))
	if _, err := data.ReadFrom(io.LimitReader(d, int64(size)+1)); err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	if data.Len() != size {
		return nil, errSize(size)
	}
	return data.Bytes(), nil
}

func errSize(size int) error {
	return fmt.Errorf("stored data does not decompress to the %d bytes recorded", size)
}

// trustedSize is how much room is made for data before any of it is there.
const trustedSize = 1 << 20

// decoders keep their tables; none has a goroutine.
var decoders = sync.Pool{New: func() any {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		panic(err) // the options are constants
	}
	return d
}}

// EncodeLists stores names with their values: compact, and lossless for any bytes. Names are
// sorted, so equal headers are stored equally. Nothing is nil.
func EncodeLists(lists map[string][]string) []byte {
	if len(lists) == 0 {
		return nil
	}
	names, size := make([]string, 0, len(lists)), 0
	for name, values := range lists {
		names, size = append(names, name), size+len(name)+4
		for _, v := range values {
			size += len(v) + 2
		}
	}
	slices.Sort(names)
	b := make([]byte, 0, size)
	for _, name := range names {
		b = appendString(b, name)
		b = binary.AppendUvarint(b, uint64(len(lists[name])))
		for _, v := range lists[name] {
			b = appendString(b, v)
		}
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

var errLists = errors.New("stored names and values are damaged")

// DecodeLists undoes EncodeLists.
func DecodeLists(b []byte) (map[string][]string, error) {
	if len(b) == 0 {
		return nil, nil
	}
	lists := map[string][]string{}
	for len(b) > 0 {
		name, rest, err := takeString(b)
		if err != nil {
			return nil, err
		}
		n, size := binary.Uvarint(rest)
		if size <= 0 || n > uint64(len(rest)) {
			return nil, errLists
		}
		b = rest[size:]
		values := make([]string, n)
		for i := range values {
			if values[i], b, err = takeString(b); err != nil {
				return nil, err
			}
		}
		lists[name] = values
	}
	return lists, nil
}

func takeString(b []byte) (string, []byte, error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return "", nil, errLists
	}
	end := size + int(n)
	return string(b[size:end]), b[end:], nil
}

// EncodeParams stores single values like lists of one.
func EncodeParams(params map[string]string) []byte {
	if len(params) == 0 {
		return nil
	}
	lists := make(map[string][]string, len(params))
	for name, v := range params {
		lists[name] = []string{v}
	}
	return EncodeLists(lists)
}

// DecodeParams undoes EncodeParams.
func DecodeParams(b []byte) (map[string]string, error) {
	lists, err := DecodeLists(b)
	if err != nil || lists == nil {
		return nil, err
	}
	params := make(map[string]string, len(lists))
	for name, v := range lists {
		if len(v) != 1 {
			return nil, errLists
		}
		params[name] = v[0]
	}
	return params, nil
}
