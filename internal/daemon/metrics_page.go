package daemon

import (
	"compress/gzip"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

// metricsPage answers Prometheus as promhttp does: in the format and compression that the request
// accepts, with name[] only the metrics of these names, and with 500 when they cannot be read.
// promhttp itself would bring a quarter of a megabyte of writers for every set of interfaces a
// response can have.
type metricsPage struct{ registry prometheus.Gatherer }

func (p metricsPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	families, err := p.registry.Gather()
	if err != nil {
		http.Error(w, "cannot read the metrics: "+err.Error(), http.StatusInternalServerError)
		return
	}
	format, h := expfmt.NegotiateAccept(r.Header, expfmt.DefaultAcceptedFormats()...), w.Header()
	h.Set("Content-Type", string(format))
	h.Add("Vary", "Accept")
	h.Add("Vary", "Accept-Encoding")
	out := io.Writer(w)
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer func() { _ = z.Close() }() // a client that went away needs no answer
		out = z
	}
	names, encoder := r.URL.Query()["name[]"], expfmt.NewEncoder(out, format)
	for _, family := range families {
		if len(names) > 0 && !slices.Contains(names, family.GetName()) {
			continue
		}
		if encoder.Encode(family) != nil {
			return // the same
		}
	}
}
