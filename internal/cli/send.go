package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/net/http/httpguts"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/daemon"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/provider"
	"github.com/tenterhook/tenterhook/internal/request"
)

// sendCmd is "send".
type sendCmd struct {
	Hook   string            `arg:"" complete:"hooks" help:"Name of the hook."`
	Data   string            `placeholder:"JSON|@FILE" help:"Body to send; @- is standard input. Default: a sample of the hook's provider."`
	Event  string            `placeholder:"NAME" help:"Event type, where the sender writes one."`
	Sample string            `complete:"samples" placeholder:"NAME" help:"Which of the provider's samples to send."`
	Header []string          `short:"H" sep:"none" placeholder:"K:V" help:"Further header; repeatable."`
	Param  map[string]string `mapsep:"none" placeholder:"K=V" help:"Value of a {param} of the hook's path; repeatable."`
	ID     string            `name:"id" placeholder:"ID" help:"Delivery id. Default: a fresh one; an old one shows what a duplicate does."`
	To     string            `placeholder:"URL" help:"Where to send it. Default: server.listen and the hook's path."`
	JSON   bool              `name:"json" help:"Print one JSON document."`
}

// Help is the longer text of the command.
func (sendCmd) Help() string {
	return `Sends a delivery as the real sender would: signed with the hook's own secret, with its headers.

  tenterhook send site
  tenterhook send site --event push --data @push.json
  tenterhook send site --sample ping --to https://hooks.example.com/github`
}

// sent is the JSON of the command.
type sent struct {
	URL     string      `json:"url"`
	Status  int         `json:"status"`
	Headers http.Header `json:"headers"`
	Body    string      `json:"body"`
	Millis  float64     `json:"ms"`
}

// The bounds of what is sent and of its answer.
const (
	maxSent    = 64 << 20
	maxAnswer  = 1 << 20
	sendWithin = 90 * time.Second
)

// Run sends.
func (c sendCmd) Run(e *env) error {
	conf, err := e.load()
	if err != nil {
		return err
	}
	h := conf.Hooks.Hook(c.Hook)
	if h == nil {
		return c.unknownHook(conf)
	}
	to, socket, err := c.target(conf.Settings.Server, h)
	if err != nil {
		return err
	}
	req, err := c.request(e, h, to)
	if err != nil {
		return err
	}
	to.RawQuery = req.RawQuery // a token may be in it
	answer, err := post(e.ctx, to, socket, req)
	if err != nil {
		return unreachable(err, to.Redacted())
	}
	return c.print(e, answer)
}

// target is where the delivery is sent: the daemon of this configuration, or --to, where an address
// without a path gets the hook's. socket is the unix socket to reach it by, if it listens on one.
func (c sendCmd) target(s daemon.Server, h *hook.Hook) (to *url.URL, socket string, err error) {
	if c.To == "" {
		socket, _ = strings.CutPrefix(s.Listen, "unix:")
		if socket == s.Listen {
			socket = ""
		}
		to, err = url.Parse(local(s))
	} else if to, err = url.Parse(c.To); err == nil && (to.Scheme != "http" && to.Scheme != "https" || to.Host == "") {
		err = errors.New("it is no address of http or https")
	}
	if err != nil {
		return nil, "", misuse(fmt.Errorf("cannot send to %q: %w", c.To, err), "--to https://hooks.example.com"+h.Path)
	}
	if to.Path == "" || to.Path == "/" {
		to.Path, to.RawPath = c.path(h)
	}
	return to, socket, nil
}

// load reads the configuration as serve would, and prints its problems.
func (e *env) load() (*daemon.Config, error) {
	conf, d := daemon.Load(e.configuration(nil), false)
	if d.Err() != nil {
		d.Print(e.stderr, e.err.color)
		return nil, said(exitConfig)
	}
	return conf, nil
}

