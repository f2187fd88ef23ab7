// Package ingress takes deliveries from the network: HTTP in, acknowledgement out. It answers
// 2xx only after the delivery and its jobs are on disk, and before a request is verified it
// reads nothing but its route, its headers and a bounded body.
package ingress

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/tenterhook/tenterhook/internal/crashpoint"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/panics"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/tracing"
)

// Accepter is the one store method ingress needs. It returns nil only once everything is on disk.
type Accepter interface {
	Accept(ctx context.Context, d *job.Delivery, jobs []job.Job) (store.Receipt, error)
}

// Finished is what a job ended with, for hooks that answer with its output.
type Finished struct {
	Job    string
	State  job.State
	Output []byte
}

// Awaiter tells when jobs have ended, for respond: {wait: …}. It is asked before the jobs are
// stored, so that a job that ends at once is not missed.
type Awaiter interface {
	// Expect watches for the end of jobs. Wait returns their ends in the order of ids, and
	// false when ctx ended first. Release must be called.
	Expect(ids []string) (wait func(context.Context) ([]Finished, bool), release func())
}

// Observer counts what happened. Names come from the configuration, never from the sender.
type Observer interface {
	Delivered(hook string, outcome job.Outcome, took time.Duration)
	Collected(hook string, outcome job.Outcome) // taken in without a sender that waits
	Refused(hook, reason string)
	RuleFailed(hook, rule string) // could not be evaluated
	SecretMatched(hook string, position int)
}

// Options are what a Handler is made of.
type Options struct {
	Hooks   func() *hook.Set // the set in force; called once a request
	Store   Accepter
	Await   Awaiter
	Full    func() bool               // no room for further jobs
	Spread  func([]job.Job) []job.Job // makes of jobs that each of several nodes runs one for each; nil: there are none
	Proxies []netip.Prefix
	Log     *slog.Logger
	Observe Observer
	// HoldFull reports whether no more of a hook's deliveries can be held. It may be nil.
	HoldFull func(h *hook.Hook) bool
	Rejects  *Rejects // where refused requests are listed; nil: in a list of the Handler's own
	// Panicked is told of each panic that a request ended with. It may be nil.
	Panicked func()
	Trace    *tracing.Tracer // nil: no spans
	// MemoryForBodies bounds the bytes of bodies held at once; 0 is 256 MiB.
	MemoryForBodies int64
}

// Handler answers deliveries.
type Handler struct {
	Options
	stopping atomic.Bool
	held     atomic.Int64 // bytes of bodies promised to requests in flight
	rates    *rates
	refusals *sampler
	faults   *sampler
}

const defaultBodyMemory = 256 << 20

// New makes a Handler. It starts no goroutines.
func New(o Options) *Handler {
	if o.MemoryForBodies == 0 {
		o.MemoryForBodies = defaultBodyMemory
	}
	if o.Rejects == nil {
		o.Rejects = NewRejects(nil)
	}
	return &Handler{Options: o, rates: newRates(), refusals: newSampler(10, time.Second), faults: newSampler(1, time.Second)}
}

// Stop makes every further delivery a 503 with Retry-After: the daemon is leaving.
func (h *Handler) Stop() { h.stopping.Store(true) }

// ServeHTTP takes one delivery. A panic is a 500 with the word internal_error, which a sender tries
// again; what was stored before it is there.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	panics.Serve(w, r, h.serve, func(p panics.Panic) { h.panicked(r, p) }, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close") // its body may not have been read
		writeJSON(w, http.StatusInternalServerError, refusalBody{Error: internalError})
	})
}

// internalError is what a sender is told of a fault of ours.
const internalError = "internal_error"

func (h *Handler) panicked(r *http.Request, p panics.Panic) {
	h.Observe.Refused("", internalError)
	if h.Panicked != nil {
		h.Panicked()
	}
	ip := clientIP(r, h.Proxies).String()
	h.Rejects.Add(job.Reject{
		At: time.Now(), IP: ip, Status: http.StatusInternalServerError, Error: internalError,
		Reason: "a fault of this program; the daemon's log has it", Size: r.ContentLength,
	})
	if allowed, suppressed := h.faults.allow(time.Now()); allowed {
		path := r.URL.Path[:min(len(r.URL.Path), mostPath)]
		h.Log.Error("delivery failed, by a fault of this program", "path", path, "ip", ip, "panic", p.Text, "stack", p.Stack, "suppressed", suppressed)
	}
}

// mostPath bounds a path in the log, in bytes.
const mostPath = 200

