// Package tracing makes OpenTelemetry spans of what happens to a delivery: the delivery itself, its
// jobs, their attempts and what follows them, as one trace.
//
// A trace has to live across a queue, restarts and machines: the span of a job ends days after its
// delivery's, in another process. Nothing is kept for that. The ids of every span are computed from
// what is stored anyway (the ids of delivery and job, the number of the attempt), and the sender's
// context is read from the header that is stored with the delivery. Whoever goes on with a job
// comes to the same ids.
//
// A nil *Tracer makes no spans; all of its methods may be called.
package tracing

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/tenterhook/tenterhook/internal/job"
)

const (
	// mostLookups is how many spans wait at most for their delivery to be read.
	mostLookups = 1024
	// lookupTime bounds reading one delivery.
	lookupTime = 5 * time.Second
	// mostLinks bounds the links from an attempt to the deliveries of its burst.
	mostLinks = 128
)

// Tracer makes spans and sends them to a collector. Make one with New, call Run, then Close.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	sampler  sdk.Sampler
	joins    bool // the sender's span is the parent of the delivery's; otherwise it is linked
	hands    bool // actions are told of their span
	log      *slog.Logger

	lookups chan lookup   // never closed
	stop    chan struct{} // closed by Close
	reading context.Context
	endRead context.CancelFunc
	done    sync.WaitGroup
}

// lookup is a span that needs a delivery which is in no memory.
type lookup struct {
	delivery string
	make     func(d *job.Delivery)
}

// Run reads deliveries for spans of jobs that ended without an attempt, until Close.
func (t *Tracer) Run(read func(ctx context.Context, id string) (job.Delivery, error)) {
	if t == nil {
		return
	}
	t.done.Go(func() {
		for {
			select {
			case one := <-t.lookups:
				t.lookUp(one, read)
			case <-t.stop:
				for len(t.lookups) > 0 {
					t.lookUp(<-t.lookups, read)
				}
				return
			}
		}
	})
}

func (t *Tracer) lookUp(one lookup, read func(ctx context.Context, id string) (job.Delivery, error)) {
	ctx, cancel := context.WithTimeout(t.reading, lookupTime)
	defer cancel()
	d, err := read(ctx, one.delivery)
	if err != nil {
		t.log.Debug("span left out, its delivery cannot be read", "delivery", one.delivery, "error", err)
		return
	}
	one.make(&d)
}

// Close sends what is left, for as long as ctx allows. It is called once. What is traced later is
// left out.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	close(t.stop)
	defer context.AfterFunc(ctx, t.endRead)()
	t.done.Wait()
	t.endRead()
	return t.provider.Shutdown(ctx)
}

// Taken is what became of a request that was verified.
type Taken struct {
	Delivery    *job.Delivery
	Outcome     job.Outcome // "" when it was not stored
	DuplicateOf string      // id of the first delivery, of a duplicate
	Route       string      // the hook's path, as it is configured
	Status      int         // of the answer; 0 without one
	Error       string      // the word that the sender was told when it was not taken
	Jobs        int
	Began       time.Time
}

// Delivered makes the span of a delivery.
func (t *Tracer) Delivered(a Taken) {
	if t == nil {
		return
	}
	p := t.placeOf(a.Delivery)
	attributes := []attribute.KeyValue{
		attribute.String("tenterhook.hook", a.Delivery.Hook), attribute.String("tenterhook.delivery", a.Delivery.ID),
		attribute.String("tenterhook.origin", a.Delivery.Origin), attribute.Int("tenterhook.jobs", a.Jobs),
	}
	attributes = appendText(attributes, "tenterhook.outcome", string(a.Outcome))
	attributes = appendText(attributes, "tenterhook.duplicate_of", a.DuplicateOf)
	attributes = appendText(attributes, "error.type", a.Error)
	if a.Status != 0 {
		attributes = append(attributes, attribute.String("http.request.method", a.Delivery.Method), attribute.String("http.route", a.Route),
			attribute.Int("http.response.status_code", a.Status))
	}
	_, span := t.start(p.ctx, p.ids, p.name, trace.WithTimestamp(a.Began), trace.WithSpanKind(p.kind), trace.WithLinks(p.links...), trace.WithAttributes(attributes...))
	if a.Error != "" {
		span.SetStatus(codes.Error, a.Error)
	}
	span.End()
}

