// Package zones has the time zones of the world for machines that have none of their own, such as an empty
// container: package time asks it for what it does not find there. It is what the standard library's time/tzdata
// does, with the same data in an eighth of the room.
package zones

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"syscall"
	_ "unsafe" // for go:linkname

	"github.com/klauspost/compress/zstd"
)

// packed is zstd of one zone after the other: name and data, each behind its length as a varint.
//
//go:embed zones.zst
var packed []byte

// register is package time's way in for an embedded time zone database.
//
//go:linkname register time.registerLoadFromEmbeddedTZData
func register(load func(name string) (string, error))

func init() { register(load) }

// load is the data of a zone as time.LoadLocationFromTZData takes it.
func load(name string) (string, error) {
	all, err := unpacked()
	if err != nil {
		return "", err
	}
	data, ok := all[name]
	if !ok {
		return "", syscall.ENOENT // by which package time knows that there is none of this name
	}
	return data, nil
}

// unpacked are the zones by name. They stay once they were asked for, as a name may be misspelled in many places.
var unpacked = sync.OnceValues(func() (map[string]string, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("unpack the time zones: %w", err)
	}
	defer d.Close()
	content, err := d.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("unpack the time zones: %w", err)
	}
	zones, rest := map[string]string{}, string(content)
	for rest != "" {
		var name, data string
		name, rest = cut(rest)
		data, rest = cut(rest)
		zones[name] = data
	}
	return zones, nil
})

// cut takes a text behind its length off the front.
func cut(s string) (text, rest string) {
	length, n := binary.Uvarint([]byte(s[:min(len(s), binary.MaxVarintLen64)]))
	text, rest = s[n:n+int(length)], s[n+int(length):]
	return strings.Clone(text), rest
}
