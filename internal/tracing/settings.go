package tracing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// Options are what a Tracer is made with.
type Options struct {
	Env     func(name string) string // os.Getenv; the SDK reads the environment itself, too
	Log     *slog.Logger
	Version string
	Node    string // "" for one that is alone
}

// New makes the Tracer that the OTEL_* variables ask for; nil when they ask for none, which is so
// until an endpoint is set. Its error says which variable cannot be followed.
//
// The variables: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
func New(ctx context.Context, o Options) (*Tracer, error) {
	on, err := asked(o.Env)
	if err != nil || !on {
		return nil, err
	}
	sampler, joins, err := samplerOf(o.Env("OTEL_TRACES_SAMPLER"), o.Env("OTEL_TRACES_SAMPLER_ARG"))
	if err != nil {
		return nil, err
	}
	hands, err := propagates(o.Env("OTEL_PROPAGATORS"))
	if err != nil {
		return nil, err
	}
	client, err := newClient(o.Env, o.Log)
	if err != nil {
		return nil, err
	}
	// What the SDK itself has to say, which by default it writes past the log.
	otel.SetLogger(logr.FromSlogHandler(o.Log.Handler()))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { o.Log.Warn("traces", "error", err) }))
	exporter, err := otlptrace.New(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("prepare to send traces: %w", err)
	}
	who, err := resource.New(ctx, resource.WithAttributes(identity(o)...), resource.WithHost(), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("read OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(who), sdk.WithSampler(sampler), sdk.WithIDGenerator(given{}))
	o.Log.Info("traces are sent", "to", client.shown(), "sampler", sampler.Description())
	reading, endRead := context.WithCancel(context.WithoutCancel(ctx))
	return &Tracer{
		reading: reading, endRead: endRead, provider: provider, tracer: provider.Tracer("tenterhook"), sampler: sampler, joins: joins, hands: hands,
		log: o.Log, lookups: make(chan lookup, mostLookups), stop: make(chan struct{}),
	}, nil
}

// identity is what the resource says unless the environment does.
func identity(o Options) []attribute.KeyValue {
	out := []attribute.KeyValue{attribute.String("service.name", "tenterhook"), attribute.String("service.version", o.Version)}
	return appendText(out, "service.instance.id", o.Node)
}

// asked reports whether traces are to be sent, and refuses ways to send them that there are not.
func asked(env func(string) string) (bool, error) {
	if cmp.Or(env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), env("OTEL_EXPORTER_OTLP_ENDPOINT")) == "" || strings.EqualFold(env("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	switch exporter := env("OTEL_TRACES_EXPORTER"); exporter {
	case "none":
		return false, nil
	case "", "otlp":
	default:
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER is otlp or none, found %q", exporter)
	}
	switch protocol := ofTraces(env, "PROTOCOL"); protocol {
	case "", "http/protobuf":
		return true, nil
	default:
		return false, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is http/protobuf, found %q: collectors take that on port 4318", protocol)
	}
}

// ofTraces is a variable of the exporter: that for traces, otherwise that for everything.
func ofTraces(env func(string) string, name string) string {
	return cmp.Or(env("OTEL_EXPORTER_OTLP_TRACES_"+name), env("OTEL_EXPORTER_OTLP_"+name))
}

// samplerOf makes the sampler, and says whether it may follow the sender: that the sampler is
// parent-based is the operator's leave. Under any other a sender that chose the trace's id would
// choose whether it is kept.
func samplerOf(name, arg string) (s sdk.Sampler, joins bool, err error) {
	base, joins := strings.CutPrefix(cmp.Or(name, "parentbased_always_on"), "parentbased_")
	switch base {
	case "always_on":
		s = sdk.AlwaysSample()
	case "always_off":
		s = sdk.NeverSample()
	case "traceidratio":
		ratio, err := strconv.ParseFloat(cmp.Or(arg, "1"), 64)
		if err != nil || !(ratio >= 0 && ratio <= 1) {
			return nil, false, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG is a number from 0 to 1, found %q", arg)
		}
		s = sdk.TraceIDRatioBased(ratio)
	default:
		return nil, false, fmt.Errorf("OTEL_TRACES_SAMPLER is always_on, always_off, traceidratio or one of them after parentbased_, found %q", name)
	}
	if joins {
		s = sdk.ParentBased(s)
	}
	return s, joins, nil
}

// propagates reads OTEL_PROPAGATORS: traceparent is understood, or nothing. Baggage is not taken
// from senders.
func propagates(list string) (bool, error) {
	names := strings.FieldsFunc(cmp.Or(list, "tracecontext,baggage"), func(r rune) bool { return r == ',' || r == ' ' })
	switch {
	case slices.Contains(names, "tracecontext"):
		return true, nil
	case slices.Equal(names, []string{"none"}) || slices.Equal(names, []string{"baggage"}):
		return false, nil
	}
	return false, errors.New("OTEL_PROPAGATORS: tracecontext is known here, and none")
}
