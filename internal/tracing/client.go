package tracing

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const (
	// defaultSendTime bounds one request, OTEL_EXPORTER_OTLP_TIMEOUT.
	defaultSendTime = 10 * time.Second
	// The pauses between tries of one batch. The SDK bounds them all, OTEL_BSP_EXPORT_TIMEOUT.
	firstPause, lastPause = time.Second, 10 * time.Second
	// quietTime is how long nothing further is said of a collector that does not answer.
	quietTime = time.Minute
)

// client sends batches of spans to a collector as OTLP over HTTP. The library's own client links
// gRPC into the program, 2 MB that are never run; converting and batching are the library's.
//
// The protocol: https://opentelemetry.io/docs/specs/otlp/#otlphttp
type client struct {
	url    *url.URL
	header http.Header
	gzip   bool
	http   *http.Client
	log    *slog.Logger

	mu    sync.Mutex
	said  time.Time // when a failure was last logged; zero when the last batch arrived
	quiet int       // failures since then
}

func newClient(env func(string) string, log *slog.Logger) (*client, error) {
	target, err := endpoint(env)
	if err != nil {
		return nil, err
	}
	c := &client{url: target, log: log}
	if c.header, err = headers(ofTraces(env, "HEADERS")); err != nil {
		return nil, err
	}
	switch compression := ofTraces(env, "COMPRESSION"); compression {
	case "", "none":
	case "gzip":
		c.gzip = true
	default:
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_COMPRESSION is gzip or none, found %q", compression)
	}
	within := defaultSendTime
	if text := ofTraces(env, "TIMEOUT"); text != "" {
		ms, err := strconv.Atoi(text)
		if err != nil || ms <= 0 {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_TIMEOUT is a number of milliseconds, found %q", text)
		}
		within = time.Duration(ms) * time.Millisecond
	}
	trust, err := trusted(env)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = trust
	c.http = &http.Client{Timeout: within, Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return c, nil
}

// endpoint is where traces go: as it is written, or under the address for everything.
func endpoint(env func(string) string) (*url.URL, error) {
	name, path := "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", ""
	if env(name) == "" {
		name, path = "OTEL_EXPORTER_OTLP_ENDPOINT", "v1/traces"
	}
	u, err := url.Parse(env(name))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%s is an address such as http://127.0.0.1:4318", name) // it may hold a password
	}
	if path != "" {
		u = u.JoinPath(path)
	}
	return u, nil
}

// headers reads name=value,name=value with escaped values, as W3C baggage. They may be secret.
func headers(list string) (http.Header, error) {
	out := http.Header{}
	for pair := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, found := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if name = strings.TrimSpace(name); !found || name == "" || err != nil {
			return nil, errors.New("OTEL_EXPORTER_OTLP_HEADERS is name=value,name=value")
		}
		out.Set(name, value)
	}
	return out, nil
}

// trusted reads the certificates; nil when there are none.
func trusted(env func(string) string) (*tls.Config, error) {
	ca, cert, key := ofTraces(env, "CERTIFICATE"), ofTraces(env, "CLIENT_CERTIFICATE"), ofTraces(env, "CLIENT_KEY")
	if ca == "" && cert == "" {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CERTIFICATE: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CERTIFICATE: %s has no certificate", ca)
		}
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// shown is where the spans go, without a password.
func (c *client) shown() string { return c.url.Redacted() }

// Start implements otlptrace.Client.
func (*client) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (c *client) Stop(context.Context) error {
	c.http.CloseIdleConnections()
	return nil
}

// UploadTraces implements otlptrace.Client. What cannot be sent is lost, and logged: there is
// nobody to return it to.
func (c *client) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	// On the wire TracesData is the same as ExportTraceServiceRequest, whose package needs gRPC.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return fmt.Errorf("encode spans: %w", err)
	}
	if c.gzip {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, _ = w.Write(body) // a Buffer takes everything
		_ = w.Close()
		body = packed.Bytes()
	}
	c.tell(c.sendUntil(ctx, body))
	return nil
}

// sendUntil tries until the batch was taken or refused, or ctx ends.
func (c *client) sendUntil(ctx context.Context, body []byte) error {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		wait, err := c.send(ctx, body)
		if err == nil || wait < 0 {
			return err
		}
		timer := time.NewTimer(max(pause, wait))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// send sends a batch once. wait is how long the collector wants to be left alone before the next
// try, negative when there is none.
func (c *client) send(ctx context.Context, body []byte) (wait time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url.String(), bytes.NewReader(body))
	if err != nil {
		return -1, plain(err)
	}
	req.Header = c.header.Clone()
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("User-Agent", "tenterhook")
	if c.gzip {
		req.Header.Set("Content-Encoding", "gzip")
	}
	answer, err := c.http.Do(req)
	if err != nil {
		return 0, plain(err)
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10)) // so that the connection can be used again
	switch answer.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		seconds, _ := strconv.Atoi(answer.Header.Get("Retry-After"))
		return min(time.Duration(max(seconds, 0))*time.Second, time.Minute), fmt.Errorf("the collector answered %s", answer.Status)
	}
	if answer.StatusCode/100 != 2 {
		return -1, fmt.Errorf("the collector answered %s", answer.Status)
	}
	return 0, nil
}

// plain is the cause without the address, which may hold a password.
func plain(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// tell logs that batches are lost, once a minute, and that they arrive again.
func (c *client) tell(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil && !c.said.IsZero():
		c.log.Info("traces are sent again", "to", c.shown())
		c.said, c.quiet = time.Time{}, 0
	case err == nil:
	case time.Since(c.said) < quietTime:
		c.quiet++
	default:
		c.log.Warn("a batch of traces was lost", "to", c.shown(), "error", err, "suppressed", c.quiet)
		c.said, c.quiet = time.Now(), 0
	}
}
