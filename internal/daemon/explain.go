package daemon

import (
	"context"
	"fmt"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/hook"
)

// explain says what the hooks in force would do with a request or a stored delivery.
func (d *Daemon) explain(ctx context.Context, q admin.ExplainRequest) (hook.Explanation, error) {
	if q.Delivery != "" {
		return d.explainStored(ctx, q)
	}
	r, err := q.Request.Request()
	if err != nil {
		return hook.Explanation{}, fmt.Errorf("%w: request: %w", admin.ErrRefused, err)
	}
	at := time.Now()
	if !q.At.IsZero() {
		at = q.At.Time
	}
	r.ReceivedAt = at
	h, params := d.hooks().Route(r.Path, r.RawPath)
	if q.Hook != "" {
		if h == nil || h.Name != q.Hook {
			h, params = d.hooks().Hook(q.Hook), nil
		}
	}
	if h, err = try(h, q, fmt.Sprintf("no hook has the path %q", r.Path)); err != nil {
		return hook.Explanation{}, err
	}
	r.Params, r.Format = params, h.Format
	return h.Explain(r, at), nil
}

func (d *Daemon) explainStored(ctx context.Context, q admin.ExplainRequest) (hook.Explanation, error) {
	delivery, err := d.store.Delivery(ctx, q.Delivery)
	if err != nil {
		return hook.Explanation{}, err
	}
	name := delivery.Hook
	if q.Hook != "" {
		name = q.Hook
	}
	h, err := try(d.hooks().Hook(name), q, fmt.Sprintf("hook %q is not configured", name))
	if err != nil {
		return hook.Explanation{}, err
	}
	return h.ExplainStored(&delivery), nil
}

// try is h with the condition that is to be tried. missing says in words what h is not there for.
func try(h *hook.Hook, q admin.ExplainRequest, missing string) (*hook.Hook, error) {
	switch {
	case h == nil && q.Hook != "":
		return nil, fmt.Errorf("%w: hook %q is not configured", admin.ErrRefused, q.Hook)
	case h == nil:
		return nil, fmt.Errorf("%w: %s", admin.ErrRefused, missing)
	case q.Match == nil:
		return h, nil
	}
	tried, err := h.Try(q.Rule, *q.Match)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", admin.ErrRefused, err)
	}
	return tried, nil
}
