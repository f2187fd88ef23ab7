package ingress

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/panics"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/store"
)

// Pulled is a request that a source has handed on.
type Pulled struct {
	Method, Scheme, Host string
	Path, RawPath, Query string // Path is "" where the source does not say: the hook's own
	Header               http.Header
	IP                   netip.Addr // of the sender; invalid where the source does not say
	// Bodies are the bytes that it may have been sent with: the first that verify are it.
	Bodies iter.Seq[[]byte]
	// Sent is when the source received it, which timestamps are compared with.
	Sent time.Time
}

// ErrNotTaken says that a pulled request is refused for good; the text is for the operator.
var ErrNotTaken = errors.New("refused")

// Pulled takes in what a source has handed on. It is verified, called, decided on and stored as a
// request that arrived. A source may hand on the same twice, so that one that is there already starts
// nothing again, whatever on_duplicate says. An error that is ErrNotTaken will not go away.
func (h *Handler) Pulled(ctx context.Context, hk *hook.Hook, p Pulled) (receipt store.Receipt, err error) {
	defer func() {
		if v := recover(); v != nil { // one delivery must not end the daemon again and again
			h.pulledPanicked(hk, panics.Of(v))
			receipt, err = store.Receipt{}, errors.Join(ErrNotTaken, errors.New(internalError))
		}
	}()
	return h.pulled(ctx, hk, p)
}

func (h *Handler) pulledPanicked(hk *hook.Hook, p panics.Panic) {
	h.Observe.Refused(hk.Name, internalError)
	if h.Panicked != nil {
		h.Panicked()
	}
	if allowed, suppressed := h.faults.allow(time.Now()); allowed {
		h.Log.Error("pulled delivery failed, by a fault of this program", "hook", hk.Name, "panic", p.Text, "stack", p.Stack, "suppressed", suppressed)
	}
}

func (h *Handler) pulled(ctx context.Context, hk *hook.Hook, p Pulled) (store.Receipt, error) {
	req := &request.Request{
		Method: p.Method, Scheme: p.Scheme, Host: p.Host, Path: p.Path, RawPath: p.RawPath, RawQuery: p.Query, Header: p.Header,
		IP: netip.IPv4Unspecified(), ReceivedAt: time.Now().UTC().Truncate(time.Millisecond), Format: hk.Format,
	}
	if p.IP.IsValid() {
		req.IP = p.IP.Unmap()
	}
	if req.Path == "" {
		req.Path = hk.Path
	}
	secret, no := h.admitPulled(hk, req, p)
	if no != nil {
		return h.refusePulled(hk, req, *no)
	}
	if secret >= 0 {
		h.Observe.SecretMatched(hk.Name, secret)
	}
	hk.TakeOut(req)
	header, withheld := hk.Conceal(req.Header)
	req.Header = header
	if hk.Handshake(req) != nil {
		return h.refusePulled(hk, req, refusal{status: http.StatusOK, word: "handshake", reason: "a check of the address cannot be answered over a source: the address has to be confirmed once where the sender reaches it"})
	}
	if confirmed, err := hk.Confirm(ctx, req); confirmed || err != nil {
		return store.Receipt{}, err
	}
	receipt, no, err := h.keep(ctx, hk, req, handed{origin: job.OriginPull, secret: secret, withheld: withheld, told: "delivery pulled"})
	if no != nil {
		return h.refusePulled(hk, req, *no)
	}
	return receipt, err
}

// admitPulled finds what the request is, and whether it is genuine.
func (h *Handler) admitPulled(hk *hook.Hook, req *request.Request, p Pulled) (secret int, no *refusal) {
	at, params := h.Hooks().Route(req.Path, req.RawPath)
	switch {
	case (at == nil || at.Name != hk.Name) && strings.Contains(hk.Path, "{"):
		return -1, &refusal{status: http.StatusNotFound, word: "not_found", reason: "its path is not the hook's: " + hk.Path}
	case p.IP.IsValid() && !hk.AllowsIP(p.IP):
		return -1, &refusal{status: http.StatusUnauthorized, word: "verification_failed", reason: "address is not in allow_ips"}
	case !hk.AllowsMethod(req.Method):
		return -1, &refusal{status: http.StatusMethodNotAllowed, word: "method_not_allowed"}
	case !knownEncoding(req.Header.Get("Content-Encoding")):
		return -1, &refusal{status: http.StatusUnsupportedMediaType, word: "unsupported_content_encoding"}
	}
	if at != nil && at.Name == hk.Name {
		req.Params = params // else the path is another where it arrived, which may be signed
	}
	for body := range p.Bodies {
		if int64(len(body)) > hk.MaxBody {
			no = &refusal{status: http.StatusRequestEntityTooLarge, word: "body_too_large"}
			continue
		}
		req.Replace(req.RawQuery, body)
		var failed *refusal
		if secret, failed = h.verify(hk, req, p.Sent); failed == nil {
			return secret, nil
		}
		if no == nil { // of the likeliest form
			no = failed
		}
	}
	if no == nil {
		no = &refusal{status: http.StatusBadRequest, word: "body_unreadable"}
	}
	return -1, no
}

// refusePulled records what is not taken.
func (h *Handler) refusePulled(hk *hook.Hook, req *request.Request, no refusal) (store.Receipt, error) {
	h.Observe.Refused(hk.Name, no.word)
	h.Rejects.Add(job.Reject{
		At: time.Now(), IP: req.IP.String(), Hook: hk.Name, Status: no.status, Error: no.word, Reason: no.reason, Size: int64(len(req.Body)),
	})
	if allowed, suppressed := h.refusals.allow(time.Now()); allowed {
		h.Log.Warn("pulled delivery refused", "hook", hk.Name, "error", no.word, "reason", no.reason, "suppressed", suppressed)
	}
	if no.reason != "" {
		return store.Receipt{}, errors.Join(ErrNotTaken, errors.New(no.word+": "+no.reason))
	}
	return store.Receipt{}, errors.Join(ErrNotTaken, errors.New(no.word))
}