// serve goes in the fixed order: route, method, size, read, verify, handshake, key, rules, one
// transaction, answer.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	if r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {
		// net/http takes chunks beside a Content-Length and no longer says that there was one. A
		// proxy that believed the length saw the request end elsewhere: what it takes for another
		// sender's must not be read from this connection (RFC 9112, section 6.1).
		w.Header().Set("Connection", "close")
	}
	if h.stopping.Load() {
		h.refuse(w, r, nil, refusal{status: http.StatusServiceUnavailable, word: "stopping", retryAfter: 5})
		return
	}
	hk, params := h.Hooks().Route(r.URL.Path, r.URL.RawPath)
	if hk == nil {
		h.refuse(w, r, nil, refusal{status: http.StatusNotFound, word: "not_found"})
		return
	}
	crashpoint.Reach(crashpoint.AfterHeaders)
	ip := clientIP(r, h.Proxies)
	req := &request.Request{
		Scheme: h.scheme(r), RawPath: r.URL.EscapedPath(),
		Method: r.Method, Path: r.URL.Path, RawQuery: r.URL.RawQuery, Host: r.Host, Header: r.Header,
		IP: ip, Params: params, ReceivedAt: started.UTC().Truncate(time.Millisecond), Format: hk.Format,
	}
	if r.TLS != nil {
		req.Certificates = r.TLS.PeerCertificates
	}
	if no := h.admit(hk, req); no != nil {
		h.refuse(w, r, hk, *no)
		return
	}
	release, no := h.read(w, r, hk, req)
	defer release()
	if no != nil {
		h.refuse(w, r, hk, *no)
		return
	}
	crashpoint.Reach(crashpoint.AfterBody)
	if no := h.take(w, r, hk, req, started); no != nil {
		h.refuse(w, r, hk, *no)
	}
}

// admit decides by what is known before the body: method, address, rate.
func (h *Handler) admit(hk *hook.Hook, req *request.Request) *refusal {
	switch {
	case !hk.AllowsMethod(req.Method):
		return &refusal{status: http.StatusMethodNotAllowed, word: "method_not_allowed", allow: hk.Methods}
	case !hk.AllowsIP(req.IP):
		return &refusal{status: http.StatusUnauthorized, word: "verification_failed", reason: "address is not in allow_ips"}
	case len(req.Header.Values("Content-Encoding")) > 1 || !knownEncoding(req.Header.Get("Content-Encoding")):
		return &refusal{status: http.StatusUnsupportedMediaType, word: "unsupported_content_encoding"}
	}
	if hk.Rate != nil {
		if wait := h.rates.take(hk.Name, req.IP, *hk.Rate); wait > 0 {
			return &refusal{status: http.StatusTooManyRequests, word: "rate_limited", retryAfter: wholeSeconds(wait)}
		}
	}
	return nil
}

// read reads the whole body, never truncated: a body over the hook's bound is refused. Memory is
// reserved as data arrives, so that many large bodies cannot exhaust the machine, and announced
// ones that never come take nothing from the others.
func (h *Handler) read(w http.ResponseWriter, r *http.Request, hk *hook.Hook, req *request.Request) (release func(), no *refusal) {
	tooLarge := &refusal{status: http.StatusRequestEntityTooLarge, word: "body_too_large", limit: hk.MaxBody}
	if r.ContentLength > hk.MaxBody {
		return func() {}, tooLarge
	}
	reserved := int64(0)
	release = func() { h.held.Add(-reserved) }
	reserve := func(n int64) bool {
		reserved += n
		return h.held.Add(n) <= h.MemoryForBodies
	}
	body, err := readBody(http.MaxBytesReader(panics.Plain(w), r.Body, hk.MaxBody), r.ContentLength, reserve)
	var over *http.MaxBytesError
	switch {
	case errors.Is(err, errBusy):
		return release, &refusal{status: http.StatusServiceUnavailable, word: "busy", retryAfter: 1}
	case errors.As(err, &over):
		return release, tooLarge
	case err != nil:
		return release, &refusal{status: http.StatusBadRequest, word: "body_unreadable", reason: "body ended early"}
	}
	req.Body = body
	return release, nil
}

// errBusy says that there is no memory for a body now.
var errBusy = errors.New("too many large bodies at once")

