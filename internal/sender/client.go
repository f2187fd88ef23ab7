package sender

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// The bounds of a conversation with an API.
const (
	requestTime = 30 * time.Second
	// maxAnswer holds GitHub's largest payload, 25 MiB, with what the API writes around it.
	maxAnswer = 32 << 20
	// mostTries of a request that met a limit or a failing server.
	mostTries = 4
	// firstPause before a failing server is asked again; it doubles.
	firstPause = time.Second
	// DefaultPatience is the longest wait for a rate limit.
	DefaultPatience = 90 * time.Second
	// maxMessage of what an API says is shown.
	maxMessage = 300
	// mostTags is how many answers are kept to be asked for conditionally, each of at most maxTagged.
	mostTags  = 16
	maxTagged = 1 << 20
)

// client is HTTP with one API and one token. It is for one goroutine.
type client struct {
	kind     *Kind
	base     string
	target   string
	token    string
	app      *App   // instead of token
	asApp    bool   // what is asked for is the App itself
	sent     string // the last token that was sent, for no error to show it
	hide     *strings.Replacer
	patience time.Duration
	http     *http.Client
	ahead    time.Duration // how far the API's clock is before ours
	timed    bool          // that is known
	tags     map[string]tagged
	// pause waits; a test's does not.
	pause func(context.Context, time.Duration) error
}

// tagged is an answer with its entity tag: asked for again with If-None-Match it costs nothing of
// GitHub's rate limit when it is the same.
type tagged struct {
	tag    string
	header http.Header
	body   []byte
}

