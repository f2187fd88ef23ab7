package pull

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Channel is a channel of smee.io, of a smee server of one's own, or of gosmee: its server takes
// requests from anybody who knows its address, and hands them on over a stream of server-sent events.
//
// smee (github.com/probot/smee.io, lib/server.js) sends the header's fields with lower-case names,
// the query, and the body as JSON that it had parsed: the bytes that were signed are lost, though not
// what they say (see Forms). It keeps nothing, so what comes while nobody is connected is lost.
//
// gosmee (github.com/chmouel/gosmee, gosmee/server.go) sends the bytes as they came, in base64 as
// bodyB. With Redis its events have ids, and it goes on after the one named in Last-Event-ID.
type Channel struct {
	watch
	o ChannelOptions
}

// ChannelOptions say which channel.
type ChannelOptions struct {
	URL     string // of the channel, which is where the sender sends to as well
	Gosmee  bool
	MaxBody int64 // of a delivery
	Log     *slog.Logger
	// Roots sign the server's certificate; nil are those whom the machine believes.
	Roots *x509.CertPool
	// Position is where to go on, "" for what comes now; Reached is told how far it is.
	Position string
	Reached  func(position string)
	// Silence is how long a server may send nothing; 0 is DefaultSilence.
	Silence time.Duration
}

// DefaultSilence is three of the signs of life that both servers send every 30 seconds.
const DefaultSilence = 90 * time.Second

// headTime is how long an answer's head may take.
const headTime = 30 * time.Second

// NewChannel makes a source. It opens nothing yet.
func NewChannel(o ChannelOptions) *Channel {
	if o.Silence == 0 {
		o.Silence = DefaultSilence
	}
	c := &Channel{o: o}
	c.log, c.state.Held = o.Log, -1
	return c
}

// CheckChannel says what is wrong with a channel's address: what comes over it is believed once it
// verifies, but who reads along would see it.
func CheckChannel(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || len(strings.Trim(u.Path, "/")) == 0:
		return errors.New("a channel's address is https://host/channel, without user, query or fragment")
	case u.Scheme == "https", u.Scheme == "http":
		return nil
	}
	return errors.New("a channel's address begins with https://")
}

// Run implements Source.
func (c *Channel) Run(ctx context.Context, take Take) {
	client := newClient(headTime, c.o.Roots)
	defer client.CloseIdleConnections()
	var again backoff
	for ctx.Err() == nil {
		began := time.Now()
		err := c.listen(ctx, client, take)
		if ctx.Err() != nil {
			break
		}
		c.lost(err)
		if time.Since(began) > steady {
			again.reset()
		}
		if !again.pause(ctx) {
			break
		}
	}
	c.lost(nil)
}

// listen takes what comes until the connection ends.
func (c *Channel) listen(ctx context.Context, client *http.Client, take Take) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	response, err := c.connect(ctx, client)
	if err != nil {
		return err
	}
	body := newLively(response.Body, c.o.Silence, cancel)
	defer body.Close()                                            //nolint:errcheck // it was read
	if response.StatusCode == http.StatusNotFound && c.o.Gosmee { // as its SECURITY.md says of a protected channel
		return errors.New("the server answered 404: it has no such channel, or it is an encrypted one for whose keys it asks, which is not supported")
	}
	if response.StatusCode != http.StatusOK || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		return fmt.Errorf("the server answered %d with %q, which is no stream of events", response.StatusCode, response.Header.Get("Content-Type"))
	}
	c.connected()
	c.begin(response.Header)
	events := newStream(body, int(2*c.o.MaxBody)+maxHead)
	for {
		e, err := events.next()
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			return fmt.Errorf("the stream ended: %w", err)
		}
		body.rest()
		if err := c.one(ctx, e, take); err != nil {
			return err
		}
		body.resume()
	}
}

// maxHead is how large the header's fields and the query of an event may be.
const maxHead = 1 << 20

func (c *Channel) connect(ctx context.Context, client *http.Client) (*http.Response, error) {
	address := c.o.URL
	if c.o.Gosmee {
		at, err := url.Parse(address)
		if err != nil {
			return nil, errors.New("the channel's address is none")
		}
		dir, name := at.Path[:strings.LastIndex(at.Path, "/")+1], at.Path[strings.LastIndex(at.Path, "/")+1:]
		at.Path = dir + "events/" + name
		address = at.String()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errors.New("the channel's address is none")
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Cache-Control", "no-cache")
	req.Header.Set("User-Agent", "tenterhook")
	if resumable.MatchString(c.o.Position) {
		req.Header.Set("Last-Event-ID", c.o.Position)
	}
	response, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", explain(err, c.o.Roots))
	}
	return response, nil
}

