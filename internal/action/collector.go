package action

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// collector reads one pipe into a writer until everybody who could write is gone. Attend reads for
// a while on the goroutine that asks, which is all that a short run needs; then a goroutine of its
// own goes on.
type collector struct {
	write *os.File // the commands' end
	read  *os.File
	out   io.Writer
	done  chan struct{} // closed at the end; nil until attend
}

// pieces are buffers for what collectors read.
var pieces = sync.Pool{New: func() any { return new([16 << 10]byte) }}

func newCollector(out io.Writer) (*collector, error) {
	read, write, err := pipe()
	if err != nil {
		return nil, err
	}
	return &collector{write: write, read: read, out: out}, nil
}

// attend reads until everybody who could write is gone, at most so long. What is left is read beside
// the caller.
func (c *collector) attend(most time.Duration) {
	c.done = make(chan struct{})
	able := c.read.SetReadDeadline(time.Now().Add(most)) == nil
	if able && c.copy() {
		close(c.done)
		return
	}
	if able {
		_ = c.read.SetReadDeadline(time.Time{}) // it can, see above
	}
	go func() {
		defer close(c.done)
		c.copy()
	}()
}

// copy reads until the pipe ends, or close. It is false when it was the deadline that ended it.
func (c *collector) copy() bool {
	piece := pieces.Get().(*[16 << 10]byte)
	defer pieces.Put(piece)
	for {
		n, err := c.read.Read(piece[:])
		if n > 0 {
			if _, failed := c.out.Write(piece[:n]); failed != nil {
				return true
			}
		}
		if err != nil {
			return !errors.Is(err, os.ErrDeadlineExceeded)
		}
	}
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
	if c.done != nil {
		select {
		case <-c.done:
		default:
			_ = c.read.SetReadDeadline(time.Now()) // an error means that it is closed
			<-c.done
		}
	}
	_ = c.read.Close()
}
