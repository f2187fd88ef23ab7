package action

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/expression"
	"github.com/tenterhook/tenterhook/internal/job"
)

func init() {
	register(Kind{
		Name: "http",
		Doc:  "Sends an HTTP request: by default the delivery's body, as it came, by POST.",
		New:  newHTTP,
	})
}

type httpSpec struct {
	URL             config.Text    `yaml:"url,required"`
	Method          config.Text    `yaml:"method"`
	Headers         config.Node    `yaml:"headers"`
	JSON            config.Node    `yaml:"json"`
	Body            config.Node    `yaml:"body"`
	Expect          []config.Text  `yaml:"expect"`
	Timeout         *time.Duration `yaml:"timeout"`
	FollowRedirects int            `yaml:"follow_redirects"`
	AllowPrivate    bool           `yaml:"allow_private"`
	Sign            config.Node    `yaml:"sign"`
}

type httpAction struct {
	url       *expression.Template
	method    string
	headers   []variable
	json      *jsonTemplate        // at most one of json and body
	body      *expression.Template // nil: the delivery's
	expect    []statusRange
	timeout   time.Duration
	redirects int
	private   bool
	mask      mask
	secrets   []string
}

type statusRange struct{ from, to int }

const (
	defaultHTTPTimeout = 30 * time.Second
	keptResponse       = 64 << 10
	maxRedirects       = 10
)

func (a *httpAction) Kind() string           { return "http" }
func (a *httpAction) Timeout() time.Duration { return a.timeout }
func (a *httpAction) OutputLimit() int       { return 2 * keptResponse }

// Retry of a request: most senders' own schedule, about an hour.
func (a *httpAction) Retry() job.RetryPolicy {
	return job.RetryPolicy{Attempts: 5, Initial: 10 * time.Second, Factor: 2, Max: time.Hour, Jitter: true}
}

func newHTTP(m *config.Map, rule config.Node, c Context) Action {
	d := c.Diagnostics
	var spec httpSpec
	node := m.Get("http")
	decoded := node.Decode(&spec, d)
	a := &httpAction{
		method: "POST", timeout: defaultHTTPTimeout, redirects: spec.FollowRedirects, private: spec.AllowPrivate, mask: newMask(c.Mask), secrets: c.Mask,
		expect: []statusRange{{200, 299}},
	}
	a.readTimeout(m, rule, spec, d)
	a.readURL(spec.URL, c)
	a.readMethod(spec.Method, d)
	a.headers = headers(spec.Headers, c)
	a.readBody(spec, c)
	if spec.Expect != nil {
		a.expect = statusRanges(spec.Expect, d)
	}
	if spec.FollowRedirects < 0 || spec.FollowRedirects > maxRedirects {
		d.Errorf(node.Find("follow_redirects"), "follow_redirects is between 0 and %d", maxRedirects)
	}
	if !spec.Sign.IsZero() {
		d.Errorf(node.Key("sign"), "http.sign is part of the language, but this version does not carry it out yet")
	}
	if !decoded || a.url == nil {
		return nil
	}
	return a
}

// readTimeout takes the request's own timeout, or the rule's when it is shorter than a command's.
func (a *httpAction) readTimeout(m *config.Map, rule config.Node, spec httpSpec, d *config.Diagnostics) {
	var of struct {
		Timeout *time.Duration `yaml:"timeout"`
	}
	m.Decode(&of)
	written := spec.Timeout
	if written == nil {
		written = of.Timeout
	}
	if written == nil {
		return
	}
	a.timeout = *written
	if a.timeout <= 0 || a.timeout > longestTimeout {
		d.Errorf(rule, "timeout is between 1ms and %gh", longestTimeout.Hours())
	}
}

// readURL wants scheme and host written out: a host that the sender chose would be a request
// into any network.
func (a *httpAction) readURL(text config.Text, c Context) {
	if text.Value == "" {
		return
	}
	constant, _, templated := strings.Cut(text.Value, "${{")
	u, err := url.Parse(constant)
	d := c.Diagnostics
	switch {
	case err != nil || templated && strings.Count(constant, "/") < 3 && !strings.ContainsRune(constant, '?'):
		d.Errorf(text, "scheme and host of url are the same for every delivery").Hint(`write them out: https://example.com/${{ … }}`)
		return
	case u.Scheme != "http" && u.Scheme != "https":
		d.Errorf(text, "url wants https:// or http://, found %q", u.Scheme)
		return
	case u.Host == "":
		d.Errorf(text, "url has no host")
		return
	case u.User != nil:
		d.Errorf(text, "url holds a password").Hint(`headers: {Authorization: "Bearer ${TOKEN}"}`)
		return
	}
	a.url = template(text, c)
}

