package cli

import (
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"
)

const (
	// logLines and logBytes are how much waits for whoever reads the log until no further line is taken.
	logLines = 4096
	logBytes = 4 << 20
	// logRoom is how much room is kept for lines to come; what a burst took beyond is given back.
	logRoom = 256 << 10
	// logPatience is how long the end of the program waits for the last lines to be written.
	logPatience = 2 * time.Second
)

// logQueue stands between the daemon and its log, so that a reader that has stopped (a full pipe, a
// stuck journal, Ctrl-S at the terminal) stops no delivery. What finds the queue full is left out
// and counted. Each Write is a line; it never blocks and never fails.
//
// Lines that come together are written together: a write of their own would cost each of them more
// than what it says.
type logQueue struct {
	out  io.Writer
	each bool              // writes each line by itself
	lost func(lines int64) // says in the log's own form that lines were left out
	wake chan struct{}     // of capacity 1: there is something
	stop chan struct{}
	done chan struct{}
	once sync.Once

	mu      sync.Mutex
	waiting logChunk
}

// logChunk are whole lines, one behind the other, and how many were left out behind them.
type logChunk struct {
	text    []byte
	ends    []int // of the lines in text
	dropped int64
}

// newLogQueue makes a queue; start starts the goroutine that writes, and close ends it.
func newLogQueue(out io.Writer) *logQueue {
	q := &logQueue{out: out, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	q.lost = func(n int64) {
		_, _ = fmt.Fprintf(out, "%d lines of the log were left out: nobody read them in time\n", n)
	}
	return q
}

func (q *logQueue) start() { go q.run() }

// Write implements io.Writer.
func (q *logQueue) Write(line []byte) (int, error) {
	q.mu.Lock()
	first := len(q.waiting.ends) == 0
	if len(q.waiting.ends) == logLines || len(q.waiting.text) >= logBytes {
		q.waiting.dropped++
	} else {
		q.waiting.text = append(q.waiting.text, line...)
		q.waiting.ends = append(q.waiting.ends, len(q.waiting.text))
	}
	q.mu.Unlock()
	if first {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
	return len(line), nil
}

func (q *logQueue) run() {
	defer close(q.done)
	var chunk logChunk
	for ended := false; ; {
		select {
		case <-q.wake:
			runtime.Gosched() // those who can run and are about to write shall be in it
		case <-q.stop:
			ended = true
		}
		chunk = q.take(chunk)
		q.write(chunk)
		if ended && len(chunk.ends) == 0 {
			return
		}
	}
}

// take returns what waits, and gives the room of what was taken before to what comes.
func (q *logQueue) take(before logChunk) logChunk {
	if cap(before.text) > logRoom {
		before = logChunk{}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	chunk := q.waiting
	q.waiting = logChunk{text: before.text[:0], ends: before.ends[:0]}
	return chunk
}

// write writes lines. When that fails there is nobody to tell.
func (q *logQueue) write(chunk logChunk) {
	begin := 0
	for i, end := range chunk.ends {
		if q.each || i == len(chunk.ends)-1 {
			_, _ = q.out.Write(chunk.text[begin:end])
			begin = end
		}
	}
	if chunk.dropped > 0 {
		q.lost(chunk.dropped)
	}
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
