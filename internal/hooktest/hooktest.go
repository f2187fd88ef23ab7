// Package hooktest runs the tests: of a configuration against its hooks: a request, and what the
// hook is expected to make of it. Nothing is received, stored or run.
package hooktest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

// Test is one request and what is expected of it.
type Test struct {
	Name string
	Hook *hook.Hook

	at      config.Placed // where it is written
	set     *hook.Set
	request requestSpec
	body    []byte
	clock   time.Time // zero is now
	expect  expectSpec
}

type testSpec struct {
	Name     config.Text  `yaml:"name,required" doc:"What is tested, in words."`
	Hook     config.Text  `yaml:"hook,required" doc:"Name of the hook."`
	Request  *requestSpec `yaml:"request" doc:"The request."`
	Delivery config.Text  `yaml:"delivery" doc:"Instead of request: a file that \"tenterhook deliveries save\" wrote."`
	At       config.Text  `yaml:"at" doc:"The time it comes at, RFC 3339; otherwise now."`
	Expect   *expectSpec  `yaml:"expect,required" doc:"What must come of it."`
}

type requestSpec struct {
	Method   config.Text            `yaml:"method" doc:"Otherwise the hook's own."`
	Path     config.Text            `yaml:"path" doc:"Otherwise the hook's own."`
	Query    config.Text            `yaml:"query" doc:"After the ?."`
	Headers  map[string]config.Text `yaml:"headers" doc:"Headers of the request."`
	Body     config.Text            `yaml:"body" doc:"The body."`
	BodyFile config.Text            `yaml:"body_file" doc:"A file with the body, relative to the configuration."`
	IP       config.Text            `yaml:"ip" doc:"The sender's address." default:"127.0.0.1"`
	Signed   *bool                  `yaml:"signed" doc:"false: as it is, without a signature." default:"true"`
}

type expectSpec struct {
	Status         *int                   `yaml:"status" doc:"Of the answer."`
	Rules          *[]config.Text         `yaml:"rules" doc:"All rules that match, in the order of the file."`
	Event          config.Text            `yaml:"event" doc:"The event type."`
	DeliveryKey    config.Text            `yaml:"delivery_key" doc:"The delivery's key."`
	Rule           config.Text            `yaml:"rule" doc:"The rule that env, exec, url and concurrency_key are about; otherwise the first that matches."`
	Env            map[string]config.Text `yaml:"env" doc:"Variables of the command; only those named are compared."`
	Exec           *[]config.Text         `yaml:"exec" doc:"The arguments."`
	URL            config.Text            `yaml:"url" doc:"Where the request goes."`
	ConcurrencyKey config.Text            `yaml:"concurrency_key" doc:"The lane."`
	Error          config.Text            `yaml:"error" doc:"A part of what a rule could not evaluate."`
}

// largestBody bounds a body file.
const largestBody = 64 << 20

// Compile reads tests:. Relative paths start in dir. Problems go to d, with their places.
func Compile(node config.Node, set *hook.Set, dir string, d *config.Diagnostics) []*Test {
	var tests []*Test
	seen := map[string]bool{}
	for _, one := range node.List() {
		if one.Kind() != config.KindMap {
			d.Errorf(one, "a test is a mapping with name, hook, request and expect")
			continue
		}
		m := one.Map(d)
		var spec testSpec
		m.Decode(&spec)
		m.Close()
		if t := compileTest(&spec, one, set, dir, d); t != nil {
			if seen[t.Name] {
				d.Errorf(spec.Name, "there are two tests named %q", t.Name)
			}
			seen[t.Name] = true
			tests = append(tests, t)
		}
	}
	return tests
}

func compileTest(spec *testSpec, node config.Node, set *hook.Set, dir string, d *config.Diagnostics) *Test {
	if spec.Name.Value == "" || spec.Hook.Value == "" || spec.Expect == nil {
		return nil // said already
	}
	t := &Test{Name: spec.Name.Value, Hook: set.Hook(spec.Hook.Value), at: spec.Name, set: set, expect: *spec.Expect}
	if t.Hook == nil {
		var names []string
		for _, h := range set.Hooks() {
			names = append(names, h.Name)
		}
		p := d.Errorf(spec.Hook, "there is no hook %q", spec.Hook.Value)
		if near := config.Suggest(spec.Hook.Value, names); near != "" {
			p.Hint("did you mean %q?", near)
		}
		return nil
	}
	t.expect.check(t.Hook, d)
	t.clock = clock(spec.At, d)
	switch {
	case (spec.Request == nil) == (spec.Delivery.Value == ""):
		d.Errorf(node, "a test has a request:, or a delivery: that was saved")
		return nil
	case spec.Request != nil:
		t.request = *spec.Request
		return t.readBody(dir, d)
	}
	return t.readDelivery(spec.Delivery, dir, d)
}

