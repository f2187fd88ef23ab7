package ingress

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/store"
)

// ErrFull says that there is no room for further jobs now.
var ErrFull = errors.New("the queue is full")

// Collect takes in a POST to the path that its sender's API told of: nobody signed these bytes, the API
// that they are from was asked over TLS with its token. It is called, decided on and stored as one
// that arrived, but for this: one that is there already starts nothing again, whatever
// on_duplicate says.
func (h *Handler) Collect(ctx context.Context, hk *hook.Hook, origin, path string, header http.Header, body []byte) (store.Receipt, error) {
	_, params := h.Hooks().Lookup(path)
	header, withheld := hk.Conceal(header)
	req := &request.Request{
		Method: http.MethodPost, Path: path, Header: header, IP: netip.IPv4Unspecified(), Params: params, Body: body,
		ReceivedAt: time.Now().UTC().Truncate(time.Millisecond), Format: hk.Format,
	}
	d := &job.Delivery{
		ID: job.NewID(), ReceivedAt: req.ReceivedAt, Origin: origin, Method: req.Method, Path: req.Path,
		Query: req.RawQuery, IP: req.IP.String(), Header: req.Header, Withheld: withheld, Params: req.Params,
		Body: req.Body, Size: len(req.Body), Secret: -1, Config: hk.Config,
	}
	jobs, no := h.plan(hk, req, d)
	if no != nil {
		return store.Receipt{}, errors.New(no.reason)
	}
	d.OnDuplicate = job.Skip
	if len(jobs) > 0 && h.Full() {
		return store.Receipt{}, ErrFull
	}
	began := time.Now()
	receipt, err := h.Store.Accept(ctx, d, jobs)
	if err != nil || receipt.Duplicate {
		return receipt, err
	}
	h.Observe.Collected(hk.Name, d.Outcome)
	h.Log.Info("delivery caught up", "hook", hk.Name, "delivery", receipt.Delivery, "event", d.Event, "jobs", len(receipt.Jobs))
	h.trace(hk, d, receipt, d.Outcome, 0, began)
	return receipt, nil
}
