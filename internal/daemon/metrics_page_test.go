package daemon

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
)

// TestMetricsPage_AnswersAsPromhttp compares what is said to each kind of request with the library's handler.
func TestMetricsPage_AnswersAsPromhttp(t *testing.T) {
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "a_total", Help: `With "quotes".`}, []string{"hook"})
	counter.WithLabelValues("zürich\n").Add(3)
	histogram := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "b_seconds", Help: "Buckets."})
	histogram.Observe(0.3)
	registry.MustRegister(counter, histogram)
	for name, accepts := range map[string]http.Header{
		"nothing said": {},
		"Prometheus 3": {"Accept": {"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"}, "Accept-Encoding": {"gzip"}},
		"protobuf":     {"Accept": {"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,text/plain;version=0.0.4;q=0.5"}},
		"a browser":    {"Accept": {"text/html,*/*;q=0.8"}, "Accept-Encoding": {"gzip, deflate, br"}},
	} {
		for _, target := range []string{"/metrics", "/metrics?name[]=a_total", "/metrics?name[]=none"} {
			t.Run(name+" "+target, func(t *testing.T) {
				ours, theirs := ask(t, metricsPage{registry}, target, accepts), ask(t, promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), target, accepts)
				if diff := cmp.Diff(theirs, ours); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func TestMetricsPage_SaysThatMetricsCannotBeRead(t *testing.T) {
	broken := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return nil, errors.New("collected twice") })
	if got := ask(t, metricsPage{broken}, "/metrics", nil); got.Status != 500 || !bytes.Contains([]byte(got.Body), []byte("collected twice")) {
		t.Errorf("%+v", got)
	}
}

type answer struct {
	Status int
	Header http.Header
	Body   string // unpacked
}

func ask(t *testing.T, h http.Handler, target string, header http.Header) answer {
	t.Helper()
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", target, nil)
	r.Header = header.Clone()
	h.ServeHTTP(w, r)
	body := io.Reader(w.Body)
	if w.Header().Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(body)
		if err != nil {
			t.Fatal(err)
		}
		body = unpacked
	}
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{w.Code, w.Header(), string(text)}
}