func clock(text config.Text, d *config.Diagnostics) time.Time {
	if text.Value == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339Nano, text.Value)
	if err != nil {
		d.Errorf(text, "%q is not a time", text.Value).Hint("such as 2026-01-02T15:04:05Z")
	}
	return at
}

// check refuses to expect what the hook does not have.
func (e *expectSpec) check(h *hook.Hook, d *config.Diagnostics) {
	var names []string
	for _, r := range h.Rules {
		names = append(names, r.Name)
	}
	known := func(text config.Text) {
		for _, name := range names {
			if text.Value == name {
				return
			}
		}
		p := d.Errorf(text, "hook %q has no rule %q", h.Name, text.Value)
		if near := config.Suggest(text.Value, names); near != "" {
			p.Hint("did you mean %q?", near)
		}
	}
	if e.Rule.Value != "" {
		known(e.Rule)
	}
	if e.Rules != nil {
		for _, text := range *e.Rules {
			known(text)
		}
	}
}

func (t *Test) readBody(dir string, d *config.Diagnostics) *Test {
	r := &t.request
	if r.Body.Value != "" && r.BodyFile.Value != "" {
		d.Errorf(r.BodyFile, "a request has body: or body_file:, not both")
		return nil
	}
	t.body = []byte(r.Body.Value)
	if r.BodyFile.Value == "" {
		return t
	}
	data, ok := readFile(r.BodyFile, dir, d)
	t.body = data
	if !ok {
		return nil
	}
	return t
}

func readFile(text config.Text, dir string, d *config.Diagnostics) ([]byte, bool) {
	path := text.Value
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	info, err := os.Stat(path)
	if err == nil && info.Size() > largestBody {
		d.Errorf(text, "%s is larger than %d MiB", path, largestBody>>20)
		return nil, false
	}
	data, err := os.ReadFile(path)
	if err != nil {
		d.Errorf(text, "%s cannot be read: %s", path, plain(err))
		return nil, false
	}
	return data, true
}

func plain(err error) string {
	if path, ok := errors.AsType[*os.PathError](err); ok {
		return path.Err.Error()
	}
	return err.Error()
}

// readDelivery takes the request from a file that "deliveries save" wrote.
func (t *Test) readDelivery(text config.Text, dir string, d *config.Diagnostics) *Test {
	data, ok := readFile(text, dir, d)
	if !ok {
		return nil
	}
	var saved request.File
	err := json.Unmarshal(data, &saved)
	var r *request.Request
	if err == nil {
		r, err = saved.Request()
	}
	if err != nil {
		d.Errorf(text, "%s is no saved delivery: %s", text.Value, err).Hint("tenterhook deliveries save ID > %s", text.Value)
		return nil
	}
	t.body = r.Body
	t.request = requestSpec{
		Method: config.Text{Value: saved.Method}, Path: config.Text{Value: r.Path}, Query: config.Text{Value: r.RawQuery},
		Headers: map[string]config.Text{}, IP: config.Text{Value: saved.IP},
	}
	if saved.URL == "" {
		t.request.Path = config.Text{} // the hook's own
	}
	for name, values := range r.Header {
		t.request.Headers[name] = config.Text{Value: strings.Join(values, ", ")}
	}
	return t
}

var parameter = regexp.MustCompile(`\{([^}]+)\}`)

// make makes the request, signed as the real sender would unless the test says otherwise. Where
// nobody but the sender can sign, it is to be trusted instead.
func (t *Test) make(now time.Time) (r *request.Request, trusted bool, err error) {
	spec := &t.request
	r = &request.Request{
		Scheme: "https", Host: "localhost", Method: spec.Method.Value, Path: spec.Path.Value, RawQuery: spec.Query.Value, Header: http.Header{},
		IP: netip.AddrFrom4([4]byte{127, 0, 0, 1}), Body: t.body, ReceivedAt: now, Format: t.Hook.Format,
	}
	if r.Method == "" {
		r.Method = t.Hook.Methods[0]
	}
	if r.Path == "" {
		r.Path = parameter.ReplaceAllString(t.Hook.Path, "$1")
	}
	r.RawPath = (&url.URL{Path: r.Path}).EscapedPath()
	for name, value := range spec.Headers {
		r.Header.Set(name, value.Value)
	}
	if spec.IP.Value != "" {
		ip, err := netip.ParseAddr(spec.IP.Value)
		if err != nil {
			return nil, false, fmt.Errorf("ip: %w", err)
		}
		r.IP = ip
	}
	if r.Header.Get("Content-Type") == "" && json.Valid(t.body) {
		r.Header.Set("Content-Type", "application/json")
	}
	if spec.Signed == nil || *spec.Signed {
		err = t.Hook.Sign(r, now)
	}
	if errors.Is(err, verify.ErrOnlySender) {
		return r, true, nil
	}
	return r, false, err
}
