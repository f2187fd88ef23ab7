package cli

import (
	"bytes"
	"fmt"
	"io"
	"slices"
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

// countingWriter keeps each write apart.
type countingWriter struct{ writes []string }

func (w *countingWriter) Write(p []byte) (int, error) {
	w.writes = append(w.writes, string(p))
	return len(p), nil
}

func TestLogQueue_LinesThatWaitAreOneWriteUnlessEachIsAnEntry(t *testing.T) {
	for _, each := range []bool{false, true} {
		w := &countingWriter{}
		q := newLogQueue(w)
		q.each = each
		for i := range 3 {
			_, _ = fmt.Fprintf(q, "%d\n", i)
		}
		q.start()
		q.close()
		want := []string{"0\n1\n2\n"}
		if each {
			want = []string{"0\n", "1\n", "2\n"}
		}
		if !slices.Equal(w.writes, want) {
			t.Errorf("each=%v: wrote %q, want %q", each, w.writes, want)
		}
	}
}

func TestLogQueue_LargeLinesAreBoundedByBytes(t *testing.T) {
	reader := &slowReader{gate: make(chan struct{})}
	q := newLogQueue(reader)
	q.start()
	line := []byte(strings.Repeat("x", 1<<20-1) + "\n")
	const lines = 40
	for range lines {
		_, _ = q.Write(line)
	}
	close(reader.gate)
	q.close()
	got := reader.buf.String()
	kept := strings.Count(got, string(line))
	// Those that wait, and perhaps as many that are being written.
	if most := 2 * logBytes / len(line); kept < logBytes/len(line) || kept > most+2 {
		t.Errorf("%d lines of 1 MB were kept", kept)
	}
	if want := fmt.Sprintf("%d lines of the log were left out", lines-kept); !strings.Contains(got, want) {
		t.Errorf("%q is not said", want)
	}
}

// brokenWriter fails, as a standard error that was closed does.
type brokenWriter struct{ n int }

func (w *brokenWriter) Write([]byte) (int, error) { w.n++; return 0, io.ErrClosedPipe }

func TestLogQueue_ALogThatCannotBeWrittenStopsNobody(t *testing.T) {
	w := &brokenWriter{}
	q := newLogQueue(w)
	q.start()
	for range 10 * logLines {
		if n, err := q.Write([]byte("line\n")); n != 5 || err != nil {
			t.Fatal(n, err)
		}
	}
	q.close()
	if w.n == 0 {
		t.Error("nothing was tried")
	}
}
