package daemon

import (
	"context"
	"os"
	"time"

	"github.com/tenterhook/tenterhook/internal/tracing"
)

// flushTime is how long a stop waits for the last spans to be sent.
const flushTime = 5 * time.Second

// openTracer makes spans if the environment asks for them. What it asks and cannot have costs the
// spans and no delivery: that is logged.
func (d *Daemon) openTracer(ctx context.Context) *tracing.Tracer {
	t, err := tracing.New(ctx, tracing.Options{Env: os.Getenv, Log: d.log, Version: d.options.Version, Node: d.booted.Node.Name})
	if err != nil {
		d.log.Error("no traces are sent", "error", err)
	}
	return t
}

// runTracer lets the tracer read the deliveries of s, until d closes what it opened after it.
func (d *Daemon) runTracer(s opened) {
	d.trace.Run(s.Delivery)
	d.onStop("traces", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), flushTime)
		defer cancel()
		if err := d.trace.Close(ctx); err != nil {
			d.log.Warn("the last spans were not sent in time", "error", err)
		}
		return nil
	})
}
