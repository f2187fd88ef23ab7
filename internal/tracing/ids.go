package tracing

import (
	"context"
	"crypto/sha256"
	"fmt"

	"go.opentelemetry.io/otel/trace"

	"github.com/tenterhook/tenterhook/internal/job"
)

// ids are those of a span; trace counts only for one without a parent.
type ids struct {
	trace trace.TraceID
	span  trace.SpanID
}

func deliveryIDs(d *job.Delivery) ids {
	return ids{trace.TraceID(digest("trace", d.ID)), spanID("delivery", d.ID)}
}

// jobIDs are those of one run of attempts: a job that is run again later has another span.
func jobIDs(j *job.Job) ids {
	return ids{trace.TraceID(digest("trace", j.ID)), spanID("job", j.ID, j.Since)}
}

func attemptIDs(j *job.Job, n int) ids {
	return ids{span: spanID("attempt", j.ID, n)}
}

func followUpIDs(j *job.Job, u job.FollowUp) ids {
	return ids{span: spanID(u.Event, j.ID, u.Attempt, u.Step, u.Try)}
}

func spanID(parts ...any) trace.SpanID {
	sum := digest(parts...)
	return trace.SpanID(sum[:8])
}

// digest spreads ids evenly: samplers keep a part of all traces by the last bits of their ids,
// which in a UUID are not all random.
func digest(parts ...any) (d [16]byte) {
	sum := sha256.Sum256(fmt.Append(nil, parts...))
	copy(d[:], sum[:])
	return d
}

type idsKey struct{}

// given is the SDK's generator of ids: it takes those that start was given.
type given struct{}

// NewIDs implements sdk.IDGenerator.
func (given) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	is, _ := ctx.Value(idsKey{}).(ids)
	return is.trace, is.span
}

// NewSpanID implements sdk.IDGenerator.
func (g given) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	_, span := g.NewIDs(ctx)
	return span
}
