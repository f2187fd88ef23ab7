package sqlite

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"
)

const (
	compressFrom = 4096 // below, compression costs more than the pages it saves
	longKey      = 128  // longer keys are remembered by their hash
)

// How a body or an output is stored.
const (
	raw        = 0
	compressed = 1
)

// encodeID returns the bytes of a UUID.
func encodeID(id string) ([]byte, error) {
	u, err := uuid.Parse(id)
	if err != nil || len(id) != 36 {
		return nil, fmt.Errorf("id %q is not a UUID", id)
	}
	return u[:], nil
}

func decodeID(b []byte) (string, error) {
	u, err := uuid.FromBytes(b)
	if err != nil {
		return "", fmt.Errorf("read id: %w", err)
	}
	return u.String(), nil
}

// encodeTime returns microseconds since 1970, or 0 for the zero time.
func encodeTime(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func decodeTime(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// encodeKey returns what is remembered of a delivery key. The first byte keeps a key that looks
// like a hash apart from the hash.
func encodeKey(key string) []byte {
	if len(key) <= longKey {
		return append([]byte{'k'}, key...)
	}
	sum := sha256.Sum256([]byte(key))
	return append([]byte{'h'}, sum[:]...)
}

// encoder serves every caller; EncodeAll needs no goroutine of its own.
var encoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0)), zstd.WithWindowSize(1<<20))
	if err != nil {
		panic(err) // the options are constants
	}
	return e
})

// encodeData returns a copy of data as it is stored: compressed when that is worth it. The copy
// is the store's own, so a caller that no longer waits may use its buffer again.
func encodeData(data []byte) (encoding int, stored []byte) {
	if len(data) >= compressFrom {
		if small := encoder().EncodeAll(data, make([]byte, 0, len(data)/2)); len(small) < len(data) {
			return compressed, small
		}
	}
	return raw, bytes.Clone(data)
}

// decodeData undoes encodeData. Data that is not exactly size bytes long is an error, found
// before more than size bytes were made of it.
func decodeData(encoding int, stored []byte, size int) ([]byte, error) {
	if encoding == raw {
		if len(stored) != size {
			return nil, fmt.Errorf("stored data has %d bytes instead of %d", len(stored), size)
		}
		return stored, nil
	}
	d, err := zstd.NewReader(bytes.NewReader(stored), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	defer d.Close()
	data, err := io.ReadAll(io.LimitReader(d, int64(size)+1))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	if len(data) != size {
		return nil, fmt.Errorf("stored data does not decompress to the %d bytes recorded", size)
	}
	return data, nil
}

// encodeLists stores names with their values: compact, and lossless for any bytes. Names are
// sorted, so equal headers are stored equally. Nothing is nil.
func encodeLists(lists map[string][]string) []byte {
	if len(lists) == 0 {
		return nil
	}
	b := make([]byte, 0, 512)
	for _, name := range slices.Sorted(maps.Keys(lists)) {
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

func decodeLists(b []byte) (map[string][]string, error) {
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

// encodeParams stores single values like lists of one.
func encodeParams(params map[string]string) []byte {
	lists := make(map[string][]string, len(params))
	for name, v := range params {
		lists[name] = []string{v}
	}
	return encodeLists(lists)
}

func decodeParams(b []byte) (map[string]string, error) {
	lists, err := decodeLists(b)
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

// encodeJSON returns v as JSON text, or nil for an empty list.
func encodeJSON[T any](v []T) (any, error) {
	if len(v) == 0 {
		return nil, nil
	}
	b, err := json.Marshal(v)
	return string(b), err
}

func decodeJSON[T any](text []byte) (v []T, err error) {
	if len(text) == 0 {
		return nil, nil
	}
	return v, json.Unmarshal(text, &v)
}
