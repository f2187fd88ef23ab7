package daemon_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/daemon"
)

const certified = "hooks.tenterhook.test"

// pebble is the small certificate authority of Let's Encrypt for tests, in this process.
type pebble struct {
	directory string
	roots     string         // file of what its own address is trusted by
	issuer    *x509.CertPool // what its certificates are trusted by
}

// newPebble starts one that comes to the two ports for its challenges, whatever the name.
func newPebble(t *testing.T, dir string, httpPort, tlsPort int) pebble {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	quiet := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	issuer := ca.New(quiet, store, "", 0, 1, map[string]ca.Profile{"default": {Description: "the only one"}})
	validation := va.New(quiet, httpPort, tlsPort, true, nameServer(t), store)
	front := wfe.New(quiet, store, validation, issuer, true, false, 1, 1)
	server := httptest.NewTLSServer(front.Handler())
	t.Cleanup(server.Close)
	a := pebble{directory: server.URL + wfe.DirectoryPath, roots: filepath.Join(dir, "roots.pem"), issuer: x509.NewCertPool()}
	write(t, a.roots, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	a.issuer.AppendCertsFromPEM(issuer.GetRootCert(0).PEM())
	return a
}

// nameServer says of every name that it is this machine's.
func nameServer(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		answer := new(dns.Msg).SetReply(q)
		if question := q.Question[0]; question.Qtype == dns.TypeA {
			answer.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: question.Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(127, 0, 0, 1)}}
		}
		_ = w.WriteMsg(answer)
	})}
	done := make(chan error, 1)
	go func() { done <- server.ActivateAndServe() }()
	t.Cleanup(func() { _ = server.Shutdown(); <-done })
	return conn.LocalAddr().String()
}

// ownPort opens a listener on a port of its own.
func ownPort(t *testing.T) (net.Listener, int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l, l.Addr().(*net.TCPAddr).Port
}

// startCertified runs a daemon that gets its certificate from a, on a socket that was handed over.
func startCertified(t *testing.T, dir string, a pebble, l net.Listener, further string) *running {
	t.Helper()
	tlsKeys := fmt.Sprintf("drain: 10s, tls: {acme: {domains: [%s], email: ops@tenterhook.test, directory: '%s', roots: roots.pem%s}}", certified, a.directory, further)
	write(t, filepath.Join(dir, "hooks.yaml"), strings.Replace(header(dir), "drain: 10s", tlsKeys, 1)+
		"hooks: [{name: site, path: /site, provider: github, secret: "+secret+", run: \"true\"}]\n")
	return startWith(t, dir, config.Options{Path: filepath.Join(dir, "hooks.yaml")}, func(o *daemon.Options) { o.Sockets = []net.Listener{l} })
}

// certificateOf is what is served under the name, verified.
func certificateOf(t *testing.T, addr, name string, roots *x509.CertPool) (*x509.Certificate, error) {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS12})
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	return c.ConnectionState().PeerCertificates[0], nil
}

