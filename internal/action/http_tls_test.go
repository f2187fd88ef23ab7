package action

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// certificate is one for 127.0.0.1 that vouches for itself.
func certificate(t *testing.T, until time.Time) (tls.Certificate, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: until.Add(-48 * time.Hour), NotAfter: until, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, parsed
}

// secureSink is a TLS server, and a transport that trusts its certificate and no other.
func secureSink(t *testing.T, until time.Time, newest uint16, answer http.HandlerFunc) (url string, hits *atomic.Int64) {
	t.Helper()
	hits = &atomic.Int64{}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		answer(w, r)
	}))
	own, parsed := certificate(t, until)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS10, MaxVersion: newest}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	tr := newTransport(nil, nil)
	tr.TLSClientConfig = &tls.Config{RootCAs: x509.NewCertPool()}
	tr.TLSClientConfig.RootCAs.AddCert(parsed)
	useTransport(t, true, tr)
	return s.URL, hits
}

func TestHTTP_TheServersCertificateIsChecked(t *testing.T) {
	good, past := time.Now().Add(24*time.Hour), time.Now().Add(-time.Hour)
	for name, tt := range map[string]struct {
		until  time.Time
		newest uint16
		host   string
		err    string // "": it is reached
	}{
		"a good one":       {good, tls.VersionTLS13, "127.0.0.1", ""},
		"TLS 1.2":          {good, tls.VersionTLS12, "127.0.0.1", ""},
		"TLS 1.1":          {good, tls.VersionTLS11, "127.0.0.1", "protocol version"},
		"for another name": {good, tls.VersionTLS13, "localhost", "certificate"},
		"one that is past": {past, tls.VersionTLS13, "127.0.0.1", "expired"},
	} {
		t.Run(name, func(t *testing.T) {
			url, hits := secureSink(t, tt.until, tt.newest, func(http.ResponseWriter, *http.Request) {})
			r, _ := sent(t, "http: {url: '"+strings.Replace(url, "127.0.0.1", tt.host, 1)+"', allow_private: true}")
			if tt.err == "" && (r.Err != nil || hits.Load() != 1) {
				t.Errorf("got %+v, %d requests", r, hits.Load())
			}
			if tt.err != "" && (r.Err == nil || !strings.Contains(r.Err.Error(), tt.err) || r.Final || hits.Load() != 0) {
				t.Errorf("got %+v, %d requests", r, hits.Load())
			}
		})
	}
}

func TestRedirect_DoesNotLeaveHTTPS(t *testing.T) {
	plain := newSink(t, nil)
	url, hits := secureSink(t, time.Now().Add(24*time.Hour), tls.VersionTLS13, redirectTo(plain.URL, http.StatusTemporaryRedirect))
	r, _ := sent(t, "http: {url: '"+url+"', allow_private: true, follow_redirects: 3}")
	if r.Err == nil || !r.Final || !strings.Contains(r.Err.Error(), `from https to "http"`) || hits.Load() != 1 || plain.hits.Load() != 0 {
		t.Errorf("got %+v, %d and %d requests", r, hits.Load(), plain.hits.Load())
	}
}
