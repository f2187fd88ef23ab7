package daemon_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/tenterhook/tenterhook/internal/admin"
)

// collector takes OTLP over HTTP, as a real one does, and keeps the spans.
type collector struct {
	*httptest.Server
	mu       sync.Mutex
	spans    []*tracepb.Span
	resource map[string]string
	header   http.Header
	raw      []byte // everything that was sent
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var sent tracepb.TracesData // the wire's ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &sent)
		}
		if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
			http.Error(w, fmt.Sprint(err), http.StatusBadRequest)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.raw, c.header = append(c.raw, body...), r.Header
		for _, rs := range sent.ResourceSpans {
			c.resource = map[string]string{}
			for _, a := range rs.Resource.Attributes {
				c.resource[a.Key] = a.Value.GetStringValue()
			}
			for _, ss := range rs.ScopeSpans {
				c.spans = append(c.spans, ss.Spans...)
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(c.Close)
	return c
}

// await waits for so many spans of a name and returns them in the order in which they began.
func (c *collector) await(t *testing.T, n int, name string) (found []*tracepb.Span) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d spans %q", n, name), func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		found = nil
		for _, s := range c.spans {
			if s.Name == name {
				found = append(found, s)
			}
		}
		return len(found) >= n
	})
	if len(found) != n {
		t.Fatalf("%d spans %q, want %d", len(found), name, n)
	}
	if n == 2 && found[1].StartTimeUnixNano < found[0].StartTimeUnixNano {
		found[0], found[1] = found[1], found[0]
	}
	return found
}

func (c *collector) env(more ...string) []string {
	return append([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.URL, "OTEL_BSP_SCHEDULE_DELAY=50"}, more...)
}

// parentOf is what a span handed on: as traceparent has it.
func parentOf(s *tracepb.Span) string {
	return fmt.Sprintf("00-%x-%x-%02x", s.TraceId, s.SpanId, s.Flags&1)
}

func wantParent(t *testing.T, child *tracepb.Span, trace, parent []byte) {
	t.Helper()
	if !bytes.Equal(child.TraceId, trace) || !bytes.Equal(child.ParentSpanId, parent) {
		t.Errorf("span %q is in trace %x under %x, want %x under %x", child.Name, child.TraceId, child.ParentSpanId, trace, parent)
	}
}

func attributes(s *tracepb.Span) map[string]string {
	out := map[string]string{}
	for _, a := range s.Attributes {
		if text := a.Value.GetStringValue(); text != "" {
			out[a.Key] = text
		} else {
			out[a.Key] = fmt.Sprint(a.Value.GetIntValue())
		}
	}
	return out
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	must(t, err)
	return b
}

const (
	senderTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	senderSpan   = "00f067aa0ba902b7"
	senderParent = "00-" + senderTrace + "-" + senderSpan + "-01"
)

// traced is a signed push with a sender's trace.
func traced(t *testing.T, url, id, parent string) answer {
	t.Helper()
	const body = `{"marker": "value-of-the-payload"}`
	a, err := send("POST", url, body, map[string]string{
		"X-Hub-Signature-256": sign(secret, body), "X-GitHub-Delivery": id, "X-GitHub-Event": "push",
		"Traceparent": parent, "Tracestate": "vendor=abc",
	})
	must(t, err)
	return a
}

const tracedHooks = `hooks:
  - name: site
    path: /site/{branch}
    provider: github
    secret: ` + secret + `
    rules:
      - name: build
        run: |
          echo "$TRACEPARENT $TRACESTATE" >> "$DIR/parents"
          if [ "$HOOK_ATTEMPT" = 1 ]; then touch "$DIR/began"; sleep 60; fi
        env: {DIR: "%[1]s", MARKER: "${{ payload.marker }}"}
        on_interrupt: retry
        on_success:
          - http: {url: "%[2]s", allow_private: true}
`

