package ingress

import (
	"net/http"
	"time"

	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
)

// arrived is what of a request is changed while it is verified: a taker is to verify it as it came.
type arrived struct {
	body     []byte
	header   http.Header
	encoding string
}

func asArrived(req *request.Request) arrived {
	return arrived{body: req.Body, header: req.Header, encoding: req.Header.Get("Content-Encoding")}
}

// hold makes of a delivery one that is held: with the bytes as they came, and what its sender proved
// itself with, sealed.
func (h *Handler) hold(hk *hook.Hook, req *request.Request, d *job.Delivery, came arrived) *refusal {
	if h.HoldFull != nil && h.HoldFull(hk) {
		return &refusal{status: http.StatusServiceUnavailable, word: "hold_full", retryAfter: 60}
	}
	sealed, err := hk.Seal(came.header)
	if err != nil {
		return &refusal{status: http.StatusServiceUnavailable, word: "cannot_store", reason: "seal: " + err.Error(), retryAfter: 60}
	}
	d.Held = &job.Held{At: time.Now().UTC(), Scheme: req.Scheme, Host: req.Host, RawPath: req.RawPath, Sealed: sealed}
	d.Outcome = job.Accepted
	d.OnDuplicate = job.Skip
	d.Body, d.Size = came.body, len(came.body)
	if came.encoding != "" {
		d.Header = d.Header.Clone()
		d.Header.Set("Content-Encoding", came.encoding)
	}
	return nil
}
