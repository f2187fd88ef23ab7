package tracing

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/tenterhook/tenterhook/internal/job"
)

// env is an environment.
func env(of map[string]string) func(string) string {
	return func(name string) string { return of[name] }
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestNew_RefusesVariablesThatItCannotFollow(t *testing.T) {
	for _, one := range []struct {
		name, value, says string
	}{
		{"OTEL_TRACES_EXPORTER", "zipkin", `OTEL_TRACES_EXPORTER is otlp or none, found "zipkin"`},
		{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc", "http/protobuf"},
		{"OTEL_TRACES_SAMPLER", "xray", "OTEL_TRACES_SAMPLER is"},
		{"OTEL_TRACES_SAMPLER", "parentbased_", "OTEL_TRACES_SAMPLER is"},
		{"OTEL_PROPAGATORS", "b3", "tracecontext"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:4318", "is an address such as http://127.0.0.1:4318"},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "unix:///x", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is an address"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "secret-without-a-name", "name=value"},
		{"OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "gzip or none"},
		{"OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "milliseconds"},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere", "/nowhere"},
		{"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/nowhere", "/nowhere"},
	} {
		of := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
		of[one.name] = one.value
		_, err := New(t.Context(), Options{Env: env(of), Log: quiet()})
		if err == nil || !strings.Contains(err.Error(), one.says) {
			t.Errorf("%s=%s: %v, want %q", one.name, one.value, err, one.says)
		}
		if err != nil && strings.Contains(err.Error(), "secret-without") {
			t.Errorf("the error shows what may be a secret: %v", err)
		}
	}
	for _, arg := range []string{"", "0.5", "1"} {
		if _, _, err := samplerOf("traceidratio", arg); err != nil {
			t.Errorf("traceidratio of %q: %v", arg, err)
		}
	}
	for _, arg := range []string{"x", "2", "-1", "NaN"} {
		if _, _, err := samplerOf("traceidratio", arg); err == nil {
			t.Errorf("traceidratio of %q is taken", arg)
		}
	}
}

func TestEndpoint_OfTracesIsTakenAsItIsAndThatOfEverythingIsExtended(t *testing.T) {
	for _, one := range []struct{ everything, traces, want string }{
		{"http://c:4318", "", "http://c:4318/v1/traces"},
		{"https://c/otlp/", "", "https://c/otlp/v1/traces"},
		{"http://c:4318", "http://t/own", "http://t/own"},
		{"", "http://t", "http://t"},
	} {
		u, err := endpoint(env(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": one.everything, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": one.traces}))
		if err != nil || u.String() != one.want {
			t.Errorf("%q and %q: %v, %v, want %s", one.everything, one.traces, u, err, one.want)
		}
	}
}

func TestClient_TriesAgainWhenItIsAskedToAndGivesUpWhenItIsRefused(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	answers := []int{http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusOK, http.StatusBadRequest}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Api-Key") != "a,b" || r.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("headers %v", r.Header)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(answers[asked.Add(1)-1])
	}))
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	c, err := newClient(env(map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": strings.Replace(server.URL, "https://", "https://user:password@", 1), "OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%2Cb",
		"OTEL_EXPORTER_OTLP_CERTIFICATE": ca, "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
	}), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if c.http.Transport.(*http.Transport).TLSClientConfig.MinVersion < tls.VersionTLS12 {
		t.Error("old TLS is taken")
	}
	for range 2 {
		if err := c.UploadTraces(t.Context(), nil); err != nil {
			t.Error(err)
		}
	}
	if asked.Load() != 4 || !strings.Contains(log.String(), "a batch of traces was lost") || strings.Contains(log.String(), "password") {
		t.Errorf("%d requests, and the log says\n%s", asked.Load(), log.String())
	}
}

func TestIDs_AreSpreadForSamplersAndNeverTheSameTwice(t *testing.T) {
	seen, kept := map[trace.SpanID]bool{}, 0
	sampler, _, err := samplerOf("traceidratio", "0.25")
	if err != nil {
		t.Fatal(err)
	}
	tracer := &Tracer{sampler: sampler}
	const n = 4000
	for range n {
		d := &job.Delivery{ID: job.NewID()}
		j := &job.Job{ID: job.NewID()}
		for _, span := range []trace.SpanID{
			deliveryIDs(d).span, jobIDs(j).span, jobIDs(&job.Job{ID: j.ID, Since: 1}).span, attemptIDs(j, 1).span, attemptIDs(j, 11).span,
			followUpIDs(j, job.FollowUp{Event: "on_success", Attempt: 1, Step: 1, Try: 11}).span, followUpIDs(j, job.FollowUp{Event: "on_success", Attempt: 1, Step: 11, Try: 1}).span,
		} {
			if seen[span] || !span.IsValid() {
				t.Fatalf("span id %s twice", span)
			}
			seen[span] = true
		}
		if tracer.contextAt(tracer.placeOf(d)).IsSampled() {
			kept++
		}
	}
	if kept < n/5 || kept > n*3/10 {
		t.Errorf("%d of %d traces are kept, want a quarter", kept, n)
	}
}

func TestSender_IsReadFromOneWholeHeaderOnly(t *testing.T) {
	const good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	tracer := &Tracer{hands: true}
	for _, one := range []struct {
		values []string
		ok     bool
	}{
		{[]string{good}, true},
		{nil, false},
		{[]string{good, good}, false},
		{[]string{good + "-more"}, false},
		{[]string{"ff" + good[2:]}, false},
		{[]string{strings.ToUpper(good)}, false},
		{[]string{"00-00000000000000000000000000000000-00f067aa0ba902b7-01"}, false},
		{[]string{strings.Repeat("0", 1<<16)}, false},
	} {
		if got := tracer.sender(http.Header{"Traceparent": one.values}); got.IsValid() != one.ok {
			t.Errorf("%.80q: %v", one.values, got)
		}
	}
}

// What the accept path pays: nothing to speak of while traces are off.
func BenchmarkDelivered(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer server.Close()
	on, err := New(b.Context(), Options{Env: env(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": server.URL}), Log: quiet()})
	if err != nil {
		b.Fatal(err)
	}
	on.Run(func(context.Context, string) (job.Delivery, error) { return job.Delivery{}, nil })
	defer func() { _ = on.Close(b.Context()) }()
	taken := Taken{Delivery: &job.Delivery{ID: job.NewID(), Hook: "site", Origin: "request", Method: "POST"}, Outcome: job.Accepted, Status: 202, Began: time.Now()}
	for name, tracer := range map[string]*Tracer{"off": nil, "on": on} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				tracer.Delivered(taken)
			}
		})
	}
}
