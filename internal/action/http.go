package action

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/expression"
	"github.com/tenterhook/tenterhook/internal/job"
)

func init() {
	register(Kind{
		Name: "http",
		Doc:  "Sends an HTTP request: by default the delivery's body, as it came, by POST.",
		New:  newHTTP,
		Keys: httpSchema,
	})
}

type httpSpec struct {
	URL             config.Text    `yaml:"url,required" doc:"Where to. A template: scheme and host are constant; a value in the path is one segment."`
	Method          config.Text    `yaml:"method" doc:"The method." default:"POST"`
	Headers         config.Node    `yaml:"headers" doc:"Headers, templates. One whose value is missing is left out."`
	JSON            config.Node    `yaml:"json" doc:"The body as JSON, with templates in its texts."`
	Body            config.Node    `yaml:"body" doc:"The body, a template. Without json and body it is the delivery's, with its content type."`
	Expect          []config.Text  `yaml:"expect" doc:"Answers that are a success: 2xx, 204, 200-204." default:"2xx"`
	Timeout         *time.Duration `yaml:"timeout" doc:"Of the whole request." default:"30s"`
	FollowRedirects int            `yaml:"follow_redirects" doc:"How many redirects are followed, at most 10." default:"0"`
	AllowPrivate    bool           `yaml:"allow_private" doc:"Allow addresses of the local network." default:"false"`
	Sign            config.Node    `yaml:"sign" doc:"Sign the request, so that the receiver can verify it."`
}

// requestSpec is what a rule with http: has beside it.
type requestSpec struct {
	Timeout *time.Duration `yaml:"timeout" doc:"Of the whole request, where http.timeout does not say." default:"30s"`
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
	signer    *signer // nil: not signed
	targets   *breakers
	mask      *mask
}

type statusRange struct{ from, to int }

const (
	defaultHTTPTimeout = 30 * time.Second
	keptResponse       = 64 << 10 // of an answer's beginning, and of its end
	readResponse       = 1 << 20  // of an answer; then the connection is closed
	keptStatus         = 200
	largestHeader      = 16 << 10
	maxRedirects       = 10
)

func (a *httpAction) Kind() string           { return "http" }
func (a *httpAction) Timeout() time.Duration { return a.timeout }
func (a *httpAction) OutputLimit() int       { return 2 * keptResponse }
func (a *httpAction) Survives() bool         { return false }

// Retry of a request: most senders' own schedule, about an hour.
func (a *httpAction) Retry() job.RetryPolicy {
	return job.RetryPolicy{Attempts: 5, Initial: 10 * time.Second, Factor: 2, Max: time.Hour, Jitter: true}
}

func httpSchema() *config.Schema {
	request := config.SchemaOf(httpSpec{}).Set("headers", config.MapOf(config.TextSchema())).Set("json", config.Anything()).
		Set("body", config.TextSchema()).Set("sign", config.SchemaOf(signSpec{}).Set("scheme", config.Words(schemes...)))
	request.Description = "Sends a request: by default the delivery's body, as it came, by POST."
	return config.Mapping().Set("http", request).And(config.SchemaOf(requestSpec{}))
}

func newHTTP(m *config.Map, rule config.Node, c Context) Action {
	d := c.Diagnostics
	var spec httpSpec
	node := m.Get("http")
	decoded := node.Decode(&spec, d)
	a := &httpAction{
		method: "POST", timeout: defaultHTTPTimeout, redirects: spec.FollowRedirects, private: spec.AllowPrivate, mask: c.Mask.ofRequests(), targets: failing,
		expect: []statusRange{{200, 299}},
	}
	a.readTimeout(m, rule, node, spec.Timeout, d)
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
	a.signer = newSigner(spec.Sign, d)
	a.signer.checkUnsigned(spec.Headers, d)
	if !decoded || a.url == nil {
		return nil
	}
	return a
}

// readTimeout takes the request's own timeout, otherwise the rule's.
func (a *httpAction) readTimeout(m *config.Map, rule, node config.Node, own *time.Duration, d *config.Diagnostics) {
	var of requestSpec
	m.Decode(&of)
	written, at := own, node.Find("timeout")
	if written == nil {
		written, at = of.Timeout, rule.Find("timeout")
	}
	if written == nil {
		return
	}
	a.timeout = *written
	if a.timeout <= 0 || a.timeout > longestTimeout {
		d.Errorf(at, "timeout is between 1ms and %gh", longestTimeout.Hours())
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
	case err != nil && !templated:
		d.Errorf(text, "url is not an address")
		return
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
		case "host", "content-length", "transfer-encoding", "connection":
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

// escapeInURL makes a value one part of an address: a segment of its path, or a value of its
// query. What a sender writes must not choose another path, or add parameters.
func escapeInURL(before, value string) string {
	if strings.Contains(before, "?") {
		return url.QueryEscape(value)
	}
	escaped := url.PathEscape(value)
	if escaped == "." || escaped == ".." {
		return strings.ReplaceAll(escaped, ".", "%2E")
	}
	return escaped
}

// Prepare renders the request.
func (a *httpAction) Prepare(in *expression.Input, f Facts) (Prepared, error) {
	p := &preparedRequest{action: a, facts: f, header: http.Header{}}
	target, _, err := a.url.TextEscaped(in, escapeInURL)
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
		if err := checkHeader(value); err != nil {
			return nil, fmt.Errorf("header %s: %w", h.name, err)
		}
		if present {
			p.header.Set(h.name, value)
		}
	}
	return p, p.renderBody(in)
}

// checkHeader refuses a value that would end its header, or that servers refuse.
func checkHeader(value string) error {
	switch {
	case strings.ContainsAny(value, "\r\n"):
		return errors.New("the value holds a line break")
	case !httpguts.ValidHeaderFieldValue(value):
		return errors.New("the value holds a control character")
	case len(value) > largestHeader:
		return fmt.Errorf("the value is larger than %d KiB: use the body", largestHeader>>10)
	}
	return nil
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
		if p.facts.Burst != nil {
			p.body, contentType = p.facts.Burst, "application/json"
		}
	}
	if p.header.Get("Content-Type") == "" && contentType != "" {
		p.header.Set("Content-Type", contentType)
	}
	return nil
}