// Attempt begins the span of the n-th attempt of a job. The context carries it to the action; over
// ends it. kind is the action's, began is when the attempt did. a.Error may hold nothing that must
// not leave the machine.
func (t *Tracer) Attempt(ctx context.Context, d *job.Delivery, burst []job.Delivery, j *job.Job, kind string, n int, began time.Time) (to context.Context, over func(a job.Attempt, next job.State)) {
	if t == nil {
		return ctx, func(job.Attempt, job.State) {}
	}
	links := t.linksTo(burst, d.ID)
	to, span := t.start(trace.ContextWithSpanContext(ctx, t.contextOf(d, j)), attemptIDs(j, n), "attempt "+j.Hook+"/"+j.Rule,
		trace.WithTimestamp(began), trace.WithSpanKind(kindOf(kind)), trace.WithLinks(links...), trace.WithAttributes(append(about(j), attribute.Int("tenterhook.attempt", n), attribute.String("tenterhook.action", kind))...))
	if !t.hands {
		to = ctx
	}
	return to, func(a job.Attempt, next job.State) {
		span.SetAttributes(attribute.String("tenterhook.state", string(next)))
		finish(span, a.ExitCode, a.Signal, a.Status, a.Error)
	}
}

// FollowUp begins the span of one try of what follows a job, like Attempt.
func (t *Tracer) FollowUp(ctx context.Context, d *job.Delivery, j *job.Job, u job.FollowUp) (to context.Context, over func(job.FollowUp)) {
	if t == nil {
		return ctx, func(job.FollowUp) {}
	}
	to, span := t.start(trace.ContextWithSpanContext(ctx, t.contextOf(d, j)), followUpIDs(j, u), u.Event+" "+j.Hook+"/"+j.Rule,
		trace.WithSpanKind(kindOf(u.Kind)), trace.WithAttributes(append(about(j), attribute.String("tenterhook.follow_up", u.Event),
			attribute.Int("tenterhook.step", u.Step), attribute.Int("tenterhook.try", u.Try), attribute.String("tenterhook.action", u.Kind))...))
	if !t.hands {
		to = ctx
	}
	return to, func(u job.FollowUp) { finish(span, u.ExitCode, u.Signal, u.Status, u.Error) }
}

// CutOff makes the span of an attempt that ended with its process. When that was is not known: it
// lasts until now.
func (t *Tracer) CutOff(j *job.Job, next job.State, reason string) {
	if t == nil {
		return
	}
	one := *j
	t.later(j.Delivery, func(d *job.Delivery) {
		ctx := trace.ContextWithSpanContext(context.Background(), t.contextOf(d, &one))
		_, span := t.start(ctx, attemptIDs(&one, one.Attempt), "attempt "+one.Hook+"/"+one.Rule, trace.WithTimestamp(one.StartedAt),
			trace.WithAttributes(append(about(&one), attribute.Int("tenterhook.attempt", one.Attempt), attribute.String("tenterhook.state", string(next)))...))
		finish(span, nil, "", 0, reason)
	})
}

// Ended makes the span of a job that is over, with the state it ended in. d may be nil: the
// delivery is then read. It does not block.
func (t *Tracer) Ended(d *job.Delivery, j *job.Job, end job.State) {
	if t == nil {
		return
	}
	if at := time.Now(); d != nil {
		t.jobSpan(d, j, end, at)
	} else {
		one := *j
		t.later(j.Delivery, func(d *job.Delivery) { t.jobSpan(d, &one, end, at) })
	}
}

func (t *Tracer) jobSpan(d *job.Delivery, j *job.Job, end job.State, at time.Time) {
	p := t.placeOfJob(d, j)
	_, span := t.start(p.ctx, p.ids, p.name, trace.WithTimestamp(j.CreatedAt), trace.WithSpanKind(p.kind), trace.WithLinks(p.links...),
		trace.WithAttributes(append(about(j), attribute.String("tenterhook.state", string(end)), attribute.Int("tenterhook.attempts", j.Attempt))...))
	if end.EndedBadly() || end == job.Expired {
		span.SetStatus(codes.Error, string(end))
	}
	span.End(trace.WithTimestamp(at))
}

// later makes a span once the delivery was read. One that finds no room is left out.
func (t *Tracer) later(delivery string, made func(*job.Delivery)) {
	select {
	case t.lookups <- lookup{delivery, made}:
	default:
		t.log.Debug("span left out, too many wait", "delivery", delivery)
	}
}

// place is where a span belongs.
type place struct {
	ctx   context.Context // with the parent, if it has one
	ids   ids
	name  string
	kind  trace.SpanKind
	links []trace.Link
}

