package pull

import (
	"bytes"
	"io"
	"reflect"
	"testing"
	"testing/iotest"
)

// FuzzStream reads any bytes as server-sent events: no event is larger than the bound, and how the
// bytes arrive does not matter.
func FuzzStream(f *testing.F) {
	f.Add([]byte("event: ready\nid: 1\ndata: {}\n\n:comment\ndata: a\ndata: b\n\n"))
	f.Add([]byte("data\r\n\r\ndata:  x\r\nid: \x00\r\n\r\n"))
	f.Add([]byte("id: " + string(bytes.Repeat([]byte("9"), 2000)) + "\ndata: " + string(bytes.Repeat([]byte("y"), 3000)) + "\n\n"))
	const most = 1 << 10
	f.Fuzz(func(t *testing.T, sent []byte) {
		whole, err := events(bytes.NewReader(sent), most)
		if err != io.EOF {
			t.Fatalf("ended with %v", err)
		}
		if dripped, _ := events(iotest.OneByteReader(bytes.NewReader(sent)), most); !reflect.DeepEqual(whole, dripped) {
			t.Errorf("at once %+v, byte by byte %+v", whole, dripped)
		}
		for _, e := range whole {
			if len(e.data) > most || len(e.id) > maxField || len(e.kind) > maxField || e.tooLarge && e.data != nil {
				t.Errorf("beyond the bound: %d bytes, id of %d, kind of %d, too large: %v", len(e.data), len(e.id), len(e.kind), e.tooLarge)
			}
		}
	})
}

func events(r io.Reader, most int) (all []event, err error) {
	s := newStream(r, most)
	for {
		e, err := s.next()
		if err != nil {
			return all, err
		}
		all = append(all, e)
	}
}