func (a *httpAction) readMethod(text config.Text, d *config.Diagnostics) {
	if text.Value == "" {
		return
	}
	known := []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"}
	if !slices.Contains(known, text.Value) {
		d.Errorf(text, "unknown method %q", text.Value).Hint("one of: %s", strings.Join(known, ", "))
	}
	a.method = text.Value
}

func headers(node config.Node, c Context) []variable {
	if !node.IsZero() && node.Kind() != config.KindMap {
		c.Diagnostics.Errorf(node, "expected a mapping from names to values, found %s", node.Kind())
	}
	var out []variable
	for _, e := range node.Entries() {
		name := e.Key.Value
		switch strings.ToLower(name) {
		case "host", "content-length", "transfer-encoding", "connection", "idempotency-key":
			c.Diagnostics.Errorf(e.Key, "header %s is set by the daemon", name)
			continue
		}
		if !validHeaderName(name) {
			c.Diagnostics.Errorf(e.Key, "%q is not the name of a header", name)
			continue
		}
		if t := template(e.Value.Text(c.Diagnostics), c); t != nil {
			out = append(out, variable{http.CanonicalHeaderKey(name), t})
		}
	}
	return out
}

func validHeaderName(s string) bool {
	for _, r := range s {
		if r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r) {
			return false
		}
	}
	return s != ""
}

func (a *httpAction) readBody(spec httpSpec, c Context) {
	switch {
	case !spec.JSON.IsZero() && !spec.Body.IsZero():
		c.Diagnostics.Errorf(spec.Body, "a request has json: or body:, not both")
	case !spec.JSON.IsZero():
		a.json = newJSONTemplate(spec.JSON, c)
	case !spec.Body.IsZero():
		a.body = template(spec.Body.Text(c.Diagnostics), c)
	}
}

// statusRanges reads 2xx, 204 and 200-204.
func statusRanges(texts []config.Text, d *config.Diagnostics) []statusRange {
	var out []statusRange
	for _, t := range texts {
		first, last, isRange := strings.Cut(t.Value, "-")
		if class, ok := strings.CutSuffix(t.Value, "xx"); ok {
			first, last, isRange = class+"00", class+"99", true
		}
		if !isRange {
			last = first
		}
		from, err := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err != nil || err2 != nil || from < 100 || to > 599 || from > to {
			d.Errorf(t, "expect wants 2xx, 204 or 200-204, found %q", t.Value)
			continue
		}
		out = append(out, statusRange{from, to})
	}
	return out
}

// Prepare renders the request.
func (a *httpAction) Prepare(in *expression.Input, f Facts) (Prepared, error) {
	p := &preparedRequest{action: a, facts: f, header: http.Header{}}
	target, _, err := a.url.Text(in)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	if p.url, err = url.Parse(target); err != nil {
		return nil, errors.New("url: the values do not make an address")
	}
	for _, h := range a.headers {
		value, present, err := h.value.Text(in)
		if err != nil {
			return nil, fmt.Errorf("header %s: %w", h.name, err)
		}
		if strings.ContainsAny(value, "\r\n\x00") {
			return nil, fmt.Errorf("header %s: the value holds a line break", h.name)
		}
		if present {
			p.header.Set(h.name, value)
		}
	}
	return p, p.renderBody(in)
}

func (p *preparedRequest) renderBody(in *expression.Input) error {
	contentType := ""
	switch a := p.action; {
	case a.json != nil:
		v, err := a.json.value(in)
		if err == nil {
			p.body, err = expression.JSON(in, v)
		}
		if err != nil {
			return fmt.Errorf("json: %w", err)
		}
		contentType = "application/json"
	case a.body != nil:
		s, _, err := a.body.Text(in)
		if err != nil {
			return fmt.Errorf("body: %w", err)
		}
		p.body, contentType = []byte(s), "text/plain; charset=utf-8"
	case a.method != "GET" && a.method != "HEAD":
		p.body, contentType = in.Request.Body, in.Request.Header.Get("Content-Type")
	}
	if p.header.Get("Content-Type") == "" && contentType != "" {
		p.header.Set("Content-Type", contentType)
	}
	return nil
}

// preparedRequest is a request with its values.
type preparedRequest struct {
	action *httpAction
	facts  Facts
	url    *url.URL
	header http.Header
	body   []byte
}

// maxDescribedBody bounds the body that is shown of a request.
const maxDescribedBody = 4096

// Describe implements Prepared.
func (p *preparedRequest) Describe() map[string]any {
	mask := p.action.mask
	shown := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(p.header)) {
		shown[name] = mask.text(p.header.Get(name))
	}
	body := string(p.body[:min(len(p.body), maxDescribedBody)])
	return map[string]any{
		"http":    map[string]any{"method": p.action.method, "url": mask.text(p.url.String()), "headers": shown, "body": mask.text(strings.ToValidUTF8(body, "\ufffd"))},
		"timeout": p.action.timeout.String(), "body_bytes": len(p.body),
	}
}

