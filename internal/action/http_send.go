package action

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/config"
)

// preparedRequest is a request with its values.
type preparedRequest struct {
	action *httpAction
	facts  Facts
	url    *url.URL
	header http.Header
	body   []byte

	elsewhere bool // a redirect led to another host
}

// headerIdempotency tells the receiver which requests are attempts of one job
// (draft-ietf-httpapi-idempotency-key-header).
const headerIdempotency = "Idempotency-Key"

// sentIdempotency is the same header as it is sent. Under its usual name net/http would take it for
// leave to send a request a second time, when a kept connection ends without an answer: an attempt
// that nobody counts.
var sentIdempotency = strings.ToLower(headerIdempotency)

// maxDescribedBody bounds the body that is shown of a request.
const maxDescribedBody = 4096

// Describe implements Prepared.
func (p *preparedRequest) Describe() map[string]any {
	mask := p.action.mask
	shown := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(p.header)) {
		shown[name] = mask.text(p.header.Get(name))
		if config.CarriesCredential(name) { // whatever the variable is called whose value it is
			shown[name] = redacted
		}
	}
	body := string(p.body[:min(len(p.body), maxDescribedBody)])
	request := map[string]any{
		"method": p.action.method, "url": mask.text(p.url.String()), "headers": shown, "body": mask.text(strings.ToValidUTF8(body, "\ufffd")),
	}
	if p.action.signer != nil {
		request["sign"] = schemes[0]
	}
	return map[string]any{"http": request, "timeout": p.action.timeout.String(), "body_bytes": len(p.body)}
}

// Run implements Prepared.
func (p *preparedRequest) Run(ctx context.Context, out io.Writer) Result {
	targets, target := p.action.targets, targetOf(p.url)
	if err := targets.enter(target); err != nil {
		return p.notSent(err)
	}
	bounded, cancel := context.WithTimeout(ctx, p.action.timeout)
	defer cancel()
	masked := p.action.mask.writer(out)
	result, cut := p.send(bounded, masked)
	_ = masked.Flush() // Output takes everything
	switch {
	case cut && ctx.Err() != nil:
		result.Err = context.Cause(ctx)
		targets.leave(target, unknown)
		return result
	case cut && bounded.Err() != nil:
		result.TimedOut = true
		result.Err = fmt.Errorf("timed out after %s", p.action.timeout)
	}
	targets.leave(target, p.health(result))
	return result
}

// notSent is the end of an attempt whose target is failing.
func (p *preparedRequest) notSent(err error) Result {
	r := Result{Err: errors.New(p.action.mask.text(err.Error()))}
	var failing *targetError
	if errors.As(err, &failing) {
		r.RetryAfter = waitFor(failing, p.facts.Attempt, p.action.targets.now())
	}
	return r
}

// health tells a target that fails from a request that is wrong: a server that refuses one, or
// sends it elsewhere, is well, and of one that was not sent nothing follows.
func (p *preparedRequest) health(r Result) health {
	switch {
	case r.Err == nil || p.elsewhere:
		return works
	case r.TimedOut:
		return fails
	case r.Status == 0 && r.Final:
		return unknown
	case r.Status == 0 || r.Status >= 500:
		return fails
	}
	return works
}

// send sends the request and judges the answer. It reports whether it was cut off before that:
// an answer that came counts, whatever happens then.
func (p *preparedRequest) send(ctx context.Context, out io.Writer) (r Result, cut bool) {
	req, err := http.NewRequestWithContext(ctx, p.action.method, p.url.String(), bytes.NewReader(p.body))
	if err != nil {
		return Result{Err: p.plain(err), Final: true}, false
	}
	req.Header = p.header.Clone()
	req.Header[sentIdempotency] = []string{cmp.Or(p.header.Get(headerIdempotency), p.facts.Job)}
	req.Header.Del(headerIdempotency)
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "tenterhook")
	}
	setTrace(req.Header, traceContext(ctx))
	if s := p.action.signer; s != nil {
		if err := s.set(req.Header, p.facts.Job, p.body, time.Now()); err != nil {
			return Result{Err: p.plain(err), Final: true}, false
		}
	}
	response, err := p.client().Do(req)
	if err != nil {
		return Result{Err: p.plain(err), Final: errors.Is(err, errRefused)}, true
	}
	defer func() { _ = response.Body.Close() }()
	fmt.Fprintf(out, "%s %s\n", response.Proto, response.Status[:min(len(response.Status), keptStatus)])
	n, err := io.Copy(out, io.LimitReader(response.Body, readResponse))
	if err != nil {
		return Result{Status: response.StatusCode, Err: fmt.Errorf("read the answer: %w", p.plain(err))}, true
	}
	if n == readResponse {
		fmt.Fprintf(out, "\n[… the answer was read up to here …]\n")
	}
	return p.judge(response), false
}

