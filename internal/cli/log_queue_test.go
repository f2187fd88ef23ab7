package cli

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// slowReader lets a test say when the log is read again.
type slowReader struct {
	mu   sync.Mutex
	gate chan struct{} // each write waits for it to be closed
	buf  bytes.Buffer
}

func (r *slowReader) Write(p []byte) (int, error) {
	<-r.gate
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(p)
}

func TestLogQueue_KeepsOrderAndSaysWhatItLeftOut(t *testing.T) {
	reader := &slowReader{gate: make(chan struct{})}
	q := newLogQueue(reader)
	q.start()
	const extra = logLines // a chunk of them is on its way, the others are too many
	for i := range logLines + extra {
		if _, err := fmt.Fprintf(q, "line %d%s\n", i, strings.Repeat(".", 100)); err != nil {
			t.Fatal(err)
		}
	}
	close(reader.gate)
	q.close()
	lines := strings.Split(strings.TrimSpace(reader.buf.String()), "\n")
	said, kept, next := 0, 0, 0
	for _, line := range lines {
		var n int
		if _, err := fmt.Sscanf(line, "%d lines of the log were left out", &n); err == nil {
			said += n
			continue
		}
		if _, err := fmt.Sscanf(line, "line %d.", &n); err != nil || n < next {
			t.Fatalf("%q after line %d", line, next-1)
		}
		kept, next = kept+1, n+1 // what is missing between them found the queue full
	}
	if kept+said != logLines+extra || said == 0 {
		t.Errorf("%d lines were kept and %d said to be left out, of %d", kept, said, logLines+extra)
	}
}

func TestLogQueue_WritesEverythingBeforeItCloses(t *testing.T) {
	reader := &slowReader{gate: make(chan struct{})}
	close(reader.gate)
	q := newLogQueue(reader)
	q.start()
	for i := range 1000 {
		_, _ = fmt.Fprintf(q, "%d\n", i)
	}
	q.close()
	if got := strings.Count(reader.buf.String(), "\n"); got != 1000 {
		t.Errorf("%d lines of 1000 were written", got)
	}
}
