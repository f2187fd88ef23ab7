package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// ErrUnreachable means that nothing answers at the daemon's address.
var ErrUnreachable = errors.New("cannot reach the daemon")

// The bounds of a call.
const (
	callWait  = 60 * time.Second
	dialWait  = 5 * time.Second
	maxAnswer = 64 << 20
)

// Client asks a running daemon. Its errors wrap ErrUnreachable when nobody answers, and are a
// *Problem when the daemon refuses. It is safe for concurrent use.
type Client struct {
	base  string // URL without the path
	token string
	http  *http.Client
}

// Output is what an attempt wrote, exactly.
type Output struct {
	Body    []byte
	State   job.State // of the job
	Attempt int       // 0: the job has not started yet
}

// NewClient returns a client for the daemon at listen ("host:port" or "unix:/path", as it is
// configured), with a token unless it is "". Nothing is connected yet.
func NewClient(listen, token string) *Client {
	network, address := "tcp", dialAddress(listen)
	base := "http://" + address
	if path, ok := unixPath(listen); ok {
		network, address, base = "unix", path, "http://tenterhook"
	}
	dialer := net.Dialer{Timeout: dialWait}
	return &Client{base: base, token: token, http: &http.Client{
		Timeout: callWait,
		// The daemon never redirects; whoever does must not get the token.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			// No proxy, whatever the environment says: the daemon must see who asks.
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, address)
			},
			MaxIdleConns:    1,
			IdleConnTimeout: 30 * time.Second,
		},
	}}
}

// dialAddress is where a listener on every address answers: on loopback.
func dialAddress(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	switch {
	case err != nil:
		return listen
	case host == "" || host == "0.0.0.0":
		return net.JoinHostPort("127.0.0.1", port)
	case host == "::":
		return net.JoinHostPort("::1", port)
	}
	return listen
}

// Close lets go of idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Deliveries lists deliveries, newest first. next is the cursor of the page that follows, ""
// after the last.
func (c *Client) Deliveries(ctx context.Context, f store.Filter) (list []Delivery, next string, err error) {
	h, err := c.call(ctx, http.MethodGet, "deliveries?"+encodeFilter(f).Encode(), &list)
	return list, nextCursor(h), err
}

// Delivery returns one delivery without its body.
func (c *Client) Delivery(ctx context.Context, id string) (d DeliveryDetail, err error) {
	_, err = c.call(ctx, http.MethodGet, "deliveries/"+url.PathEscape(id), &d)
	return d, err
}

// Body returns the body of a delivery as it arrived.
func (c *Client) Body(ctx context.Context, id string) (body []byte, err error) {
	_, err = c.call(ctx, http.MethodGet, "deliveries/"+url.PathEscape(id)+"/body", &body)
	return body, err
}

// Jobs lists jobs, newest first; next as with Deliveries.
func (c *Client) Jobs(ctx context.Context, f store.Filter) (list []Job, next string, err error) {
	h, err := c.call(ctx, http.MethodGet, "jobs?"+encodeFilter(f).Encode(), &list)
	return list, nextCursor(h), err
}

// Job returns one job with its attempts.
func (c *Client) Job(ctx context.Context, id string) (j JobDetail, err error) {
	_, err = c.call(ctx, http.MethodGet, "jobs/"+url.PathEscape(id), &j)
	return j, err
}

// Output returns what attempt n of a job wrote, live while it runs; n 0 is the last attempt.
func (c *Client) Output(ctx context.Context, id string, n int) (o Output, err error) {
	path := "jobs/" + url.PathEscape(id) + "/output"
	if n > 0 {
		path += "?attempt=" + strconv.Itoa(n)
	}
	h, err := c.call(ctx, http.MethodGet, path, &o.Body)
	if err != nil {
		return o, err
	}
	o.State = job.State(h.Get(headerState))
	o.Attempt, err = strconv.Atoi(h.Get(headerAttempt))
	return o, err
}

// Log returns the whole output of attempt n of a job with limits.log; n 0 is the last attempt.
func (c *Client) Log(ctx context.Context, id string, n int) (body []byte, err error) {
	path := "jobs/" + url.PathEscape(id) + "/log"
	if n > 0 {
		path += "?attempt=" + strconv.Itoa(n)
	}
	_, err = c.call(ctx, http.MethodGet, path, &body)
	return body, err
}

// Retry gives an ended job another run of attempts.
func (c *Client) Retry(ctx context.Context, id string) (j Job, err error) {
	_, err = c.call(ctx, http.MethodPost, "jobs/"+url.PathEscape(id)+"/retry", &j)
	return j, err
}

