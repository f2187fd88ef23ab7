package pull

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// Relay is another Tenterhook, which holds deliveries until they are acknowledged: what is taken from
// it is acknowledged once it is on disk here, and given again when that does not come through.
type Relay struct {
	watch
	o      RelayOptions
	client *http.Client
}

// RelayOptions say which relay, which of its hooks, and as whom.
type RelayOptions struct {
	URL   string // of its relay listener
	Token string // goes there and nowhere else
	Hook  string // its name there
	Log   *slog.Logger
	// Roots sign its certificate; nil are those whom the machine believes.
	Roots *x509.CertPool
	// Wait is how long it is waited for a delivery at once; 0 is DefaultWait.
	Wait time.Duration
	// Head is how long an answer may take beyond Wait; 0 is headTime.
	Head time.Duration
}

// DefaultWait is shorter than proxies wait for an answer.
const DefaultWait = 25 * time.Second

const (
	// settleTime bounds an acknowledgement, also one at the end.
	settleTime = 10 * time.Second
	// maxTaken bounds an answer: the relay hands out 4 MiB of bodies, or one of 64 MiB, in base64.
	maxTaken = 128 << 20
	// readTime bounds the reading of an answer.
	readTime = 5 * time.Minute
)

// NewRelay makes a source. It opens nothing yet.
func NewRelay(o RelayOptions) *Relay {
	if o.Wait == 0 {
		o.Wait = DefaultWait
	}
	if o.Head == 0 {
		o.Head = headTime
	}
	r := &Relay{o: o, client: newClient(o.Wait+o.Head, o.Roots)}
	r.log, r.state.Held = o.Log, -1
	return r
}

// Run implements Source.
func (r *Relay) Run(ctx context.Context, take Take) {
	defer r.client.CloseIdleConnections()
	var again backoff
	for ctx.Err() == nil {
		err := r.once(ctx, take)
		if err == nil {
			again.reset()
			continue
		}
		if ctx.Err() != nil {
			break
		}
		r.lost(err)
		if !again.pause(ctx) {
			break
		}
	}
	r.lost(nil)
}

// once takes what is there, or waits for it, and settles it.
func (r *Relay) once(ctx context.Context, take Take) error {
	var got TakeAnswer
	asking, cancel := context.WithTimeout(ctx, r.o.Wait+r.o.Head+readTime)
	defer cancel()
	err := r.ask(asking, TakePath, TakeRequest{Hooks: []string{r.o.Hook}, Most: MostTaken, Wait: r.o.Wait.Seconds()}, &got)
	if err != nil {
		return err
	}
	r.connected()
	r.change(func(s *State) { s.Held = got.Waiting[r.o.Hook] })
	if len(got.Deliveries) == 0 {
		return nil
	}
	settle := SettleRequest{Hooks: []string{r.o.Hook}}
	var failed error
	for i := range got.Deliveries {
		held := &got.Deliveries[i]
		if failed == nil && ctx.Err() == nil {
			failed = r.one(ctx, take, held, &settle)
		}
		if failed != nil || ctx.Err() != nil {
			settle.Released = append(settle.Released, held.ID)
		}
		held.Body = nil // it is on disk, or will be given again
	}
	// Also when this daemon ends: what is on disk is not to be given to another.
	within, done := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer done()
	var answer SettleAnswer
	if err := r.ask(within, SettlePath, settle, &answer); err != nil {
		return errors.Join(failed, fmt.Errorf("acknowledge: %w", err))
	}
	r.change(func(s *State) { s.Held = max(0, s.Held-len(settle.Taken)-len(settle.Refused)) })
	return failed
}

// one takes a delivery in and notes what became of it. The error is one after which nothing further
// is tried for now.
func (r *Relay) one(ctx context.Context, take Take, h *Held, settle *SettleRequest) error {
	err := take(ctx, &Delivered{
		ID: h.ID, Method: h.Method, Scheme: h.Scheme, Host: h.Host, Path: h.Path, RawPath: h.RawPath, Query: h.Query, IP: h.IP,
		Header: h.Headers, Body: h.Body, At: time.UnixMilli(h.ReceivedAt),
	})
	var refused *RefusedError
	switch {
	case err == nil:
		settle.Taken = append(settle.Taken, h.ID)
		r.change(func(s *State) { s.Taken, s.Last = s.Taken+1, time.Now() })
	case errors.As(err, &refused):
		settle.Refused = append(settle.Refused, Refused{h.ID, refused.Reason})
		r.change(func(s *State) { s.Refused, s.Last = s.Refused+1, time.Now() })
	default:
		return err
	}
	return nil
}

// ask sends a request and decodes its answer. The error tells neither the token nor the address.
func (r *Relay) ask(ctx context.Context, path string, body, into any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(r.o.URL, "/")+path, bytes.NewReader(data))
	if err != nil {
		return errors.New("the relay's address is none")
	}
	req.Header.Set("Authorization", "Bearer "+r.o.Token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "tenterhook")
	response, err := r.client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the relay: %w", explain(err, r.o.Roots))
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxTaken+1))
	switch {
	case err != nil:
		return fmt.Errorf("read the relay's answer: %w", err)
	case response.StatusCode == http.StatusUnauthorized:
		return errors.New("the relay does not know the token")
	case response.StatusCode == http.StatusForbidden:
		return fmt.Errorf("the token is not for hook %q of the relay, or that hook has no hold", r.o.Hook)
	case response.StatusCode == http.StatusBadRequest && bytes.Contains(answer, []byte("to an HTTPS server")): // as net/http says it
		return errors.New("the relay speaks TLS: its address begins with https://")
	case response.StatusCode == http.StatusNotFound, response.StatusCode == http.StatusMethodNotAllowed, response.StatusCode/100 == 3:
		return fmt.Errorf("the relay answered %d: is this the address of its relay.listen?", response.StatusCode)
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("the relay answered %d", response.StatusCode)
	case len(answer) > maxTaken:
		return errors.New("the relay's answer is too large")
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return errors.New("the relay's answer cannot be read: is this the address of a relay listener?")
	}
	return nil
}
