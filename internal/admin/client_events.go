package admin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// Rejects lists refused requests, newest first; next as with Deliveries.
func (c *Client) Rejects(ctx context.Context, f store.Filter) (list []Reject, next string, err error) {
	h, err := c.call(ctx, http.MethodGet, "rejects?"+encodeFilter(f).Encode(), &list)
	return list, nextCursor(h), err
}

// AuditPage is a part of the audit log, newest first.
type AuditPage struct {
	Entries []job.AuditEntry
	Anchor  job.AuditAnchor // what the oldest entry of all follows
}

// AuditLog returns entries older than number before, 0 for all.
func (c *Client) AuditLog(ctx context.Context, before int64, most int) (p AuditPage, err error) {
	path := "audit?limit=" + strconv.Itoa(most)
	if before > 0 {
		path += "&cursor=" + strconv.FormatInt(before, 10)
	}
	var list []AuditEntry
	h, err := c.call(ctx, http.MethodGet, path, &list)
	if err != nil {
		return p, err
	}
	for i := range list {
		p.Entries = append(p.Entries, list[i].Entry())
	}
	if _, err := fmt.Sscan(h.Get(headerAnchor), &p.Anchor.N, &p.Anchor.Hash); err != nil && !errors.Is(err, io.EOF) && p.Anchor.N > 0 {
		return p, fmt.Errorf("read the anchor of the audit log: %w", err)
	}
	return p, nil
}

// Explain says what the hooks in force would do with a request.
func (c *Client) Explain(ctx context.Context, q ExplainRequest) (x hook.Explanation, err error) {
	return x, c.post(ctx, "explain", q, &x)
}

// CountReplay says what a replay would do.
func (c *Client) CountReplay(ctx context.Context, q ReplayRequest) (count ReplayCount, err error) {
	q.DryRun = true
	return count, c.post(ctx, "replays", q, &count)
}

// StartReplay begins a replay, or goes on with one of the same filter that was not through.
func (c *Client) StartReplay(ctx context.Context, q ReplayRequest) (r Replay, err error) {
	return r, c.post(ctx, "replays", q, &r)
}

// Replays lists the newest replays.
func (c *Client) Replays(ctx context.Context) (list []Replay, err error) {
	_, err = c.call(ctx, http.MethodGet, "replays", &list)
	return list, err
}

// Replayed returns how far a replay is.
func (c *Client) Replayed(ctx context.Context, id string) (r Replay, err error) {
	_, err = c.call(ctx, http.MethodGet, "replays/"+url.PathEscape(id), &r)
	return r, err
}

// CancelReplay ends a replay that runs.
func (c *Client) CancelReplay(ctx context.Context, id string) (r Replay, err error) {
	_, err = c.call(ctx, http.MethodPost, "replays/"+url.PathEscape(id)+"/cancel", &r)
	return r, err
}

// Event is one event of a stream.
type Event struct {
	ID   string
	Kind string
	Data []byte // JSON
}

// silence is how long a stream may say nothing, its heartbeats included, until it counts as gone.
const silence = 3 * beatEvery

// mostEvent bounds one event, in bytes.
const mostEvent = 4 << 20

// Events calls do with each event of the given kinds (none: all) until ctx ends, do returns an
// error or the stream breaks off. It goes on after the event with the id after, unless that is "".
// The daemon's end is io.ErrUnexpectedEOF.
func (c *Client) Events(ctx context.Context, kinds []string, after string, do func(Event) error) error {
	q := url.Values{}
	if len(kinds) > 0 {
		q.Set("kind", strings.Join(kinds, ","))
	}
	if after != "" {
		q.Set("after", after)
	}
	return c.stream(ctx, "events?"+q.Encode(), do)
}

func (c *Client) stream(ctx context.Context, path string, do func(Event) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	quiet := time.AfterFunc(silence, func() { cancel(fmt.Errorf("%w: the stream is silent", ErrUnreachable)) })
	defer quiet.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+prefix+path, nil)
	if err != nil {
		return err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	endless := *c.http
	endless.Timeout = 0
	resp, err := endless.Do(req)
	if err != nil {
		return streamError(ctx, unreachable(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		if err != nil {
			return streamError(ctx, err)
		}
		return problemOf(resp, body)
	}
	return streamError(ctx, readEvents(resp.Body, func() { quiet.Reset(silence) }, do))
}

// streamError prefers why a stream was ended to how that showed.
func streamError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// readEvents reads text/event-stream as this daemon writes it: one line of data in each event.
func readEvents(from io.Reader, alive func(), do func(Event) error) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(make([]byte, 0, 64<<10), mostEvent)
	var e Event
	for lines.Scan() {
		alive()
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case name == "id":
			e.ID = value
		case name == "event":
			e.Kind = value
		case name == "data":
			e.Data = []byte(value)
		case lines.Text() == "" && e.Kind != "":
			if err := do(e); err != nil {
				return err
			}
			e = Event{ID: e.ID}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	return io.ErrUnexpectedEOF
}
