package action

import (
	"fmt"
	"slices"
	"sync"

	"github.com/tenterhook/tenterhook/internal/crashpoint"
)

// Output keeps the head and the tail of what an attempt writes, whatever its size. It takes one
// writer; Bytes may be called meanwhile.
type Output struct {
	mu    sync.Mutex
	head  []byte
	tail  []byte // ring, once it is full
	next  int    // in tail
	limit int    // of each
	total int64
}

// NewOutput keeps at most limit bytes, half from the head and half from the tail.
func NewOutput(limit int) *Output { return &Output{limit: max(limit/2, 1)} }

// Write never fails.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	crashpoint.Reach(crashpoint.MidOutput)
	n := len(p)
	o.total += int64(n)
	if room := o.limit - len(o.head); room > 0 {
		take := min(room, len(p))
		o.head = append(o.head, p[:take]...)
		p = p[take:]
	}
	if len(p) >= o.limit {
		o.tail = append(o.tail[:0], p[len(p)-o.limit:]...)
		o.next = 0
		return n, nil
	}
	if room := o.limit - len(o.tail); room > 0 && len(p) > 0 {
		take := min(room, len(p))
		o.tail = append(o.tail, p[:take]...)
		p = p[take:]
	}
	for len(p) > 0 {
		copied := copy(o.tail[o.next:], p)
		o.next = (o.next + copied) % len(o.tail)
		p = p[copied:]
	}
	return n, nil
}

// Bytes is what is kept, with a line that says how much was left out between head and tail.
func (o *Output) Bytes() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := slices.Clone(o.head)
	if left := o.total - int64(len(o.head)) - int64(len(o.tail)); left > 0 {
		out = fmt.Appendf(out, "\n[… %d bytes left out …]\n", left)
	}
	return append(append(out, o.tail[o.next:]...), o.tail[:o.next]...)
}