// Replay makes new jobs of a delivery, and returns them.
func (c *Client) Replay(ctx context.Context, id string, which ReplayOf) (jobs []Job, err error) {
	path := "deliveries/" + url.PathEscape(id) + "/replay"
	if which != ReplayAll {
		path += "/" + string(which)
	}
	_, err = c.call(ctx, http.MethodPost, path, &jobs)
	return jobs, err
}

// SetPause pauses or resumes a hook, or one of its rules.
func (c *Client) SetPause(ctx context.Context, hook, rule string, on bool) error {
	path := "hooks/" + url.PathEscape(hook)
	if rule != "" {
		path += "/rules/" + url.PathEscape(rule)
	}
	verb := "/resume"
	if on {
		verb = "/pause"
	}
	_, err := c.call(ctx, http.MethodPost, path+verb, nil)
	return err
}

// Cancel ends a waiting job or asks a running one to stop.
func (c *Client) Cancel(ctx context.Context, id string) error {
	_, err := c.call(ctx, http.MethodPost, "jobs/"+url.PathEscape(id)+"/cancel", nil)
	return err
}

// Reload makes the daemon read its configuration again. A configuration with problems is a
// *Problem that carries them.
func (c *Client) Reload(ctx context.Context) (r Reload, err error) {
	_, err = c.call(ctx, http.MethodPost, "reload", &r)
	return r, err
}

// LoginLink returns a link to the web UI that lets its reader in once.
func (c *Client) LoginLink(ctx context.Context) (l LoginLink, err error) {
	_, err = c.call(ctx, http.MethodPost, "login-links", &l)
	return l, err
}

// Hooks returns the configured hooks.
func (c *Client) Hooks(ctx context.Context) (hooks []HookInfo, err error) {
	_, err = c.call(ctx, http.MethodGet, "hooks", &hooks)
	return hooks, err
}

// Status returns how the daemon is.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	_, err = c.call(ctx, http.MethodGet, "status", &s)
	return s, err
}

// call asks for a path below /api/v1 and reads the answer into into: raw for a *[]byte, JSON
// otherwise, nothing for nil.
func (c *Client) call(ctx context.Context, method, path string, into any) (http.Header, error) {
	return c.exchange(ctx, method, path, nil, into)
}

// post is call with a JSON body.
func (c *Client) post(ctx context.Context, path string, body, into any) error {
	text, err := encode(body)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	_, err = c.exchange(ctx, http.MethodPost, path, text, into)
	return err
}

func (c *Client) exchange(ctx context.Context, method, path string, body []byte, into any) (http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+prefix+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", mediaJSON)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read the daemon's answer: %w", err)
	}
	if len(answer) > maxAnswer {
		return nil, errors.New("the daemon's answer is too large")
	}
	if resp.StatusCode >= 300 {
		return nil, problemOf(resp, answer)
	}
	switch into := into.(type) {
	case nil:
		return resp.Header, nil
	case *[]byte:
		*into = answer
		return resp.Header, nil
	}
	// A newer daemon may say more than this client knows.
	if err := json.Unmarshal(answer, into); err != nil {
		return nil, fmt.Errorf("read the daemon's answer: %w", err)
	}
	return resp.Header, nil
}

// problemOf is the error of an answer that is none of success.
func problemOf(resp *http.Response, body []byte) error {
	p := Problem{}
	t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || t != "application/problem+json" || json.Unmarshal(body, &p) != nil {
		p = Problem{Detail: fmt.Sprintf("what answers at the admin address is not the daemon: %s", resp.Status)}
	}
	p.Status, p.Title = resp.StatusCode, http.StatusText(resp.StatusCode)
	return &p
}

// unreachable tells an address where nobody answers, or not in time, from a call that broke off.
func unreachable(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // its URL says nothing that op and address do not
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		address := ""
		if op.Addr != nil {
			address = " at " + op.Addr.String()
		}
		return fmt.Errorf("%w%s: %w", ErrUnreachable, address, op.Err)
	}
	var timed net.Error
	if errors.As(err, &timed) && timed.Timeout() {
		return fmt.Errorf("%w: no answer within %s", ErrUnreachable, callWait)
	}
	return err
}

// refused reports whether err means that a socket exists and nobody listens on it.
func refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// nextCursor reads the cursor of a Link header with rel="next".
func nextCursor(h http.Header) string {
	link, rel, _ := strings.Cut(h.Get("Link"), ">")
	if !strings.Contains(rel, `rel="next"`) {
		return ""
	}
	u, err := url.Parse(strings.TrimPrefix(link, "<"))
	if err != nil {
		return ""
	}
	return u.Query().Get("cursor")
}

// Dead reports whether err means that no daemon listens: nobody answers at its address. A
// daemon that answers slowly, or whose socket may not be opened, is not dead.
func Dead(err error) bool {
	return errors.Is(err, ErrUnreachable) && (refused(err) || errors.Is(err, os.ErrNotExist))
}
