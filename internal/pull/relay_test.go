package pull_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/pull"
)

// authority signs the certificates of servers.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	file string // PEM
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	file := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return &authority{key, cert, file}
}

func (a *authority) roots(t *testing.T) *x509.CertPool {
	t.Helper()
	roots, err := pull.ReadAuthorities(a.file)
	must(t, err)
	return roots
}

// server makes a certificate for 127.0.0.1, or for a name.
func (a *authority) server(t *testing.T, from, until time.Time, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: from, NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if name == "" {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	} else {
		template.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// relayServer answers as a relay does that holds nothing.
func relayServer(t *testing.T, handler http.Handler, certificate *tls.Certificate) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.EnableHTTP2 = true
	if certificate == nil {
		server.Start()
	} else {
		server.TLS = &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12}
		server.StartTLS()
	}
	t.Cleanup(server.Close)
	return server
}

// answering is a relay that has nothing, and waits as long as it is asked to.
func answering(asked *atomic.Int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		var q pull.TakeRequest
		_ = json.NewDecoder(r.Body).Decode(&q)
		select {
		case <-time.After(time.Duration(q.Wait * float64(time.Second))):
		case <-r.Context().Done():
		}
		_ = json.NewEncoder(w).Encode(pull.TakeAnswer{})
	}
}

func runRelay(t *testing.T, o pull.RelayOptions) *pull.Relay {
	t.Helper()
	o.Log, o.Hook, o.Token = slog.New(slog.DiscardHandler), "site", "a-token-that-no-error-has"
	r := pull.NewRelay(o)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx, func(context.Context, *pull.Delivered) error { return nil })
	}()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

// TestRelay_SaysWhatIsWrongWithACertificate, so that a person knows what to change.
func TestRelay_SaysWhatIsWrongWithACertificate(t *testing.T) {
	t.Parallel()
	ours, theirs, now := newAuthority(t), newAuthority(t), time.Now()
	good := ours.server(t, now.Add(-time.Hour), now.Add(time.Hour), "")
	expired := ours.server(t, now.Add(-48*time.Hour), now.Add(-24*time.Hour), "")
	early := ours.server(t, now.Add(24*time.Hour), now.Add(48*time.Hour), "")
	named := ours.server(t, now.Add(-time.Hour), now.Add(time.Hour), "hooks.example.com")
	status := func(code int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
	}
	for name, tt := range map[string]struct {
		certificate *tls.Certificate
		handler     http.Handler
		roots       *x509.CertPool
		scheme      string // instead of the server's
		want        string
	}{
		"its own":       {certificate: &good, roots: ours.roots(t)},
		"unknown":       {certificate: &good, want: "nobody whom this machine believes: pull.ca names the file of its authority"},
		"another's":     {certificate: &good, roots: theirs.roots(t), want: "not signed by the authority in pull.ca"},
		"expired":       {certificate: &expired, roots: ours.roots(t), want: "it has to be renewed, or a clock is wrong"},
		"not yet valid": {certificate: &early, roots: ours.roots(t), want: "it has to be renewed, or a clock is wrong"},
		"another name":  {certificate: &named, roots: ours.roots(t), want: `the server's certificate is for hooks.example.com, not for "127.0.0.1"`},
		"none":          {scheme: "https", roots: ours.roots(t), want: "the server does not speak TLS: is it http://, or another port?"},
		"not asked for": {certificate: &good, scheme: "http", want: "the relay speaks TLS: its address begins with https://"},
		"another port":  {handler: status(404), want: "is this the address of its relay.listen?"},
		"moved":         {handler: status(308), want: "is this the address of its relay.listen?"},
		"token":         {handler: status(401), want: "the relay does not know the token"},
		"hook":          {handler: status(403), want: `the token is not for hook "site" of the relay`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			handler := tt.handler
			if handler == nil {
				handler = answering(new(atomic.Int64))
			}
			url := relayServer(t, handler, tt.certificate).URL
			if tt.scheme != "" {
				url = tt.scheme + url[strings.Index(url, "://"):]
			}
			r := runRelay(t, pull.RelayOptions{URL: url, Roots: tt.roots, Wait: 10 * time.Millisecond})
			if tt.want == "" {
				until(t, "a connection", func() bool { return !r.State().Connected.IsZero() })
				return
			}
			until(t, "a problem", func() bool { return r.State().Problem != "" })
			if got := r.State().Problem; !strings.Contains(got, tt.want) || strings.Contains(got, "a-token") {
				t.Errorf("problem %q", got)
			}
		})
	}
}

// frozen forwards connections, until each that there is falls silent in both directions, as where a NAT
// has forgotten them.
type frozen struct {
	net.Listener
	to string

	mu     sync.Mutex
	frozen chan struct{}
}

func freezing(t *testing.T, to string) *frozen {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	f := &frozen{Listener: l, to: to, frozen: make(chan struct{})}
	var running sync.WaitGroup
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended); _ = l.Close(); running.Wait() })
	running.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			f.mu.Lock()
			stop := f.frozen
			f.mu.Unlock()
			running.Go(func() { <-ended; _ = in.Close(); _ = out.Close() })
			running.Go(func() { pass(out, in, stop, ended) })
			running.Go(func() { pass(in, out, stop, ended) })
		}
	})
	return f
}

// pass forwards until stop, and then takes what comes and says nothing.
func pass(to, from net.Conn, stop, ended <-chan struct{}) {
	buffer := make([]byte, 4<<10)
	for {
		n, err := from.Read(buffer)
		select {
		case <-stop:
			<-ended
			return
		default:
		}
		if _, failed := to.Write(buffer[:n]); err != nil || failed != nil {
			_ = to.Close()
			return
		}
	}
}

func (f *frozen) freeze() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.frozen)
	f.frozen = make(chan struct{})
}

// TestRelay_LeavesAConnectionThatANATForgot: the next request is made over another.
func TestRelay_LeavesAConnectionThatANATForgot(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	good := a.server(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour), "")
	var asked atomic.Int64
	server := relayServer(t, answering(&asked), &good)
	f := freezing(t, server.Listener.Addr().String())
	r := runRelay(t, pull.RelayOptions{URL: "https://" + f.Addr().String(), Roots: a.roots(t), Wait: 20 * time.Millisecond, Head: 300 * time.Millisecond})
	until(t, "a connection", func() bool { return !r.State().Connected.IsZero() && asked.Load() > 2 })
	f.freeze()
	until(t, "a problem", func() bool { return r.State().Problem != "" })
	until(t, "another connection", func() bool { return !r.State().Connected.IsZero() })
}