// placeOf is the place of a delivery: under the sender's span, or beside it.
func (t *Tracer) placeOf(d *job.Delivery) place {
	p := place{ctx: context.Background(), ids: deliveryIDs(d), name: "delivery " + d.Hook, kind: trace.SpanKindServer}
	if d.Origin != "request" {
		p.kind = trace.SpanKindInternal // nobody waits for an answer
	}
	sender := t.sender(d.Header)
	switch {
	case !sender.IsValid():
	case t.joins:
		p.ctx = trace.ContextWithRemoteSpanContext(p.ctx, sender)
	default:
		p.links = []trace.Link{{SpanContext: sender}}
	}
	return p
}

// placeOfJob is the place of a job: under its delivery; of a replay, which may come months later,
// in a trace of its own with a link to it.
func (t *Tracer) placeOfJob(d *job.Delivery, j *job.Job) place {
	from := t.contextAt(t.placeOf(d))
	p := place{ctx: context.Background(), ids: jobIDs(j), name: "job " + j.Hook + "/" + j.Rule, kind: trace.SpanKindInternal}
	if j.ReplayOf != "" {
		p.links = []trace.Link{{SpanContext: from}}
	} else {
		p.ctx = trace.ContextWithSpanContext(p.ctx, from)
	}
	return p
}

// contextOf is the context of a job's span, which is made when the job is over.
func (t *Tracer) contextOf(d *job.Delivery, j *job.Job) trace.SpanContext {
	return t.contextAt(t.placeOfJob(d, j))
}

// contextAt is the context that the span of a place has, or had in another process: the sampler
// decides by nothing but the trace's id and the parent.
func (t *Tracer) contextAt(p place) trace.SpanContext {
	parent := trace.SpanContextFromContext(p.ctx)
	made := trace.SpanContextConfig{TraceID: p.ids.trace, SpanID: p.ids.span}
	if parent.IsValid() {
		made.TraceID = parent.TraceID()
	}
	decided := t.sampler.ShouldSample(sdk.SamplingParameters{ParentContext: p.ctx, TraceID: made.TraceID, Name: p.name, Kind: p.kind, Links: p.links})
	if decided.Decision == sdk.RecordAndSample {
		made.TraceFlags = trace.FlagsSampled
	}
	made.TraceState = decided.Tracestate
	return trace.NewSpanContext(made)
}

// sender reads the context that a sender sent, if it is one. What it says is used for nothing but
// ids and, with a sampler that is parent-based, for whether the trace is kept.
func (t *Tracer) sender(header http.Header) trace.SpanContext {
	if !t.hands || len(header["Traceparent"]) != 1 {
		return trace.SpanContext{}
	}
	carrier := propagation.MapCarrier{"traceparent": header["Traceparent"][0], "tracestate": strings.Join(header["Tracestate"], ",")}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
}

func (t *Tracer) linksTo(burst []job.Delivery, own string) (links []trace.Link) {
	for i := range burst[:min(len(burst), mostLinks)] {
		if burst[i].ID != own {
			links = append(links, trace.Link{SpanContext: t.contextAt(t.placeOf(&burst[i]))})
		}
	}
	return links
}

// start starts a span under ctx's with the given ids.
func (t *Tracer) start(ctx context.Context, is ids, name string, o ...trace.SpanStartOption) (context.Context, trace.Span) {
	return t.tracer.Start(context.WithValue(ctx, idsKey{}, is), name, o...)
}

// finish says how an action ended, and ends its span.
func finish(span trace.Span, exit *int, signal string, status int, failed string) {
	if exit != nil {
		span.SetAttributes(attribute.Int("process.exit.code", *exit))
	}
	if signal != "" {
		span.SetAttributes(attribute.String("tenterhook.signal", signal))
	}
	if status != 0 {
		span.SetAttributes(attribute.Int("http.response.status_code", status))
	}
	if failed != "" {
		span.SetStatus(codes.Error, failed)
	}
	span.End()
}

func about(j *job.Job) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("tenterhook.hook", j.Hook), attribute.String("tenterhook.rule", j.Rule),
		attribute.String("tenterhook.delivery", j.Delivery), attribute.String("tenterhook.job", j.ID),
	}
}

func appendText(to []attribute.KeyValue, key, value string) []attribute.KeyValue {
	if value == "" {
		return to
	}
	return append(to, attribute.String(key, value))
}

// kindOf is what a span is for the others in its trace: a request asks a server.
func kindOf(action string) trace.SpanKind {
	if action == "http" {
		return trace.SpanKindClient
	}
	return trace.SpanKindInternal
}