func TestACME_GetsACertificateByTLSAndKeepsItOverARestart(t *testing.T) {
	dir := shortDir(t)
	l, tlsPort := ownPort(t)
	a := newPebble(t, dir, 1, tlsPort)
	addr := l.Addr().String()
	must(t, os.Mkdir(filepath.Join(dir, "t.db.acme"), 0o755))
	r := startCertified(t, dir, a, l, "")
	first, err := certificateOf(t, addr, certified, a.issuer)
	must(t, err)
	if err := first.VerifyHostname(certified); err != nil {
		t.Error(err)
	}
	if _, err := certificateOf(t, addr, "other.tenterhook.test", a.issuer); err == nil {
		t.Error("a name that is not in domains has a certificate")
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.issuer, ServerName: certified, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequest("POST", "https://"+addr+"/site", strings.NewReader("{}"))
	must(t, err)
	req.Header.Set("X-Hub-Signature-256", sign(secret, "{}"))
	resp, err := client.Do(req)
	must(t, err)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted || resp.ProtoMajor != 2 {
		t.Errorf("a delivery over it: %s %s", resp.Proto, resp.Status)
	}
	r.eventually("the log to say that it is there", func() bool { return strings.Contains(r.log.String(), "certificate ready") })
	client.CloseIdleConnections()
	must(t, r.stop())

	if info, err := os.Stat(filepath.Join(dir, "t.db.acme")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v, %v", info.Mode(), err)
	}
	again, err := net.Listen("tcp", addr)
	must(t, err)
	startCertified(t, dir, a, again, "")
	second, err := certificateOf(t, addr, certified, a.issuer)
	must(t, err)
	if second.SerialNumber.Cmp(first.SerialNumber) != 0 {
		t.Error("a restart asked for another certificate")
	}
}

func TestACME_AnswersChallengesOverHTTPAndNothingElseThere(t *testing.T) {
	dir := shortDir(t)
	l, _ := ownPort(t)
	h, httpPort := ownPort(t)
	closed, tlsPort := ownPort(t) // nobody answers TLS-ALPN-01
	must(t, closed.Close())
	a := newPebble(t, dir, httpPort, tlsPort)
	must(t, h.Close())
	r := startCertified(t, dir, a, l, fmt.Sprintf(", http: '127.0.0.1:%d'", httpPort))
	// It is asked for at the start, and may take longer than a handshake waits.
	r.eventually("the certificate", func() bool { return strings.Contains(r.log.String(), "certificate ready") })
	if _, err := certificateOf(t, l.Addr().String(), certified, a.issuer); err != nil {
		t.Fatal(err)
	}
	got, err := send("GET", fmt.Sprintf("http://127.0.0.1:%d/site", httpPort), "", nil)
	must(t, err)
	if got.status != http.StatusNotFound {
		t.Errorf("the challenges' listener answers %d", got.status)
	}
}

func TestACME_AnAuthorityThatIsAwayStopsNothing(t *testing.T) {
	dir := shortDir(t)
	l, _ := ownPort(t)
	gone, gonePort := ownPort(t)
	must(t, gone.Close())
	a := newPebble(t, dir, 1, 1)
	a.directory = fmt.Sprintf("https://127.0.0.1:%d/dir", gonePort)
	r := startCertified(t, dir, a, l, "")
	r.eventually("the log to say that there is no certificate", func() bool { return strings.Contains(r.log.String(), "no certificate") })
	must(t, r.stop())
}

func TestACME_MistakesAreFoundAtLoad(t *testing.T) {
	for src, want := range map[string]string{
		"{acme: {email: a@b.example}}":                              `"domains" is missing`,
		"{acme: {domains: []}}":                                     "domains is empty",
		"{acme: {domains: ['*.example.com']}}":                      "wildcard",
		"{acme: {domains: [localhost, 10.0.0.1]}}":                  `found "10.0.0.1"`,
		"{acme: {domains: [a.example.com], email: nobody}}":         "email wants an address",
		"{acme: {domains: [a.example.com], directory: 'http://x'}}": "directory wants https",
		"{acme: {domains: [a.example.com], http: '80'}}":            "host:port",
		"{acme: {domains: [a.example.com], roots: none.pem}}":       "read roots",
		"{cert: c.pem, acme: {domains: [a.example.com]}}":           "not from both",
		"{cert: c.pem}": `"key" is missing`,
		"{acme: {domains: [a.example.com], emial: ops@example.com}}":          `did you mean "email"`,
		"{acme: {domains: [hooks.example.com], email: ops@example.com}}":      "",
		"{acme: {domains: [Hooks.Example.com.], directory: 'https://x/dir'}}": "",
	} {
		dir := shortDir(t)
		write(t, filepath.Join(dir, "hooks.yaml"), "server: {tls: "+src+"}\nhooks: [{name: site, path: /site, provider: github, secret: "+secret+", run: \"true\"}]\n")
		_, d := daemon.Load(config.Options{Path: filepath.Join(dir, "hooks.yaml")}, false)
		var text strings.Builder
		d.Print(&text, false)
		if want == "" && d.Err() != nil || !strings.Contains(text.String(), want) {
			t.Errorf("%s: want %q in\n%s", src, want, text.String())
		}
	}
}
