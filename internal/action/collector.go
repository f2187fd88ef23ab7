package action

import (
	"io"
	"os"
	"sync"
	"time"
)

// collector reads one pipe into a writer until everybody who could write is gone.
type collector struct {
	write *os.File // the commands' end
	read  *os.File
	done  chan struct{}
}

// pieces are buffers for what collectors read.
var pieces = sync.Pool{New: func() any { return new([16 << 10]byte) }}

func newCollector(out io.Writer) (*collector, error) {
	read, write, err := pipe()
	if err != nil {
		return nil, err
	}
	c := &collector{write: write, read: read, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		piece := pieces.Get().(*[16 << 10]byte)
		defer pieces.Put(piece)
		for { // ends with the pipe, or with close
			n, err := read.Read(piece[:])
			if n > 0 {
				if _, failed := out.Write(piece[:n]); failed != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	return c, nil
}

// started closes our copy of the commands' end, so that theirs is the last.
func (c *collector) started() {
	_ = c.write.Close()
	c.write = nil
}

// finish waits for the rest of the output, at most so long: somebody who still holds the pipe
// open does not hold the run up.
func (c *collector) finish(wait time.Duration) {
	select {
	case <-c.done:
		return
	default:
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
	}
}

func (c *collector) close() {
	if c.write != nil {
		_ = c.write.Close()
	}
	select {
	case <-c.done:
	default:
		_ = c.read.SetReadDeadline(time.Now()) // an error means that it is closed
		<-c.done
	}
	_ = c.read.Close()
}
