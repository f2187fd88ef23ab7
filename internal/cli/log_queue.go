package cli

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// logLines is how many lines wait at most for whoever reads the log.
	logLines = 4096
	// logChunk is how many bytes of waiting lines are written in one go.
	logChunk = 64 << 10
	// logPatience is how long the end of the program waits for the last lines to be written.
	logPatience = 2 * time.Second
)

// logQueue stands between the daemon and its log, so that a reader that has stopped (a full pipe, a
// stuck journal, Ctrl-S at the terminal) stops no delivery. What finds the queue full is left out
// and counted. Each Write is a line; it never blocks and never fails.
type logQueue struct {
	out     io.Writer
	chunk   int               // how many bytes of waiting lines are written in one go; 0 writes each by itself
	lost    func(lines int64) // says in the log's own form that lines were left out
	lines   chan []byte
	dropped atomic.Int64
	stop    chan struct{}
	done    chan struct{}
	once    sync.Once
}

// newLogQueue makes a queue; start starts the goroutine that writes, and close ends it.
func newLogQueue(out io.Writer) *logQueue {
	q := &logQueue{out: out, chunk: logChunk, lines: make(chan []byte, logLines), stop: make(chan struct{}), done: make(chan struct{})}
	q.lost = func(n int64) {
		_, _ = fmt.Fprintf(out, "%d lines of the log were left out: nobody read them in time\n", n)
	}
	return q
}

func (q *logQueue) start() { go q.run() }

// Write implements io.Writer.
func (q *logQueue) Write(line []byte) (int, error) {
	select {
	case q.lines <- bytes.Clone(line):
	default:
		q.dropped.Add(1)
	}
	return len(line), nil
}

func (q *logQueue) run() {
	defer close(q.done)
	var chunk []byte
	for {
		select {
		case line := <-q.lines:
			chunk = q.gather(append(chunk[:0], line...))
		case <-q.stop:
			select {
			case line := <-q.lines:
				chunk = q.gather(append(chunk[:0], line...))
			default:
				return
			}
		}
		_, _ = q.out.Write(chunk) // there is nobody to tell
		if n := q.dropped.Swap(0); n > 0 {
			q.lost(n)
		}
	}
}

// gather adds the lines that wait already.
func (q *logQueue) gather(chunk []byte) []byte {
	for len(chunk) < q.chunk {
		select {
		case line := <-q.lines:
			chunk = append(chunk, line...)
		default:
			return chunk
		}
	}
	return chunk
}

// close waits until what was written before is out, for a while.
func (q *logQueue) close() {
	q.once.Do(func() { close(q.stop) })
	patience := time.NewTimer(logPatience)
	defer patience.Stop()
	select {
	case <-q.done:
	case <-patience.C:
	}
}
