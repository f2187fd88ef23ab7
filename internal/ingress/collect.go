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
	receipt, no, err := h.keep(ctx, hk, req, handed{origin: origin, secret: -1, withheld: withheld, told: "delivery caught up"})
	if no != nil {
		return store.Receipt{}, errors.New(no.reason)
	}
	return receipt, err
}

// handed is what is known of a request that nobody waits for an answer to.
type handed struct {
	origin   string
	secret   int
	withheld []string
	told     string // to the operator, once it is stored
}

// keep decides on such a request and stores it. What hands it on may hand on the same twice, so that
// one that is there already starts nothing again, whatever on_duplicate says.
func (h *Handler) keep(ctx context.Context, hk *hook.Hook, req *request.Request, from handed) (store.Receipt, *refusal, error) {
	d := &job.Delivery{
		ID: job.NewID(), ReceivedAt: req.ReceivedAt, Origin: from.origin, Method: req.Method, Path: req.Path,
		Query: req.RawQuery, IP: req.IP.String(), Header: req.Header, Withheld: from.withheld, Params: req.Params,
		Body: req.Body, Size: len(req.Body), Secret: from.secret, Config: hk.Config,
	}
	jobs, no := h.plan(hk, req, d)
	if no != nil {
		return store.Receipt{}, no, nil
	}
	d.OnDuplicate = job.Skip
	if len(jobs) > 0 && h.Full() {
		return store.Receipt{}, nil, ErrFull
	}
	began := time.Now()
	receipt, err := h.Store.Accept(ctx, d, jobs)
	if err != nil || receipt.Duplicate {
		return receipt, nil, err
	}
	h.Observe.Collected(hk.Name, d.Outcome)
	h.Log.Info(from.told, "hook", hk.Name, "delivery", receipt.Delivery, "event", d.Event, "jobs", len(receipt.Jobs))
	h.trace(hk, d, receipt, d.Outcome, 0, began)
	return receipt, nil, nil
}
