package admin

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/job"
)

var update = flag.Bool("update", false, "write docs/openapi.json anew")

// spec is the document as a program reads it.
type spec struct {
	Paths map[string]map[string]struct {
		OperationID string `json:"operationId"`
		Summary     string
		Scope       string `json:"x-scope"`
		Parameters  []struct {
			Name, In, Description string
			Required              bool
			Schema                any
		}
		RequestBody *struct {
			Content map[string]struct{ Schema any }
		}
		Responses map[string]struct {
			Content map[string]struct {
				Schema any
				Events map[string]any `json:"x-events"`
			}
		}
	}
	Components struct{ Schemas map[string]any }
}

func readSpec(t *testing.T, d *door) (s spec) {
	t.Helper()
	got := d.ask("GET", prefix+"openapi.json")
	if got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if err := json.Unmarshal([]byte(got.body), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// noPages is a web UI without a page, for the routes that there are with one.
type noPages struct{ http.Handler }

func (noPages) LoginLink(Visitor) (string, time.Time) { return "/login", noon }

func withPages(Door) Pages { return noPages{http.NotFoundHandler()} }

// promised are the routes that outsiders were told of.
var promised = []string{
	"GET deliveries", "GET deliveries/{id}", "GET deliveries/{id}/body", "POST deliveries/{id}/replay", "POST replays", "GET replays/{id}",
	"GET jobs", "GET jobs/{id}", "GET jobs/{id}/output", "GET jobs/{id}/stream", "POST jobs/{id}/retry", "POST jobs/{id}/cancel",
	"GET hooks", "POST hooks/{hook}/pause", "POST hooks/{hook}/resume", "POST explain", "GET status", "POST reload", "GET rejects",
	"GET events", "GET audit", "GET openapi.json",
}

func TestOpenAPI_HasEveryRouteThatThereIsAndNoOther(t *testing.T) {
	s := readSpec(t, open(t, sample(), Options{Pages: withPages}))
	a := &api{backend: sample(), feed: NewFeed(), pages: noPages{}}
	var routed, documented []string
	for _, r := range a.table() {
		routed = append(routed, r.method+" "+prefix+r.path)
	}
	ids := map[string]bool{}
	mux := http.NewServeMux()
	for _, pattern := range routed {
		mux.HandleFunc(pattern, func(http.ResponseWriter, *http.Request) {})
	}
	for path, methods := range s.Paths {
		for method, op := range methods {
			method = strings.ToUpper(method)
			documented = append(documented, method+" "+path)
			if _, pattern := mux.Handler(httptest.NewRequest(method, strings.NewReplacer("{", "", "}", "").Replace(path), nil)); pattern != method+" "+path {
				t.Errorf("%s %s is served by %q", method, path, pattern)
			}
			if op.Summary == "" || op.Scope == "" || ids[op.OperationID] {
				t.Errorf("%s %s: summary %q, scope %q, id %q", method, path, op.Summary, op.Scope, op.OperationID)
			}
			ids[op.OperationID] = true
			for _, p := range op.Parameters {
				if p.Description == "" || p.Schema == nil || p.Required != (p.In == "path") {
					t.Errorf("%s %s: parameter %+v", method, path, p)
				}
			}
			if op.Responses["default"].Content["application/problem+json"].Schema == nil {
				t.Errorf("%s %s does not say what an error is", method, path)
			}
		}
	}
	slices.Sort(routed)
	slices.Sort(documented)
	if diff := cmp.Diff(routed, documented); diff != "" {
		t.Error(diff)
	}
	for _, p := range promised {
		method, path, _ := strings.Cut(p, " ")
		if !slices.Contains(documented, method+" "+prefix+path) {
			t.Errorf("%s is missing", p)
		}
	}
}

// plenty is a backend in which every list has something.
func plenty() *fake {
	b := sample()
	b.rejects = []job.Reject{{ID: id(31), At: noon, IP: "192.0.2.9", Status: 404, Error: "not_found", Count: 2, LastAt: noon}}
	e := job.AuditEntry{At: noon, Who: "uid 0", Action: "retry", Result: "ok"}
	e.Seal(job.AuditAnchor{})
	b.audits = []job.AuditEntry{e}
	b.replays = []job.Replay{{ID: id(60), Asked: job.ReplayFilter{Hook: "site", State: job.Failed}, Status: job.ReplayDone, CreatedAt: noon}}
	b.reload.Problems = []config.Diagnostic{diagnostic(config.Warning)}
	return b
}

func TestOpenAPI_TheAnswersAreAsItSays(t *testing.T) {
	f := NewFeed()
	d := open(t, plenty(), Options{Feed: f, Pages: withPages})
	s := readSpec(t, d)
	c := checker{t: t, schemas: s.Components.Schemas}
	bodies := map[string]string{
		"explain": `{"delivery":"` + id(1) + `"}`,
		"replays": `{"hook":"site","which":"failed","dry_run":true}`,
	}
	for _, path := range []string{
		"deliveries", "deliveries/" + id(1), "deliveries/" + id(1) + "/body", "jobs", "jobs/" + id(11), "jobs/" + id(11) + "/output",
		"hooks", "status", "rejects", "audit", "replays", "replays/" + id(60), "openapi.json", "jobs/nonsense", "jobs?limit=0", "nowhere",
		"POST jobs/" + id(11) + "/retry", "POST jobs/" + id(11) + "/cancel", "POST deliveries/" + id(1) + "/replay",
		"POST deliveries/" + id(1) + "/replay/failed", "POST deliveries/" + id(1) + "/replay/missing", "POST hooks/site/pause",
		"POST hooks/site/resume", "POST hooks/site/rules/deploy/pause", "POST hooks/site/rules/deploy/resume", "POST hooks/nope/pause",
		"POST explain", "POST replays", "POST replays/" + id(60) + "/cancel", "POST reload", "POST login-links",
	} {
		method, rest, ok := strings.Cut(path, " ")
		if !ok {
			method, rest = "GET", path
		}
		body, header := bodies[rest], "Accept: */*"
		if body != "" {
			header = "Content-Type: application/json"
		}
		got := d.send(method, prefix+rest, body, header)
		c.answer(method+" "+rest, s, got)
	}
}

func TestOpenAPI_TheEventsAreAsItSays(t *testing.T) {
	f := NewFeed()
	d := open(t, plenty(), Options{Feed: f})
	s := readSpec(t, d)
	c := checker{t: t, schemas: s.Components.Schemas}
	events := s.Paths[prefix+"events"]["get"].Responses["200"].Content["text/event-stream"].Events
	r := d.listen(prefix+"events", "Last-Event-ID: unknown")
	for kind, example := range feedEvents {
		if kind != EventMissed {
			f.Publish(kind, "", value(example))
		}
	}
	for range feedEvents {
		e := r.next()
		if events[e.kind] == nil {
			t.Fatalf("%s is not documented", e.kind)
		}
		c.check(e.kind+" event", events[e.kind], e.data)
	}
	if len(events) != len(feedEvents) || len(events) != len(EventKinds)+1 {
		t.Errorf("%d kinds are documented, %d told, %d asked for", len(events), len(feedEvents), len(EventKinds))
	}
	stream := s.Paths[prefix+"jobs/{id}/stream"]["get"].Responses["200"].Content["text/event-stream"].Events
	one := d.listen(prefix + "jobs/" + id(11) + "/stream")
	for range 4 {
		e := one.next()
		c.check("stream of a job: "+e.kind, stream[e.kind], e.data)
	}
}

func TestOpenAPI_TheDocumentInTheDocsIsTheOneThatIsServed(t *testing.T) {
	a := &api{backend: sample(), feed: NewFeed(), pages: noPages{}}
	text, err := json.MarshalIndent(openAPI(a.table()), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	file := filepath.Join("..", "..", "docs", "openapi.json")
	if *update {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(kept), string(text)); diff != "" {
		t.Errorf("docs/openapi.json is another one: go test ./internal/admin -run OpenAPI -update\n%s", diff)
	}
}

// TestDocs_ListEveryRoute holds the table of docs/api.md against the routes.
func TestDocs_ListEveryRoute(t *testing.T) {
	a := &api{backend: sample(), feed: NewFeed(), pages: noPages{}}
	var want []string
	for _, r := range a.table() {
		want = append(want, fmt.Sprintf("| `%s %s` | %s | %s |", r.method, r.path, r.scope, r.summary))
	}
	file := filepath.Join("..", "..", "docs", "api.md")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got, other []string
	at := -1
	for lines := bufio.NewScanner(strings.NewReader(string(text))); lines.Scan(); {
		if line := lines.Text(); strings.HasPrefix(line, "| `GET ") || strings.HasPrefix(line, "| `POST ") {
			if at < 0 {
				at = len(other)
			}
			got = append(got, line)
		} else {
			other = append(other, line)
		}
	}
	if *update && at >= 0 {
		whole := strings.Join(slices.Insert(other, at, want...), "\n") + "\n"
		if err := os.WriteFile(file, []byte(whole), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/api.md has other routes: go test ./internal/admin -run Docs -update\n%s", diff)
	}
}

// checker holds JSON against schemas. It knows what the document uses, and takes no property
// that is not in it.
type checker struct {
	t       *testing.T
	schemas map[string]any
}

// answer holds what was answered against the operation that the path belongs to.
func (c checker) answer(what string, s spec, got answer) {
	c.t.Helper()
	if got.status >= 400 {
		c.check(what, map[string]any{"$ref": "#/components/schemas/Problem"}, got.body)
		return
	}
	method, path, _ := strings.Cut(what, " ")
	path, _, _ = strings.Cut(prefix+path, "?")
	for pattern, methods := range s.Paths {
		if !matches(pattern, path) {
			continue
		}
		said, ok := methods[strings.ToLower(method)].Responses[fmt.Sprint(got.status)]
		media, _, _ := strings.Cut(got.header.Get("Content-Type"), ";")
		content, known := said.Content[media]
		switch {
		case !ok || known != (media != ""):
			c.t.Errorf("%s: %d with %q is not documented", what, got.status, media)
		case media == "application/json":
			c.check(what, content.Schema, got.body)
		}
		return
	}
	c.t.Errorf("%s is not documented", what)
}

func matches(pattern, path string) bool {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	return slices.EqualFunc(want, got, func(w, g string) bool { return w == g || strings.HasPrefix(w, "{") })
}

func (c checker) check(what string, schema any, text string) {
	c.t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		c.t.Errorf("%s: %v: %s", what, err, text)
		return
	}
	if err := c.holds(schema.(map[string]any), v); err != nil {
		c.t.Errorf("%s: %v\n%s", what, err, text)
	}
}

func (c checker) holds(schema map[string]any, v any) error {
	if ref, ok := schema["$ref"].(string); ok {
		found, ok := c.schemas[strings.TrimPrefix(ref, "#/components/schemas/")].(map[string]any)
		if !ok {
			return fmt.Errorf("there is no %s", ref)
		}
		return c.holds(found, v)
	}
	if ways, ok := schema["oneOf"].([]any); ok {
		for _, each := range ways {
			if c.holds(each.(map[string]any), v) == nil {
				return nil
			}
		}
		return fmt.Errorf("%v is none of what it may be", v)
	}
	if enum, ok := schema["enum"].([]any); ok && !slices.Contains(enum, v) {
		return fmt.Errorf("%v is not one of %v", v, enum)
	}
	if len(schema) == 0 {
		return nil
	}
	kinds, ok := schema["type"].([]any)
	if !ok {
		kinds = []any{schema["type"]}
	}
	if !slices.Contains(kinds, any(kindOf(v))) && !(kindOf(v) == "integer" && slices.Contains(kinds, any("number"))) {
		return fmt.Errorf("%v is %s and not %v", v, kindOf(v), kinds)
	}
	return c.inside(schema, v)
}

func (c checker) inside(schema map[string]any, v any) error {
	switch v := v.(type) {
	case []any:
		for i, each := range v {
			if err := c.holds(schema["items"].(map[string]any), each); err != nil {
				return fmt.Errorf("[%d]: %w", i, err)
			}
		}
	case map[string]any:
		properties, _ := schema["properties"].(map[string]any)
		required, _ := schema["required"].([]any)
		for _, name := range required {
			if _, ok := v[name.(string)]; !ok {
				return fmt.Errorf("%s is missing", name)
			}
		}
		for name, each := range v {
			of, ok := properties[name].(map[string]any)
			if !ok {
				of, ok = schema["additionalProperties"].(map[string]any)
			}
			if !ok {
				return fmt.Errorf("%s is not documented", name)
			}
			if err := c.holds(of, each); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return "string"
	case bool:
		return "boolean"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	}
	return "object"
}
