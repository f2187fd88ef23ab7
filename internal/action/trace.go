package action

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/propagation"
)

// traceContext is the span that ctx carries, as traceparent and tracestate of W3C Trace Context;
// empty when there is none.
func traceContext(ctx context.Context) map[string]string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier
}

// traceVariables are a trace context as variables, which the programs that know them read as
// https://opentelemetry.io/docs/specs/otel/context/env-carriers/ says.
func traceVariables(of map[string]string) map[string]string {
	out := make(map[string]string, len(of))
	for name, value := range of {
		out[strings.ToUpper(name)] = value
	}
	return out
}

// setTrace tells the other side of the span. What the rule itself sets stays.
func setTrace(header http.Header, of map[string]string) {
	if header.Get("Traceparent") != "" {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(of)) {
		header.Set(name, of[name])
	}
}