func TestTraces_ADeliveryIsOneTraceAcrossAKilledDaemon(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	told := make(chan http.Header, 10)
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { told <- r.Header }))
	t.Cleanup(other.Close)
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+fmt.Sprintf(tracedHooks, dir, other.URL))
	env := c.env("OTEL_SERVICE_NAME=hooks-of-mine", "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test", "OTEL_EXPORTER_OTLP_HEADERS=x-key=a%20b")
	p := launch(t, dir, env...)
	sent := traced(t, p.url+"/site/main", "1", senderParent)
	delivery := c.await(t, 1, "delivery site")[0]
	eventually(t, "the first attempt", exists(filepath.Join(dir, "began")))
	p.kill()
	p = launch(t, dir, env...)

	attempts := c.await(t, 2, "attempt site/build")
	job := c.await(t, 1, "job site/build")[0]
	follow := c.await(t, 1, "on_success site/build")[0]
	p.end(t)
	wantParent(t, delivery, unhex(t, senderTrace), unhex(t, senderSpan))
	wantParent(t, job, delivery.TraceId, delivery.SpanId)
	for _, one := range append(attempts, follow) {
		wantParent(t, one, delivery.TraceId, job.SpanId)
	}
	if delivery.Kind != tracepb.Span_SPAN_KIND_SERVER || follow.Kind != tracepb.Span_SPAN_KIND_CLIENT {
		t.Errorf("kinds are %v and %v", delivery.Kind, follow.Kind)
	}
	want := map[string]string{
		"tenterhook.hook": "site", "tenterhook.delivery": sent.json.Delivery, "tenterhook.origin": "request", "tenterhook.outcome": "accepted",
		"tenterhook.jobs": "1", "http.request.method": "POST", "http.route": "/site/{branch}", "http.response.status_code": "202",
	}
	if diff := cmp.Diff(want, attributes(delivery)); diff != "" {
		t.Errorf("attributes of the delivery (-want +got):\n%s", diff)
	}
	if attempts[0].Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR || !strings.Contains(attempts[0].Status.Message, "cut off when the daemon died") {
		t.Errorf("the attempt that was cut off has the status %v", attempts[0].Status)
	}
	if got := attributes(job)["tenterhook.state"]; got != "succeeded" || job.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR {
		t.Errorf("the job ended as %s, %v", got, job.Status)
	}
	parents, err := os.ReadFile(filepath.Join(dir, "parents"))
	must(t, err)
	if want := parentOf(attempts[0]) + " vendor=abc\n" + parentOf(attempts[1]) + " vendor=abc\n"; string(parents) != want {
		t.Errorf("the command's traces are\n%swant\n%s", parents, want)
	}
	if got := (<-told).Get("Traceparent"); got != parentOf(follow) {
		t.Errorf("the request's traceparent is %q, want %q", got, parentOf(follow))
	}
	if diff := cmp.Diff([]string{"hooks-of-mine", "test", "a b"}, []string{c.resource["service.name"], c.resource["deployment.environment.name"], c.header.Get("X-Key")}); diff != "" {
		t.Errorf("what the environment says of the service (-want +got):\n%s", diff)
	}
	for _, private := range []string{"value-of-the-payload", secret, "/site/main"} {
		if bytes.Contains(c.raw, []byte(private)) {
			t.Errorf("the spans hold %q", private)
		}
	}
}

const quietHooks = `hooks:
  - name: site
    path: /site
    provider: github
    secret: ` + secret + `
    rules:
      - name: build
        run: echo "${TRACEPARENT:-}" > "$DIR/$HOOK_JOB.new" && mv "$DIR/$HOOK_JOB.new" "$DIR/$HOOK_JOB"
        env: {DIR: "%[1]s"}
`

// handedTo is the trace that a job's command was told of.
func handedTo(t *testing.T, dir, job string) string {
	t.Helper()
	path := filepath.Join(dir, job)
	eventually(t, "the job", exists(path))
	text, err := os.ReadFile(path)
	must(t, err)
	return strings.TrimSpace(string(text))
}

func TestTraces_OnlyAParentBasedSamplerFollowsTheSender(t *testing.T) {
	t.Parallel()
	for _, one := range []struct {
		sampler, flags string
		kept, joined   bool
	}{
		{"", "01", true, true},
		{"", "00", false, true},
		{"parentbased_traceidratio", "01", true, true},
		{"always_on", "00", true, false},
		{"always_off", "01", false, false},
	} {
		t.Run(one.sampler+"_"+one.flags, func(t *testing.T) {
			t.Parallel()
			c, dir := newCollector(t), shortDir(t)
			write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+fmt.Sprintf(quietHooks, dir))
			p := launch(t, dir, c.env("OTEL_TRACES_SAMPLER="+one.sampler, "OTEL_TRACES_SAMPLER_ARG=0")...)
			id := traced(t, p.url+"/site", "1", "00-"+senderTrace+"-"+senderSpan+"-"+one.flags).json.Jobs[0]
			handed := handedTo(t, dir, id)
			p.end(t) // sends what is left
			if strings.Contains(handed, senderTrace) != one.joined || strings.HasSuffix(handed, "-01") != one.kept {
				t.Errorf("the command was told %s", handed)
			}
			if !one.kept {
				if len(c.spans) > 0 {
					t.Errorf("%d spans were sent", len(c.spans))
				}
				return
			}
			delivery := c.await(t, 1, "delivery site")[0]
			if joined := bytes.Equal(delivery.TraceId, unhex(t, senderTrace)); joined != one.joined {
				t.Errorf("in the sender's trace: %v", joined)
			}
			if !one.joined && (len(delivery.ParentSpanId) > 0 || len(delivery.Links) != 1 || !bytes.Equal(delivery.Links[0].TraceId, unhex(t, senderTrace))) {
				t.Errorf("parent %x, links %v", delivery.ParentSpanId, delivery.Links)
			}
		})
	}
}

