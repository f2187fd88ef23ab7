package daemon

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/config"
)

// ACME says where certificates come from by RFC 8555, and for which names.
type ACME struct {
	Domains   []string
	Email     string
	Directory string // of the authority
	HTTP      string // where HTTP-01 challenges are answered, too; "" for TLS-ALPN-01 alone
	Roots     string // PEM file of what the authority itself is trusted by; "" for the system's
}

type acmeSpec struct {
	Domains   []config.Text `yaml:"domains,required" doc:"The names certificates are asked for, and no others."`
	Email     config.Text   `yaml:"email" doc:"Where the authority writes to."`
	Directory config.Text   `yaml:"directory" doc:"The authority; for a try https://acme-staging-v02.api.letsencrypt.org/directory." default:"Let's Encrypt"`
	HTTP      config.Text   `yaml:"http" doc:"host:port that the authority reaches as port 80, for HTTP-01. Without it the challenge is TLS-ALPN-01, and server.listen must be reached as port 443."`
	Roots     config.Text   `yaml:"roots" doc:"PEM file of the roots that the authority is trusted by; otherwise the system's."`
}

func (a *ACME) same(b *ACME) bool { return reflect.DeepEqual(a, b) }

// domainName is a name an authority can look at: no address, no wildcard, at least one dot.
var domainName = regexp.MustCompile(`^([a-z0-9_]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

func readACME(spec *acmeSpec, node config.Node, file *config.File, d *config.Diagnostics) *ACME {
	a := &ACME{
		Email: spec.Email.Value, HTTP: spec.HTTP.Value, Roots: beside(file, spec.Roots.Value),
		Directory: cmp.Or(spec.Directory.Value, acme.LetsEncryptURL),
	}
	if len(spec.Domains) == 0 && !node.Find("domains").IsZero() {
		d.Errorf(node.Find("domains"), "domains is empty: there is nothing to get a certificate for")
	}
	for _, domain := range spec.Domains {
		name := strings.ToLower(strings.TrimSuffix(domain.Value, "."))
		switch {
		case strings.HasPrefix(name, "*."):
			d.Errorf(domain, "a wildcard needs a challenge over DNS, which is not offered").Hint("write out each name")
		case len(name) > 253 || !domainName.MatchString(name):
			d.Errorf(domain, "domains wants names such as hooks.example.com, found %q", domain.Value)
		}
		a.Domains = append(a.Domains, name)
	}
	if a.Email != "" && !strings.Contains(strings.Trim(a.Email, "@"), "@") {
		d.Errorf(spec.Email, "email wants an address, found %q", a.Email)
	}
	if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
		d.Errorf(spec.Directory, "directory wants https://…, found %q", a.Directory)
	}
	if strings.HasPrefix(a.HTTP, "unix:") {
		d.Errorf(spec.HTTP, "http wants host:port: an authority comes over the network")
	} else {
		checkListen(spec.HTTP, d)
	}
	if _, err := a.trust(); err != nil {
		d.Errorf(spec.Roots, "%s", err.Error())
	}
	return a
}

// trust is what the authority is trusted by; nil for the system's roots.
func (a *ACME) trust() (*x509.CertPool, error) {
	if a.Roots == "" {
		return nil, nil
	}
	data, err := os.ReadFile(a.Roots)
	if err != nil {
		return nil, fmt.Errorf("read roots: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", a.Roots)
	}
	return pool, nil
}

// authority gets certificates, keeps them in a folder of its own, and renews them in time.
type authority struct {
	settings *ACME
	manager  *autocert.Manager
	log      *slog.Logger
}

// newAuthority prepares the folder for keys and certificates. What it asks for is given up when
// ctx ends.
func newAuthority(ctx context.Context, a *ACME, folder string, log *slog.Logger) (*authority, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for certificates: %w", err)
	}
	if err := os.Chmod(folder, 0o700); err != nil { // one that was there may be open to others
		return nil, fmt.Errorf("close the folder for certificates: %w", err)
	}
	roots, err := a.trust()
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return &authority{settings: a, log: log, manager: &autocert.Manager{
		Prompt:     autocert.AcceptTOS, // who writes acme: into the file has read them
		Cache:      autocert.DirCache(folder),
		HostPolicy: autocert.HostWhitelist(a.Domains...),
		Email:      a.Email,
		Client: &acme.Client{
			DirectoryURL: a.Directory, UserAgent: "tenterhook",
			HTTPClient: &http.Client{Transport: until{ctx, transport}, Timeout: time.Minute},
		},
	}}, nil
}

// until is a transport whose requests end with ctx, also those that code makes which has its own.
type until struct {
	ctx  context.Context
	next *http.Transport
}

// RoundTrip implements http.RoundTripper.
func (u until) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := u.ctx.Err(); err != nil {
		return nil, err
	}
	return u.next.RoundTrip(r)
}

// tlsConfig returns the server side of TLS, which answers TLS-ALPN-01 challenges, too.
func (a *authority) tlsConfig() *tls.Config {
	c := a.manager.TLSConfig()
	c.MinVersion = tls.VersionTLS12
	return c
}

// The pauses of the watch over certificates.
const (
	firstCertificateTry = time.Minute // autocert remembers a failure for as long
	lastCertificateTry  = time.Hour
	certificateLook     = 6 * time.Hour
	certificateLate     = 10 * 24 * time.Hour // by then a renewal should have come
)

// obtain gets the certificates before anybody needs them, and says how they are, until ctx ends.
func (a *authority) obtain(ctx context.Context) {
	var each sync.WaitGroup
	for _, domain := range a.settings.Domains {
		each.Go(func() { a.watch(ctx, domain) })
	}
	each.Wait()
}

func (a *authority) watch(ctx context.Context, domain string) {
	known, try := "", firstCertificateTry
	for {
		pause := certificateLook
		leaf, err := a.get(domain)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			a.log.Error("no certificate", "domain", domain, "authority", a.settings.Directory, "error", err)
			pause, try = try, min(2*try, lastCertificateTry)
		case time.Until(leaf.NotAfter) < certificateLate && leaf.NotAfter.Sub(leaf.NotBefore) > 2*certificateLate:
			a.log.Warn("certificate is not renewed", "domain", domain, "until", leaf.NotAfter)
		case leaf.SerialNumber.String() != known:
			known, try = leaf.SerialNumber.String(), firstCertificateTry
			a.log.Info("certificate ready", "domain", domain, "until", leaf.NotAfter)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// get is the certificate a sender of today would be shown.
func (a *authority) get(domain string) (*x509.Certificate, error) {
	pair, err := a.manager.GetCertificate(&tls.ClientHelloInfo{
		ServerName: domain, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
		SupportedCurves: []tls.CurveID{tls.CurveP256}, SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
	})
	if err != nil {
		return nil, err
	}
	if pair.Leaf != nil {
		return pair.Leaf, nil
	}
	return x509.ParseCertificate(pair.Certificate[0])
}

// challenges serves answers to HTTP-01 at l until ctx ends.
func (a *authority) challenges(ctx context.Context, l net.Listener, answers http.Handler) {
	server := &http.Server{
		Handler: answers, MaxHeaderBytes: 16 << 10,
		ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) && ctx.Err() == nil {
		a.log.Error("challenges over HTTP are not answered any more", "error", err)
	}
}

// withoutPort takes the port from a request's host: autocert compares names, and only an authority
// that comes to port 80 itself sends none.
func withoutPort(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host, _, err := net.SplitHostPort(r.Host); err == nil {
			r.Host = host
		}
		next.ServeHTTP(w, r)
	})
}

// openChallenges opens the listener for HTTP-01, when there is to be one.
func (d *Daemon) openChallenges() error {
	a := d.booted.Server.ACME
	if a == nil || a.HTTP == "" {
		return nil
	}
	l, err := admin.Open(a.HTTP)
	if err != nil {
		return fmt.Errorf("listen for challenges: %w", err)
	}
	d.challenges = l
	d.onStop("challenges listener", ignoreClosed(l.Close))
	return nil
}

// certify makes the server side of TLS; nil without TLS. What it starts ends with ctx and is
// waited for with background.
func (d *Daemon) certify(ctx context.Context, background *sync.WaitGroup) (*tls.Config, error) {
	s := d.booted.Server
	switch {
	case s.ACME != nil:
		a, err := newAuthority(ctx, s.ACME, d.booted.Files+".acme", d.log)
		if err != nil {
			return nil, err
		}
		if d.challenges != nil {
			answers := withoutPort(a.manager.HTTPHandler(http.NotFoundHandler())) // before the first order, which then counts on HTTP-01
			background.Go(func() { a.challenges(ctx, d.challenges, answers) })
		}
		background.Go(func() { a.obtain(ctx) })
		return d.askForCertificates(a.tlsConfig()), nil
	case s.Cert != "":
		c := &certificate{cert: s.Cert, key: s.Key, log: d.log}
		plain, err := c.tlsConfig()
		if err != nil {
			return nil, err
		}
		return d.askForCertificates(plain), nil
	}
	return nil, nil
}
