package pull

import (
	"context"
	"errors"
	"io"
	"net/http"
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

// newClient is HTTP for streams and long polls: what has no answer's head in time is given up. It
// follows no redirect: a token and a channel's name go nowhere else.
func newClient(head time.Duration) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	transport.ResponseHeaderTimeout = head
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