func newClient(k *Kind, o Options) *client {
	var pairs []string
	for _, secret := range append([]string{o.Token}, o.Hide...) {
		if secret != "" {
			pairs = append(pairs, secret, "[redacted]")
		}
	}
	if o.Patience == 0 {
		o.Patience = DefaultPatience
	}
	return &client{
		kind: k, base: strings.TrimRight(o.URL, "/"), target: o.Target, token: o.Token, app: o.App, hide: strings.NewReplacer(pairs...), patience: o.Patience,
		tags: map[string]tagged{}, pause: wait,
		http: &http.Client{
			Timeout: requestTime,
			// A token follows nobody: where a repository was renamed, its new name has to be written.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Error is an answer that says no.
type Error struct {
	Status  int
	Message string // of the API, without secrets, short
	Needs   string // what the token must be allowed to do, for 401, 403 and 404
}

// Error implements error.
func (e *Error) Error() string {
	text := fmt.Sprintf("answered %d %s", e.Status, http.StatusText(e.Status))
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// BusyError says that an API's rate limit leaves nothing for now.
type BusyError struct {
	Title string
	Until time.Time // as our clock has it
}

// Error implements error.
func (e *BusyError) Error() string {
	return fmt.Sprintf("%s takes no further request before %s: its rate limit is used up", e.Title, e.Until.UTC().Format(time.RFC3339))
}

// call is one request.
type call struct {
	method, path string
	query        url.Values
	json         any        // body
	form         url.Values // body, instead
	whole        string     // the address of a next page, instead of path and query
	asApp        bool       // it is the App that asks, not one of its installations
	into         any        // what the answer is decoded into; nil: it is not looked at
}

// do sends a request until it is answered, and decodes the answer. A request that met the rate
// limit or a failing server is sent again when it may be, within the client's patience: reading
// always, writing only when it was not taken (a 429, or a 403 that is the rate limit's).
func (c *client) do(ctx context.Context, one call) (http.Header, error) {
	pause := firstPause
	for try := 1; ; try++ {
		header, err := c.once(ctx, one)
		var again *retry
		if !errors.As(err, &again) || ctx.Err() != nil {
			return header, err
		}
		wait := again.after
		if wait < 0 {
			wait, pause = pause, 2*pause
		}
		switch {
		case again.limited && wait > c.patience:
			return nil, &BusyError{c.kind.Title, time.Now().Add(wait)}
		case try == mostTries || wait > c.patience:
			return nil, again.err
		}
		if err := c.pause(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// retry says that a request may be sent again.
type retry struct {
	err     error
	after   time.Duration // -1: the server did not say
	limited bool
}

// Error implements error.
func (r *retry) Error() string { return r.err.Error() }

func (c *client) once(ctx context.Context, one call) (http.Header, error) {
	req, err := c.request(ctx, one)
	if err != nil {
		return nil, err
	}
	kept, err := c.sign(ctx, req, one.asApp)
	if err != nil {
		return nil, err
	}
	ahead := c.ahead
	known, tag := c.tags[req.URL.String()]
	if tag = tag && one.method == http.MethodGet; tag {
		req.Header.Set("If-None-Match", known.tag)
	}
	response, err := c.http.Do(req)
	if err != nil {
		err = c.unreachable(err)
		if one.method == http.MethodGet {
			return nil, &retry{err: err, after: -1}
		}
		return nil, err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the answer of %s: %w", c.kind.Title, c.unreachable(err))
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("the answer of %s is %w: it is larger than %d MiB", c.kind.Title, ErrUnusable, maxAnswer>>20)
	}
	c.clock(response.Header)
	if tag && response.StatusCode == http.StatusNotModified {
		return known.header, c.decode(known.body, one.into)
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		err := c.refused(one, response, body)
		if response.StatusCode == http.StatusUnauthorized && c.app != nil && (kept || c.ahead != ahead) {
			// It was taken back, or our clock is another than GitHub's, which is known now.
			if kept {
				c.app.forget(c.target, c.sent)
			}
			return nil, &retry{err: err}
		}
		return nil, err
	}
	c.remember(req, response.Header, body)
	return response.Header, c.decode(body, one.into)
}

func (c *client) request(ctx context.Context, one call) (*http.Request, error) {
	address := c.base + one.path
	if len(one.query) > 0 {
		address += "?" + one.query.Encode()
	}
	if one.whole != "" {
		address = one.whole
	}
	var body io.Reader
	kind := ""
	switch {
	case one.json != nil:
		data, err := json.Marshal(one.json)
		if err != nil {
			return nil, fmt.Errorf("write the request to %s: %w", c.kind.Title, err)
		}
		body, kind = bytes.NewReader(data), "application/json"
	case one.form != nil:
		body, kind = strings.NewReader(one.form.Encode()), "application/x-www-form-urlencoded"
	}
	req, err := http.NewRequestWithContext(ctx, one.method, address, body)
	if err != nil {
		return nil, errors.New("an address of the API of " + c.kind.Title + " cannot be made")
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	req.Header.Set("User-Agent", "tenterhook") // GitHub refuses requests without one
	req.Header.Set("Accept", "application/json")
	return req, nil
}

// sign puts into a request who asks. kept says that it is by a token of before, which may be worth
// nothing any more.
func (c *client) sign(ctx context.Context, req *http.Request, asApp bool) (kept bool, err error) {
	token := c.token
	switch {
	case c.app == nil:
	case asApp || c.asApp:
		token, err = c.app.jwt(c.now())
	default:
		token, kept, err = c.app.token(ctx, c)
	}
	if err == nil {
		c.sent = token
		c.kind.sign(req, token)
	}
	return kept, err
}

// now is the time by the API's clock.
func (c *client) now() time.Time { return time.Now().Add(c.ahead) }

// refused makes the error of an answer that is no success.
func (c *client) refused(one call, r *http.Response, body []byte) error {
	e := &Error{Status: r.StatusCode, Message: c.shown(message(body))}
	switch r.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		e.Needs = c.kind.Needs
	}
	if r.StatusCode >= 300 && r.StatusCode < 400 {
		e.Message = "it was moved or renamed; write what it is called now"
	}
	err := fmt.Errorf("%s %w", c.kind.Title, e)
	if after, limited := c.limit(r, e.Message); limited {
		return &retry{err: err, after: after, limited: true}
	}
	if r.StatusCode >= 500 && one.method == http.MethodGet {
		after, said := retryAfter(r.Header, time.Now().Add(c.ahead))
		if !said {
			after = -1
		}
		return &retry{err: err, after: after}
	}
	return err
}

// secondaryPause is what GitHub wants waited after one of its secondary limits that does not say how long
// it lasts (docs.github.com/rest: Best practices for using the REST API).
const secondaryPause = time.Minute

// limit reports whether an answer is a rate limit's, and how long it lasts, -1 when nobody says.
// GitHub answers 403 or 429, with Retry-After or x-ratelimit-reset, or for some secondary limits with
// words alone (docs.github.com/rest: Rate limits for the REST API); GitLab 429 with Retry-After and
// RateLimit-Reset (docs.gitlab.com: Rate limits); Stripe 429 (docs.stripe.com/rate-limits).
func (c *client) limit(r *http.Response, said string) (after time.Duration, limited bool) {
	wait, known := retryAfter(r.Header, c.now())
	spent := first(r.Header, "X-Ratelimit-Remaining", "Ratelimit-Remaining") == "0"
	secondary := strings.Contains(strings.ToLower(said), "secondary rate limit")
	switch {
	case r.StatusCode == http.StatusTooManyRequests:
	case r.StatusCode == http.StatusForbidden && (known || spent || secondary):
	default:
		return 0, false
	}
	if known {
		return wait, true
	}
	if reset, err := strconv.ParseInt(first(r.Header, "X-Ratelimit-Reset", "Ratelimit-Reset"), 10, 64); err == nil && spent {
		return max(0, time.Unix(reset, 0).Sub(c.now())) + time.Second, true
	}
	if secondary {
		return secondaryPause, true
	}
	return -1, true
}

func first(h http.Header, names ...string) string {
	for _, name := range names {
		if v := h.Get(name); v != "" {
			return v
		}
	}
	return ""
}

// retryAfter reads Retry-After: seconds, or a date by the server's clock (RFC 9110, section 10.2.3).
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	value := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 && seconds < 1<<30 {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now)), true
	}
	return 0, false
}

// clock notes how far the API's clock is from ours, which a second's width and the way do not say.
func (c *client) clock(h http.Header) {
	at, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return
	}
	c.timed = true
	if c.ahead = time.Until(at).Round(time.Second); c.ahead.Abs() < 5*time.Second {
		c.ahead = 0
	}
}

// remember keeps an answer that has a tag.
func (c *client) remember(req *http.Request, h http.Header, body []byte) {
	tag := h.Get("ETag")
	if req.Method != http.MethodGet || tag == "" || len(body) > maxTagged {
		return
	}
	if len(c.tags) >= mostTags {
		clear(c.tags)
	}
	c.tags[req.URL.String()] = tagged{tag, h, body}
}

func (c *client) decode(body []byte, into any) error {
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("the answer of %s is %w: it is not what its API describes", c.kind.Title, ErrUnusable)
	}
	return nil
}

// message finds what an API says of a request that it refuses: GitHub, GitLab and Gitea have
// message, GitHub errors[].message beside it, GitLab error too, Stripe error.message.
func message(body []byte) string {
	var said struct {
		Message any `json:"message"`
		Error   any `json:"error"`
		Errors  []struct {
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &said) != nil {
		// GitHub's errors may be texts, which the struct above does not take.
		var plain struct {
			Message string `json:"message"`
		}
		_ = json.Unmarshal(body, &plain)
		return plain.Message
	}
	var parts []string
	for _, v := range []any{said.Message, said.Error} {
		switch v := v.(type) {
		case string:
			parts = append(parts, v)
		case map[string]any:
			if text, ok := v["message"].(string); ok {
				parts = append(parts, text)
			} else if data, err := json.Marshal(v); err == nil {
				parts = append(parts, string(data))
			}
		}
	}
	for _, e := range said.Errors {
		if e.Message != "" {
			parts = append(parts, e.Message)
		}
	}
	return strings.Join(parts, "; ")
}

// shown is a text of an API as it may be shown: without secrets, on one line, short.
func (c *client) shown(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, c.masked(s))
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "…"
	}
	return s
}

func (c *client) masked(s string) string {
	if c.sent != c.token { // an App's
		s = strings.ReplaceAll(s, c.sent, "[redacted]")
	}
	return c.hide.Replace(s)
}

// unreachable is the error of a request that was not answered, without its address, which may have
// a secret in its query.
func (c *client) unreachable(err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	return fmt.Errorf("ask %s: %w", c.kind.Title, err)
}

// nextLink is the address of the next page (RFC 8288), "" at the last. It must be of the same API:
// the token goes nowhere else.
func (c *client) nextLink(h http.Header) (string, error) {
	for _, line := range h.Values("Link") {
		for part := range strings.SplitSeq(line, ",") {
			target, params, ok := strings.Cut(part, ">")
			if !ok || !strings.Contains(params, `rel="next"`) {
				continue
			}
			next := strings.TrimPrefix(strings.TrimSpace(target), "<")
			base, err := url.Parse(c.base)
			if err != nil {
				return "", err
			}
			u, err := url.Parse(next)
			if err != nil || u.Scheme != base.Scheme || u.Host != base.Host {
				return "", fmt.Errorf("%s names a next page that is not its own", c.kind.Title)
			}
			return next, nil
		}
	}
	return "", nil
}

// mostPages bounds a listing of hooks.
const mostPages = 200

// pages asks for page after page along the Link headers, most of them, and calls each with the decoded
// page until it returns false.
func pages[T any](ctx context.Context, c *client, one call, most int, each func(page []T) bool) error {
	for range most {
		var page []T
		one.into = &page
		header, err := c.do(ctx, one)
		if err != nil {
			return err
		}
		if !each(page) {
			return nil
		}
		next, err := c.nextLink(header)
		if err != nil || next == "" {
			return err
		}
		one = call{method: http.MethodGet, whole: next}
	}
	return fmt.Errorf("%s lists more than %d pages", c.kind.Title, most)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// wait sleeps until d is over or ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// bearer signs with Authorization: Bearer.
func bearer(r *http.Request, token string) { r.Header.Set("Authorization", "Bearer "+token) }
