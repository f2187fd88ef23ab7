package action

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
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

// mask replaces secrets in what is shown of an action.
type mask struct{ replacer *strings.Replacer }

func newMask(values []string) mask {
	var pairs []string
	// A secret that holds another must go first.
	sorted := slices.Clone(values)
	slices.SortFunc(sorted, func(a, b string) int { return len(b) - len(a) })
	for _, v := range sorted {
		if v != "" {
			pairs = append(pairs, v, redacted)
		}
	}
	if pairs == nil {
		return mask{}
	}
	return mask{strings.NewReplacer(pairs...)}
}

const redacted = "[redacted]"

func (m mask) text(s string) string {
	if m.replacer == nil {
		return s
	}
	return m.replacer.Replace(s)
}

// masker is a writer that replaces secrets in what passes through, also when they are split
// over writes: it holds back as much of the end as could be the beginning of one.
type masker struct {
	out     io.Writer
	secrets [][]byte
	longest int
	held    []byte
}

func newMasker(out io.Writer, values []string) *masker {
	m := &masker{out: out}
	for _, v := range values {
		if v != "" {
			m.secrets = append(m.secrets, []byte(v))
			m.longest = max(m.longest, len(v))
		}
	}
	slices.SortFunc(m.secrets, func(a, b []byte) int { return len(b) - len(a) })
	return m
}

func (m *masker) Write(p []byte) (int, error) {
	if m.longest == 0 {
		return m.out.Write(p)
	}
	m.held = append(m.held, p...)
	if err := m.pass(false); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush passes on what was held back.
func (m *masker) Flush() error {
	if m.longest == 0 {
		return nil
	}
	return m.pass(true)
}

func (m *masker) pass(all bool) error {
	var clean bytes.Buffer
	for len(m.held) > 0 {
		at, length := m.first()
		if at >= 0 {
			clean.Write(m.held[:at])
			clean.WriteString(redacted)
			m.held = m.held[at+length:]
			continue
		}
		keep := m.begun()
		if all {
			keep = 0
		}
		clean.Write(m.held[:len(m.held)-keep])
		m.held = slices.Clone(m.held[len(m.held)-keep:])
		break
	}
	_, err := m.out.Write(clean.Bytes())
	return err
}

// first finds the first secret in what is held; the longest of several at one place.
func (m *masker) first() (at, length int) {
	at = -1
	for _, s := range m.secrets {
		if i := bytes.Index(m.held, s); i >= 0 && (at < 0 || i < at) {
			at, length = i, len(s)
		}
	}
	return at, length
}

// begun is how many bytes at the end of what is held could begin a secret.
func (m *masker) begun() int {
	for n := min(m.longest-1, len(m.held)); n > 0; n-- {
		end := m.held[len(m.held)-n:]
		if slices.ContainsFunc(m.secrets, func(s []byte) bool { return bytes.HasPrefix(s, end) }) {
			return n
		}
	}
	return 0
}