// resumable is an id that gosmee goes on after: that of an entry of a Redis stream. smee counts from
// 0 on each connection.
var resumable = regexp.MustCompile(`^[0-9]{1,20}-[0-9]{1,20}$`)

// one deals with an event.
func (c *Channel) one(ctx context.Context, e event, take Take) error {
	switch e.kind {
	case "", "message":
	case "gosmee-gap":
		c.o.Log.Warn("the channel's server may have forgotten deliveries that came while nobody was connected: it has none as old as the last that was taken")
		c.change(func(s *State) { s.Problem = "the server may have forgotten deliveries" })
		return nil
	default:
		return nil // ready, ping
	}
	if e.tooLarge {
		c.o.Log.Error("a delivery is larger than max_body and was passed over", "max_body", c.o.MaxBody)
		c.change(func(s *State) { s.Refused++ })
		return c.reached(e.id)
	}
	d, err := decode(e.data)
	if err != nil {
		c.o.Log.Warn("not a delivery, passed over", "error", err)
		c.change(func(s *State) { s.Refused++ })
		return c.reached(e.id)
	}
	if d == nil {
		return nil // a greeting
	}
	d.ID = e.id
	if resumable.MatchString(e.id) {
		ms, _, _ := strings.Cut(e.id, "-")
		if n, err := strconv.ParseInt(ms, 10, 64); err == nil {
			d.At = time.UnixMilli(n)
		}
	}
	if err := c.insist(ctx, take, d); err != nil {
		return err
	}
	return c.reached(e.id)
}

// begin notes where the first connection to a gosmee server begins, by that server's clock, so that
// what comes while a daemon that has taken nothing yet is away is not lost either.
func (c *Channel) begin(header http.Header) {
	at, err := http.ParseTime(header.Get("Date"))
	if c.o.Gosmee && c.o.Position == "" && err == nil {
		_ = c.reached(strconv.FormatInt(at.Add(-time.Second).UnixMilli(), 10) + "-0") // it cannot fail
	}
}

func (c *Channel) reached(id string) error {
	if resumable.MatchString(id) {
		c.o.Position = id
		if c.o.Reached != nil {
			c.o.Reached(id)
		}
	}
	return nil
}

// decode reads what an event holds; nil is a greeting. The header's fields are beside body, bodyB,
// query and timestamp, as texts.
func decode(data []byte) (*Delivered, error) {
	if s := strings.TrimSpace(string(data[:min(len(data), 16)])); s == "" || s == "ready" || s == "{}" {
		return nil, nil //nolint:nilnil // nothing and no error
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, errors.New("it is not a JSON object")
	}
	if _, ok := fields["message"]; ok && len(fields) == 1 {
		return nil, nil //nolint:nilnil // connected, ready
	}
	if string(fields["encrypted"]) == "true" {
		return nil, errors.New("it is encrypted for a key of gosmee's client, which is not supported")
	}
	d := &Delivered{Method: http.MethodPost, Header: http.Header{}}
	for name, raw := range fields {
		var text string
		if json.Unmarshal(raw, &text) == nil && isHeader(name) && !strings.ContainsAny(text, "\r\n\x00") {
			d.Header.Set(name, text)
		}
	}
	if len(d.Header) == 0 {
		return nil, errors.New("it has no header")
	}
	d.Query = query(fields["query"])
	for _, name := range []string{"Host", "Content-Length", "Connection", "Transfer-Encoding"} {
		d.Header.Del(name)
	}
	var encoded string
	if raw, ok := fields["bodyB"]; ok {
		if json.Unmarshal(raw, &encoded) != nil {
			return nil, errors.New("bodyB is no text")
		}
		body, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return nil, errors.New("bodyB is not base64")
		}
		d.Body = body
		return d, nil
	}
	raw, ok := fields["body"]
	if !ok {
		return nil, errors.New("it has no body")
	}
	// As it is written in the event, not as this program would write it: that is nearest to what
	// the sender wrote.
	d.Body, d.Rewritten = bytes.Clone(raw), true
	d.Header.Del("Content-Encoding") // the server has undone it
	return d, nil
}

func isHeader(name string) bool {
	switch name {
	case "body", "bodyB", "query", "timestamp", "":
		return false
	}
	for _, c := range name {
		if !(c == '-' || c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
			return false
		}
	}
	return len(name) <= 128
}

// query writes a query that the server has parsed: texts, or lists of them.
func query(raw json.RawMessage) string {
	var parsed map[string]json.RawMessage
	if json.Unmarshal(raw, &parsed) != nil {
		return ""
	}
	values := url.Values{}
	for name, raw := range parsed {
		var one string
		var all []string
		switch {
		case json.Unmarshal(raw, &one) == nil:
			values.Add(name, one)
		case json.Unmarshal(raw, &all) == nil:
			values[name] = all
		}
	}
	return values.Encode()
}
