package pull

import (
	"context"
	"errors"
	"io"
	"time"
)

// errSilent says that a server did not even send its sign of life.
var errSilent = errors.New("nothing came for too long, not even a sign of life")

// lively reads a body until nothing came for so long; then cancel is called, which ends the read.
type lively struct {
	body  io.ReadCloser
	timer *time.Timer
	limit time.Duration
}

func newLively(body io.ReadCloser, limit time.Duration, cancel context.CancelCauseFunc) *lively {
	return &lively{body: body, limit: limit, timer: time.AfterFunc(limit, func() { cancel(errSilent) })}
}

// Read implements io.Reader.
func (l *lively) Read(p []byte) (int, error) {
	n, err := l.body.Read(p)
	if n > 0 {
		l.timer.Reset(l.limit)
	}
	return n, err
}

// rest is called before what was read is worked on: that may take longer than a server may be silent.
func (l *lively) rest()   { l.timer.Stop() }
func (l *lively) resume() { l.timer.Reset(l.limit) }

// Close implements io.Closer.
func (l *lively) Close() error {
	l.timer.Stop()
	return l.body.Close()
}
