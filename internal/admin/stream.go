package admin

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The pace of an event stream.
const (
	beatEvery  = 15 * time.Second // a comment, so that both ends see that the other is there
	writeWait  = 10 * time.Second // a reader that takes nothing for so long is cut off
	retryAfter = 2 * time.Second  // how long a browser waits before it comes back
)

// stream is a text/event-stream answer (the WHATWG HTML standard, "Server-sent events").
type stream struct {
	w    http.ResponseWriter
	ctl  *http.ResponseController
	buf  bytes.Buffer
	beat *time.Ticker
}

// streaming wraps a route that answers with a stream: how many there are at once is bounded, and
// it outlives the server's time limits.
func (a *api) streaming(query []string, serve func(*stream, *http.Request, url.Values) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, err := parseQuery(r.URL.RawQuery, query)
		if err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		leave, err := a.feed.enter(whoIs(r))
		if err != nil {
			refuse(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		defer leave()
		s := &stream{w: w, ctl: http.NewResponseController(w), beat: time.NewTicker(beatEvery)}
		defer s.beat.Stop()
		var no *refusedStream
		if err := serve(s, r, q); errors.As(err, &no) {
			no.answer(w, r)
		}
		// Any other error says that the reader has gone or is too slow: it comes back by itself.
	})
}

// refusedStream is an answer instead of a stream that has not begun.
type refusedStream struct {
	answer func(http.ResponseWriter, *http.Request)
}

func (*refusedStream) Error() string { return "no stream" }

func refuseStream(status int, detail string) error {
	return &refusedStream{func(w http.ResponseWriter, _ *http.Request) { refuse(w, status, detail) }}
}

// begin sends the head of the answer.
func (s *stream) begin() error {
	if err := s.ctl.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("begin stream: %w", err)
	}
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // a proxy in front must not collect it
	fmt.Fprintf(&s.buf, "retry: %d\n\n", retryAfter.Milliseconds())
	return s.flush()
}

// send adds one event. data is JSON, which has no line breaks; id may be "".
func (s *stream) send(id, kind string, data []byte) {
	if id != "" {
		s.buf.WriteString("id: " + id + "\n")
	}
	s.buf.WriteString("event: " + kind + "\ndata: ")
	s.buf.Write(data)
	s.buf.WriteString("\n\n")
}

// sendValue is send for what is not JSON yet.
func (s *stream) sendValue(id, kind string, v any) error {
	data, err := encode(v)
	if err != nil {
		return fmt.Errorf("encode %s event: %w", kind, err)
	}
	s.send(id, kind, data)
	return nil
}

// flush writes what was sent, in bounded time.
func (s *stream) flush() error {
	if s.buf.Len() == 0 {
		return nil
	}
	if err := s.ctl.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
		return fmt.Errorf("write stream: %w", err)
	}
	if _, err := s.w.Write(s.buf.Bytes()); err != nil {
		return fmt.Errorf("write stream: %w", err)
	}
	s.buf.Reset()
	if err := s.ctl.Flush(); err != nil {
		return fmt.Errorf("write stream: %w", err)
	}
	return nil
}

// comment shows that the stream is alive.
func (s *stream) comment() error {
	s.buf.WriteString(": alive\n\n")
	return s.flush()
}

// eventFilters are the parameters of GET events.
var eventFilters = []string{"kind", "hook", "after"}

// events streams what happens. A browser that comes back says with Last-Event-ID what it has
// seen; ?after= does the same.
func (a *api) events(s *stream, r *http.Request, q url.Values) error {
	kinds, err := parseKinds(q.Get("kind"))
	if err != nil {
		return refuseStream(http.StatusBadRequest, err.Error())
	}
	after := r.Header.Get("Last-Event-ID")
	if after == "" {
		after = q.Get("after")
	}
	reader, missed := a.feed.read(after)
	defer reader.close()
	if err := s.begin(); err != nil {
		return err
	}
	if missed {
		if err := s.sendValue("", EventMissed, Missed{}); err != nil {
			return err
		}
	}
	for {
		more, err := a.pass(s, r, reader, kinds, q.Get("hook"))
		if err != nil {
			return err
		}
		if more {
			continue
		}
		select {
		case <-reader.wake:
		case <-s.beat.C:
			if err := s.comment(); err != nil {
				return err
			}
		case <-r.Context().Done():
			return r.Context().Err()
		case <-a.feed.closed:
			return nil
		}
	}
}

// pass writes the events that wait, some at a time, and reports whether there were any.
func (a *api) pass(s *stream, r *http.Request, from *reader, kinds []string, hook string) (more bool, err error) {
	events, lost := from.take()
	if lost > 0 {
		if err := s.sendValue("", EventMissed, Missed{Events: lost}); err != nil {
			return false, err
		}
	}
	for _, e := range events {
		if !slices.Contains(kinds, e.kind) {
			continue
		}
		body, err := e.json(r.Context())
		if err != nil {
			// A job that retention took away meanwhile.
			a.log.DebugContext(r.Context(), "event not sent", "error", err)
			continue
		}
		if hook == "" || e.hook == "" || e.hook == hook {
			s.send(e.id, e.kind, body)
		}
	}
	return len(events) > 0, s.flush()
}

// parseKinds reads "job,delivery"; "" is all of them.
func parseKinds(text string) ([]string, error) {
	if text == "" {
		return EventKinds, nil
	}
	kinds := strings.Split(text, ",")
	for _, kind := range kinds {
		if !slices.Contains(EventKinds, kind) {
			return nil, fmt.Errorf("kind must be some of %s, with commas between", strings.Join(EventKinds, ", "))
		}
	}
	return kinds, nil
}
