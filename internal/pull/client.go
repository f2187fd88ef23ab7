package pull

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// newClient is HTTP for streams and long polls: what has no answer's head in time is given up. It
// follows no redirect: a token and a channel's name go nowhere else. roots are who is believed to
// sign the server's certificate, nil for those whom the machine believes.
//
// It is HTTP/1.1: over HTTP/2 a request that is given up leaves the connection, and the next one would
// wait on it too. Where a NAT forgot the connection, that is until the kernel gives it up, a quarter
// of an hour later.
func newClient(head time.Duration, roots *x509.CertPool) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	transport.ResponseHeaderTimeout = head
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetHTTP1(true)
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// maxAuthorities bounds a file of certificates.
const maxAuthorities = 1 << 20

// ReadAuthorities reads a PEM file of those who sign a source's certificate.
func ReadAuthorities(path string) (*x509.CertPool, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "open "))
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxAuthorities))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s has no certificate in PEM", path)
	}
	return pool, nil
}

// explain says in words what a connection failed of, without the address, which may be all that
// protects a channel.
func explain(err error, roots *x509.CertPool) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	if why := distrust(err, roots); why != "" {
		return errors.New(why) // and not the time, which makes each another
	}
	return err
}

// distrust says why a server's certificate is not believed, "" when that is not what is wrong.
func distrust(err error, roots *x509.CertPool) string {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.Is(err, http.ErrSchemeMismatch):
		return "the server does not speak TLS: is it http://, or another port?"
	case errors.As(err, &unknown) && roots != nil:
		return "the server's certificate was not signed by the authority in pull.ca"
	case errors.As(err, &unknown):
		return "the server's certificate was signed by nobody whom this machine believes: pull.ca names the file of its authority"
	case errors.As(err, &name) && name.Certificate != nil:
		return fmt.Sprintf("the server's certificate is for %s, not for %q: pull has to name it so", names(name.Certificate), name.Host)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		from, until := invalid.Cert.NotBefore.UTC().Format(time.RFC3339), invalid.Cert.NotAfter.UTC().Format(time.RFC3339)
		return fmt.Sprintf("the server's certificate is valid from %s until %s: it has to be renewed, or a clock is wrong", from, until)
	}
	return ""
}

// mostNames of a certificate are told.
const mostNames = 5

// names are whom a certificate is for.
func names(c *x509.Certificate) string {
	all := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	switch {
	case len(all) == 0:
		return "nobody"
	case len(all) > mostNames:
		all = append(all[:mostNames:mostNames], "…")
	}
	return strings.Join(all, ", ")
}