func (c sendCmd) unknownHook(conf *daemon.Config) error {
	var names []string
	for _, h := range conf.Hooks.Hooks() {
		names = append(names, h.Name)
	}
	hint := "hooks: " + strings.Join(names, ", ")
	if near := config.Suggest(c.Hook, names); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return fail(fmt.Errorf("there is no hook %q", c.Hook), hint)
}

// request makes the delivery: body, event, id, further headers, signature last.
// Some senders sign the address they call. Its scheme is left to the verification: behind a proxy
// the daemon does not know it either.
func (c sendCmd) request(e *env, h *hook.Hook, to *url.URL) (*request.Request, error) {
	r := &request.Request{
		Host: to.Host, Method: h.Methods[0], Path: to.Path, RawPath: to.EscapedPath(), RawQuery: to.RawQuery,
		Header: http.Header{"User-Agent": {"tenterhook-send"}}, ReceivedAt: e.now(),
	}
	event, err := c.body(e, h, r)
	if err != nil {
		return nil, err
	}
	if err := c.headers(r); err != nil {
		return nil, err
	}
	if h.Provider != nil && h.Provider.Address != nil {
		c.address(h.Provider, r, event)
		_ = c.headers(r) // what is written out wins
	}
	if err := h.Sign(r, e.now()); err != nil {
		return nil, fail(err)
	}
	return r, nil
}

// headers sets the headers of --header.
func (c sendCmd) headers(r *request.Request) error {
	for _, header := range c.Header {
		name, value, ok := strings.Cut(header, ":")
		if name = strings.TrimSpace(name); !ok || !httpguts.ValidHeaderFieldName(name) {
			return misuse(fmt.Errorf("header %q is not NAME: VALUE", header), `--header "X-Custom: yes"`)
		}
		r.Header.Set(name, strings.TrimSpace(value))
	}
	return nil
}

// address gives the delivery an id and an event where its sender has them. A body of --data is
// sent as it is: only --id and --event change what it says.
func (c sendCmd) address(p *provider.Preset, r *request.Request, event string) {
	body := r.Body
	p.Address(r, cmp.Or(c.ID, job.NewID()), event)
	if c.Data != "" {
		r.Body = body
		p.Address(r, c.ID, c.Event)
	}
}

// path fills the parameters of the hook's path; raw is the path as it is sent, in which a slash in a
// parameter is not one between segments.
func (c sendCmd) path(h *hook.Hook) (path, raw string) {
	segments := strings.Split(h.Path, "/")
	escaped := make([]string, len(segments))
	for i, s := range segments {
		if strings.HasPrefix(s, "{") {
			name := strings.Trim(s, "{}")
			segments[i] = cmp.Or(c.Param[name], name)
		}
		escaped[i] = url.PathEscape(segments[i])
	}
	return strings.Join(segments, "/"), strings.Join(escaped, "/")
}

// body sets the body and its type, and returns the event it is of.
func (c sendCmd) body(e *env, h *hook.Hook, r *request.Request) (event string, err error) {
	sample, err := c.sample(h)
	if err != nil {
		return "", err
	}
	r.Body, event = sample.Body, sample.Event
	r.Header.Set("Content-Type", "application/json")
	if sample.ContentType != "" {
		r.Header.Set("Content-Type", sample.ContentType)
	}
	if c.Data != "" {
		if r.Body, err = c.data(e); err != nil {
			return "", err
		}
		r.Header.Set("Content-Type", contentType(r.Body, r.Header.Get("Content-Type")))
		event = "" // the sample's is of another body, unless nothing else is said
		if c.Sample != "" || h.Provider != nil && c.Event == "" {
			event = sample.Event
		}
	}
	if c.Event != "" {
		event = c.Event
	}
	return event, nil
}