// Run implements Prepared.
func (p *preparedRequest) Run(ctx context.Context, out io.Writer) Result {
	bounded, cancel := context.WithTimeout(ctx, p.action.timeout)
	defer cancel()
	masked := newMasker(out, p.action.secrets)
	result := p.send(bounded, masked)
	_ = masked.Flush() // Output takes everything
	switch {
	case ctx.Err() != nil:
		result.Err = context.Cause(ctx)
	case bounded.Err() != nil && result.Err != nil:
		result.TimedOut = true
		result.Err = fmt.Errorf("timed out after %s", p.action.timeout)
	}
	return result
}

func (p *preparedRequest) send(ctx context.Context, out io.Writer) Result {
	req, err := http.NewRequestWithContext(ctx, p.action.method, p.url.String(), bytes.NewReader(p.body))
	if err != nil {
		return Result{Err: p.plain(err), Final: true}
	}
	req.Header = p.header.Clone()
	req.Header.Set("Idempotency-Key", p.facts.Job)
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "tenterhook")
	}
	response, err := p.client().Do(req)
	if err != nil {
		return Result{Err: p.plain(err)}
	}
	defer func() { _ = response.Body.Close() }()
	fmt.Fprintf(out, "%s %s\n", response.Proto, response.Status)
	if _, err := io.Copy(out, io.LimitReader(response.Body, keptResponse)); err != nil {
		return Result{Status: response.StatusCode, Err: fmt.Errorf("read the answer: %w", p.plain(err))}
	}
	return p.judge(response)
}

// client follows as many redirects as the rule allows, and takes no credential to another host.
func (p *preparedRequest) client() *http.Client {
	return &http.Client{
		Transport: transports()[p.action.private],
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > p.action.redirects {
				return http.ErrUseLastResponse
			}
			if req.URL.Scheme != "https" && via[0].URL.Scheme == "https" {
				return errors.New("redirected from https to " + req.URL.Scheme)
			}
			if req.URL.Host != via[0].URL.Host {
				for name := range p.header {
					if name != "Content-Type" && name != "Accept" {
						req.Header.Del(name)
					}
				}
			}
			return nil
		},
	}
}

// judge decides what the answer's status means.
func (p *preparedRequest) judge(response *http.Response) Result {
	r := Result{Status: response.StatusCode}
	for _, ok := range p.action.expect {
		if r.Status >= ok.from && r.Status <= ok.to {
			return r
		}
	}
	r.Err = fmt.Errorf("answered %s", response.Status)
	switch r.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
	default:
		r.Final = r.Status < 500
	}
	if !r.Final {
		r.RetryAfter = retryAfter(response.Header.Get("Retry-After"), time.Now())
	}
	return r
}

// retryAfter reads seconds or a date (RFC 9110, section 10.2.3).
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(value); err == nil && seconds > 0 {
		return time.Duration(min(seconds, 1<<31)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}

// plain is the cause of a failed request: the library's text has the address, which can hold a
// secret.
func (p *preparedRequest) plain(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return errors.New(p.action.mask.text(err.Error()))
}

// jsonTemplate is a YAML structure whose texts are templates.
type jsonTemplate struct {
	text   *expression.Template
	fixed  any // a number, true, false or nil
	list   []*jsonTemplate
	object []jsonField
	kind   config.Kind
}

type jsonField struct {
	name  string
	value *jsonTemplate
}

func newJSONTemplate(node config.Node, c Context) *jsonTemplate {
	t := &jsonTemplate{kind: node.Kind()}
	switch t.kind {
	case config.KindList:
		for _, item := range node.List() {
			t.list = append(t.list, newJSONTemplate(item, c))
		}
	case config.KindMap:
		for _, e := range node.Entries() {
			t.object = append(t.object, jsonField{e.Key.Value, newJSONTemplate(e.Value, c)})
		}
	case config.KindScalar:
		text := node.Text(c.Diagnostics)
		if node.Plain() && yaml.Unmarshal([]byte(text.Value), &t.fixed) == nil {
			switch t.fixed.(type) {
			case bool, int, float64, int64:
				return t
			}
		}
		t.fixed = nil
		t.text = template(text, c)
	}
	return t
}

func (t *jsonTemplate) value(in *expression.Input) (any, error) {
	switch {
	case t.text != nil:
		return t.text.Value(in)
	case t.kind == config.KindList:
		out := []any{}
		for _, item := range t.list {
			v, err := item.value(in)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	case t.kind == config.KindMap:
		out := map[string]any{}
		for _, f := range t.object {
			v, err := f.value.value(in)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", f.name, err)
			}
			out[f.name] = v
		}
		return out, nil
	}
	return t.fixed, nil
}