func TestTraces_AReplayIsATraceOfItsOwnThatLeadsBack(t *testing.T) {
	t.Parallel()
	c, dir := newCollector(t), shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+fmt.Sprintf(quietHooks, dir))
	p := launch(t, dir, c.env()...)
	sent := traced(t, p.url+"/site", "1", senderParent)
	handedTo(t, dir, sent.json.Jobs[0])
	client := admin.NewClient("unix:"+dir+"/admin.sock", "")
	defer func() { _ = client.Close() }()
	c.await(t, 1, "job site/build")
	if _, err := client.Replay(t.Context(), sent.json.Delivery, admin.ReplayAll); err != nil {
		t.Fatal(err)
	}
	jobs := c.await(t, 2, "job site/build")
	delivery := c.await(t, 1, "delivery site")[0]
	again := jobs[1]
	if bytes.Equal(again.TraceId, delivery.TraceId) || len(again.ParentSpanId) > 0 {
		t.Errorf("the replay is in trace %x under %x", again.TraceId, again.ParentSpanId)
	}
	if len(again.Links) != 1 || !bytes.Equal(again.Links[0].SpanId, delivery.SpanId) {
		t.Errorf("the replay has the links %v, want one to %x", again.Links, delivery.SpanId)
	}
}

func TestTraces_ACollectorThatHangsHoldsUpNeitherDeliveriesNorTheEnd(t *testing.T) {
	t.Parallel()
	hanging := make(chan struct{})
	c := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hanging }))
	t.Cleanup(c.Close)
	t.Cleanup(func() { close(hanging) })
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+fmt.Sprintf(quietHooks, dir))
	p := launch(t, dir, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="+c.URL+"/elsewhere", "OTEL_BSP_SCHEDULE_DELAY=50", "OTEL_BSP_MAX_QUEUE_SIZE=16")
	for n := range 100 {
		began := time.Now()
		if a := traced(t, p.url+"/site", fmt.Sprint(n), senderParent); a.status != http.StatusAccepted || time.Since(began) > 5*time.Second {
			t.Fatalf("delivery %d was answered %d after %s", n, a.status, time.Since(began))
		}
	}
	began := time.Now()
	p.end(t)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the end took %s", took)
	}
	if log := p.log.String(); !strings.Contains(log, "spans were not sent in time") {
		t.Errorf("the log does not say that spans were lost:\n%s", log)
	}
}

func TestTraces_AreOffUntilAnEndpointIsSetAndAWrongVariableIsSaid(t *testing.T) {
	t.Parallel()
	c, dir := newCollector(t), shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+fmt.Sprintf(quietHooks, dir))
	for _, one := range []struct {
		env  []string
		says string
	}{
		{nil, ""},
		{c.env("OTEL_SDK_DISABLED=true"), ""},
		{c.env("OTEL_TRACES_EXPORTER=none"), ""},
		{c.env("OTEL_EXPORTER_OTLP_PROTOCOL=grpc"), `OTEL_EXPORTER_OTLP_PROTOCOL is http/protobuf, found \"grpc\"`},
		{c.env("OTEL_TRACES_SAMPLER=jaeger_remote"), "OTEL_TRACES_SAMPLER is always_on"},
	} {
		p := launch(t, dir, one.env...)
		id := traced(t, p.url+"/site", fmt.Sprint(one), senderParent).json.Jobs[0]
		handed := handedTo(t, dir, id)
		p.end(t)
		if len(c.spans) > 0 || handed != "" || !strings.Contains(p.log.String(), one.says) {
			t.Errorf("with %v: %d spans, the command was told %q, and the log is\n%s", one.env, len(c.spans), handed, p.log)
		}
	}
}

// The other tests read what is sent with OTLP's own types. This one asks the collector that people
// run, which .ci/collector builds.
func TestTraces_ARealCollectorTakesThem(t *testing.T) {
	t.Parallel()
	program := os.Getenv("TENTERHOOK_COLLECTOR")
	if program == "" {
		t.Skip("needs a collector: .ci/collector")
	}
	port, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := port.Addr().String()
	must(t, port.Close())
	said := &lines{}
	real := exec.Command(program, "--config", fmt.Sprintf(`yaml:{receivers: {otlp: {protocols: {http: {endpoint: "%s"}}}}, exporters: {debug: {verbosity: detailed}},
		service: {telemetry: {metrics: {level: none}}, pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}}`, address))
	real.Stderr = said
	must(t, real.Start())
	t.Cleanup(func() { _ = real.Process.Kill(); _ = real.Wait() })
	eventually(t, "the collector", func() bool { return strings.Contains(said.String(), "Everything is ready") })

	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+fmt.Sprintf(quietHooks, dir))
	p := launch(t, dir, "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+address, "OTEL_EXPORTER_OTLP_COMPRESSION=gzip")
	handed := handedTo(t, dir, traced(t, p.url+"/site", "1", senderParent).json.Jobs[0])
	p.end(t)
	eventually(t, "three spans in the collector", func() bool { return strings.Count(said.String(), "Trace ID       : "+senderTrace) == 3 })
	if parts := strings.Split(handed, "-"); len(parts) != 4 || !strings.Contains(said.String(), ": "+parts[2]+"\n") {
		t.Errorf("the collector has no span %s:\n%s", handed, said)
	}
	t.Log(said)
}