// readBody reads to the end. A declared length is allocated only as far as data arrives beyond
// the first 16 KiB, so that a header alone reserves hardly any memory: up to
// four times of what is there.
func readBody(body io.Reader, declared int64, reserve func(int64) bool) ([]byte, error) {
	const first = 16 << 10
	buf := make([]byte, 0, min(max(declared, 0), first)+1)
	if !reserve(int64(cap(buf))) {
		return nil, errBusy
	}
	for {
		if was := cap(buf); len(buf) == was {
			size := max(2*was, 4<<10)
			if int64(was) <= declared {
				size = int(min(4*int64(was), declared+1))
			}
			if !reserve(int64(size - was)) {
				return nil, errBusy
			}
			buf = append(make([]byte, 0, size), buf...)
		}
		n, err := body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		crashpoint.Reach(crashpoint.MidBody)
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// take verifies, names, plans, stores and answers one whole request.
func (h *Handler) take(w http.ResponseWriter, r *http.Request, hk *hook.Hook, req *request.Request, started time.Time) *refusal {
	if answer := hk.Greet(req); answer != nil {
		writeAnswer(w, answer.Status, answer.Header, answer.Body)
		h.Log.Info("check of the address answered", "hook", hk.Name, "status", answer.Status)
		return nil
	}
	came := asArrived(req)
	secret, no := h.verify(hk, req, started)
	if no != nil {
		return no
	}
	crashpoint.Reach(crashpoint.AfterVerify)
	if secret >= 0 {
		h.Observe.SecretMatched(hk.Name, secret)
	}
	hk.TakeOut(req)
	header, withheld := hk.Conceal(req.Header)
	req.Header = header
	if answer := hk.Handshake(req); answer != nil {
		writeAnswer(w, answer.Status, answer.Header, answer.Body)
		h.Log.Info("handshake answered", "hook", hk.Name, "status", answer.Status)
		return nil
	}
	if confirmed, err := hk.Confirm(r.Context(), req); confirmed || err != nil {
		if err != nil {
			return &refusal{status: http.StatusServiceUnavailable, word: "cannot_confirm", reason: err.Error(), retryAfter: 10}
		}
		writeAnswer(w, http.StatusOK, nil, nil)
		h.Log.Info("check of the address confirmed", "hook", hk.Name)
		return nil
	}
	d := &job.Delivery{
		ID: job.NewID(), ReceivedAt: req.ReceivedAt, Origin: job.OriginRequest, Method: req.Method, Path: req.Path,
		Query: req.RawQuery, IP: req.IP.String(), Header: req.Header, Withheld: withheld, Params: req.Params,
		Body: req.Body, Size: len(req.Body), Secret: secret, Config: hk.Config,
	}
	jobs, no := h.plan(hk, req, d)
	if no == nil && hk.Hold != nil {
		no = h.hold(hk, req, d, came)
	}
	if no != nil {
		return no
	}
	no = h.commit(w, r, hk, req, d, jobs, started)
	if no != nil {
		h.Trace.Delivered(tracing.Taken{Delivery: d, Route: hk.Path, Status: no.status, Error: no.word, Began: started})
	}
	return no
}

func (h *Handler) plan(hk *hook.Hook, req *request.Request, d *job.Delivery) ([]job.Job, *refusal) {
	id, err := hk.Identify(req)
	if err != nil {
		return nil, undecodable(err)
	}
	jobs, err := hk.Plan(req, id, d)
	if err != nil {
		return nil, undecodable(err)
	}
	for _, v := range d.Verdicts {
		if v.Verdict == job.Error {
			h.Observe.RuleFailed(hk.Name, v.Rule)
			h.Log.Warn("rule not evaluated; the delivery's record says why", "hook", hk.Name, "rule", v.Rule, "delivery", d.ID)
		}
	}
	if h.Spread != nil {
		jobs = h.Spread(jobs)
	}
	return jobs, nil
}

func undecodable(err error) *refusal {
	return &refusal{status: http.StatusBadRequest, word: "body_undecodable", reason: err.Error()}
}

// commit stores the delivery and answers. It is the line a crash cannot cross: nothing before
// Accept returns is promised, everything after is.
func (h *Handler) commit(w http.ResponseWriter, r *http.Request, hk *hook.Hook, req *request.Request, d *job.Delivery, jobs []job.Job, started time.Time) *refusal {
	if len(jobs) > 0 && h.Full() {
		return &refusal{status: http.StatusServiceUnavailable, word: "queue_full", retryAfter: 30}
	}
	wait, done := h.expect(hk, jobs)
	defer done()
	// A sender that hangs up does not undo what it sent: its retry is the duplicate.
	receipt, err := h.Store.Accept(context.WithoutCancel(r.Context()), d, jobs)
	if err != nil {
		return &refusal{status: http.StatusServiceUnavailable, word: "cannot_store", reason: err.Error(), retryAfter: 10}
	}
	crashpoint.Reach(crashpoint.BeforeResponse)
	outcome := d.Outcome
	if receipt.Duplicate {
		outcome = job.Duplicate
	}
	status := h.answer(w, r, hk, req, d, receipt, wait)
	crashpoint.Reach(crashpoint.AfterResponse)
	h.Observe.Delivered(hk.Name, outcome, time.Since(started))
	h.Log.LogAttrs(context.Background(), slog.LevelInfo, "delivery "+string(outcome), slog.String("hook", hk.Name), slog.String("delivery", receipt.Delivery),
		slog.String("event", d.Event), slog.Int("jobs", len(receipt.Jobs)), slog.String("ip", d.IP))
	h.trace(hk, d, receipt, outcome, status, started)
	return nil
}

// trace makes the span of a delivery. A sender's next request may be under way already.
func (h *Handler) trace(hk *hook.Hook, d *job.Delivery, receipt store.Receipt, outcome job.Outcome, status int, started time.Time) {
	made := tracing.Taken{Delivery: d, Outcome: outcome, Route: hk.Path, Status: status, Jobs: len(receipt.Jobs), Began: started}
	if receipt.Duplicate {
		made.DuplicateOf = receipt.Delivery
	}
	h.Trace.Delivered(made)
}