// client follows as many redirects as the rule allows, and takes no credential to another host:
// neither headers nor the address that led there. A redirect that would drop the body is not
// followed: the delivery would be lost, and the answer would look like success.
func (p *preparedRequest) client() *http.Client {
	return &http.Client{
		Transport: transports()[p.action.private],
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > p.action.redirects || req.Method != via[0].Method {
				return http.ErrUseLastResponse
			}
			if req.URL.Scheme != "https" && (req.URL.Scheme != "http" || via[0].URL.Scheme == "https") {
				return fmt.Errorf("%w to be redirected from %s to %q", errRefused, via[0].URL.Scheme, req.URL.Scheme)
			}
			req.Header.Del("Referer")
			if leftHost(req, via) {
				p.elsewhere = true
				p.withhold(req.Header)
			}
			return nil
		},
	}
}

// leftHost reports whether a chain of redirects has been at another host than its first, also when
// it leads back: what another host chose to ask of the first is not the rule's request.
func leftHost(req *http.Request, via []*http.Request) bool {
	for _, hop := range append(via[1:len(via):len(via)], req) {
		if hop.URL.Host != via[0].URL.Host {
			return true
		}
	}
	return false
}

// withhold removes what another host must not have: every header of the rule, which may be a
// credential, and the signature, with which it could pass the request off as its own.
func (p *preparedRequest) withhold(header http.Header) {
	for name := range p.header {
		if name != "Content-Type" && name != "Accept" {
			header.Del(name)
		}
	}
	if p.header.Get(headerIdempotency) != "" {
		delete(header, sentIdempotency)
	}
	for _, name := range signatureHeaders {
		header.Del(name)
	}
	header.Del("Traceparent")
	header.Del("Tracestate")
}

// judge decides what the answer's status means.
func (p *preparedRequest) judge(response *http.Response) Result {
	r := Result{Status: response.StatusCode}
	for _, ok := range p.action.expect {
		if r.Status >= ok.from && r.Status <= ok.to {
			return r
		}
	}
	// The server's own words for it are in the output.
	r.Err = errors.New(strings.TrimSpace(fmt.Sprintf("answered %d %s", r.Status, http.StatusText(r.Status))))
	switch r.Status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther:
		if p.action.redirects > 0 && len(p.body) > 0 {
			r.Err = fmt.Errorf("%w: a redirect that would drop the body is not followed", r.Err)
		}
		r.Final = true
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
	default:
		r.Final = r.Status < 500
	}
	if !r.Final {
		r.RetryAfter = retryAfter(response.Header.Get("Retry-After"), time.Now())
	}
	return r
}

// longestRetryAfter bounds what the other side can ask for.
const longestRetryAfter = 24 * time.Hour

// retryAfter reads seconds or a date (RFC 9110, section 10.2.3).
func retryAfter(value string, now time.Time) time.Duration {
	seconds, err := strconv.ParseUint(value, 10, 64)
	switch {
	case err == nil && seconds < uint64(longestRetryAfter/time.Second):
		return time.Duration(seconds) * time.Second
	case err == nil || errors.Is(err, strconv.ErrRange):
		return longestRetryAfter
	}
	if at, err := http.ParseTime(value); err == nil && at.After(now) {
		return min(at.Sub(now), longestRetryAfter)
	}
	return 0
}

// plain is the cause of a failed request: the library's text has the address, which can hold a
// secret.
func (p *preparedRequest) plain(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return errors.New(p.action.mask.text(err.Error()))
}