// contentType is the type of a body of one's own: usual, the one of the sample, unless the body is plainly
// something else, such as a form for a sender that sends JSON, too.
func contentType(body []byte, usual string) string {
	isJSON := jsontext.Value(body).IsValid()
	switch text := strings.TrimSpace(string(body)); {
	case strings.Contains(usual, "json") == isJSON:
		return usual
	case isJSON:
		return "application/json"
	case strings.HasPrefix(text, "<"):
		return "application/xml"
	case strings.Contains(text, "=") && !strings.ContainsAny(text, "{[ \n"):
		return "application/x-www-form-urlencoded"
	}
	return usual
}

func (c sendCmd) sample(h *hook.Hook) (provider.Sample, error) {
	if h.Provider == nil {
		if c.Sample != "" {
			return provider.Sample{}, misuse(fmt.Errorf("hook %q has no provider, so it has no samples", h.Name), "--data sends a body of your own")
		}
		return provider.Sample{Body: []byte(`{"hello":"world"}`)}, nil
	}
	var names []string
	for _, s := range h.Provider.Samples {
		if c.Sample == "" && (c.Event == "" || c.Event == s.Event) || c.Sample != "" && (c.Sample == s.Name || c.Sample == s.Event) {
			return s, nil
		}
		names = append(names, s.Name)
	}
	if c.Sample == "" && c.Data != "" {
		return provider.Sample{}, nil
	}
	return provider.Sample{}, misuse(fmt.Errorf("%s has no such sample", h.Provider.Title), "samples: "+strings.Join(names, ", "), "--data sends a body of your own")
}

func (c sendCmd) data(e *env) ([]byte, error) {
	file, isFile := strings.CutPrefix(c.Data, "@")
	if !isFile {
		return []byte(c.Data), nil
	}
	in := e.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fail(err)
		}
		defer f.Close()
		in = f
	}
	body, err := io.ReadAll(io.LimitReader(in, maxSent))
	if err != nil {
		return nil, fail(fmt.Errorf("read %q: %w", file, err))
	}
	return body, nil
}

// local is the URL of the deliveries' listener as this machine reaches it.
func local(s daemon.Server) string {
	scheme := "http"
	if s.Cert != "" || s.ACME != nil {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(s.Listen)
	if err != nil || strings.HasPrefix(s.Listen, "unix:") {
		return scheme + "://localhost"
	}
	if s.ACME != nil {
		host = s.ACME.Domains[0] // the name there is a certificate for
	} else if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// post sends the request, over a unix socket if one is named, and reads its answer.
func post(ctx context.Context, to *url.URL, socket string, r *request.Request) (*sent, error) {
	ctx, cancel := context.WithTimeout(ctx, sendWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.Method, to.String(), strings.NewReader(string(r.Body)))
	if err != nil {
		return nil, err
	}
	req.Header = r.Header
	began := time.Now()
	transport := http.DefaultTransport
	if socket != "" {
		transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}, DisableKeepAlives: true}
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	return &sent{URL: to.Redacted(), Status: response.StatusCode, Headers: response.Header, Body: string(body), Millis: float64(time.Since(began).Microseconds()) / 1000}, nil
}

func unreachable(err error, target string) error {
	var cause *url.Error
	if errors.As(err, &cause) {
		err = cause.Err
	}
	return &failure{exitUnreachable, fmt.Errorf("send to %s: %w", target, err), []string{`is "tenterhook serve" running?`, "--to sends it elsewhere"}}
}

func (c sendCmd) print(e *env, a *sent) error {
	if c.JSON {
		if err := writeJSON(e.stdout, a); err != nil {
			return err
		}
	} else {
		status := fmt.Sprintf("%d %s", a.Status, http.StatusText(a.Status))
		how := green
		if a.Status >= 300 {
			how = red
		}
		fmt.Fprintf(e.stdout, "%s  %s  %.1f ms\n", e.out.paint(how, status), printable(a.URL), a.Millis)
		if body := strings.TrimRight(a.Body, "\n"); body != "" {
			fmt.Fprintln(e.stdout, printableText(body))
		}
	}
	if a.Status >= 300 {
		return said(exitFailed)
	}
	return nil
}
