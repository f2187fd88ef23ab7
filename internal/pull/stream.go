package pull

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// event is one of a stream of server-sent events (html.spec.whatwg.org: Server-sent events).
type event struct {
	id, kind string
	data     []byte
	tooLarge bool // it was longer than is read, and data is not there
}

// stream reads server-sent events. What a server sends beyond most bytes in one event is passed
// over, and never held.
type stream struct {
	r    *bufio.Reader
	most int
	id   string // the last that was sent
}

// maxField bounds the name and value of any other field than data.
const maxField = 1 << 10

func newStream(r io.Reader, most int) *stream {
	return &stream{r: bufio.NewReaderSize(r, 64<<10), most: most}
}

// next returns the next event. A comment is none.
func (s *stream) next() (e event, err error) {
	var data []byte
	seen, hasData := false, false
	for {
		line, cut, err := s.line()
		if err != nil {
			return e, err
		}
		if len(line) == 0 {
			if !seen {
				continue
			}
			e.id = s.id
			if !e.tooLarge && hasData {
				e.data = data[:len(data)-1] // the last line's end is none
			}
			return e, nil
		}
		if line[0] == ':' {
			continue // a comment
		}
		seen = true
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "data":
			hasData = true
			if e.tooLarge = e.tooLarge || cut || len(data)+len(value) > s.most; e.tooLarge {
				data = nil
				continue
			}
			data = append(append(data, value...), '\n')
		case "event":
			e.kind = short(value)
		case "id":
			if !bytes.ContainsRune(value, 0) {
				s.id = short(value)
			}
		}
	}
}

func short(value []byte) string {
	if len(value) > maxField {
		return ""
	}
	return strings.Clone(string(value))
}

// line is the next line without its end, at most so many bytes as an event may have; cut says that
// there were more.
func (s *stream) line() (line []byte, cut bool, err error) {
	for {
		part, err := s.r.ReadSlice('\n')
		if !cut {
			line = append(line, part...)
		}
		if len(line) > s.most+maxField {
			line, cut = line[:maxField], true
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return nil, false, err // what ended without a line's end was cut off
		}
		return bytes.TrimRight(line, "\r\n"), cut, nil
	}
}
