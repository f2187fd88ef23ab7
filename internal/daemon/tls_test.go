package daemon_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// keyPair makes a certificate for 127.0.0.1 with a serial number to know it by.
func keyPair(t *testing.T, serial int64) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	must(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
}

// serial is the number of the certificate that is served now.
func serial(t *testing.T, addr string) int64 {
	t.Helper()
	// Which certificate comes is the question; who signed it is not.
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // see above
	must(t, err)
	defer func() { _ = c.Close() }()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func TestTLS_ARenewedCertificateIsTakenUpAndAHalfWrittenOneIsNot(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	cert, key := keyPair(t, 1)
	write(t, certFile, cert)
	write(t, keyFile, key)
	write(t, filepath.Join(dir, "hooks.yaml"), strings.Replace(header(dir), "drain: 10s", "drain: 10s, tls: {cert: cert.pem, key: key.pem}", 1)+
		"hooks: [{name: site, path: /site, provider: github, secret: "+secret+", run: \"true\"}]\n")
	r := startIn(t, dir)
	addr := r.daemon.Addr().String()
	if got := serial(t, addr); got != 1 {
		t.Fatalf("served certificate %d first", got)
	}
	cert, key = keyPair(t, 2)
	write(t, certFile, cert) // and the key is still the old one
	r.eventually("the half-written pair to be noticed", func() bool {
		if got := serial(t, addr); got != 1 {
			t.Fatalf("served certificate %d with the key of another", got)
		}
		return strings.Contains(r.log.String(), "certificate not taken up")
	})
	must(t, os.WriteFile(keyFile, []byte(key), 0o600))
	r.eventually("the renewed certificate", func() bool { return serial(t, addr) == 2 })
}

// authority signs certificates for clients.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pem  string
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
	return &authority{key, cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
}

func (a *authority) client(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestMTLS_OnlyTheNamedSendersCertificateIsTaken(t *testing.T) {
	dir := shortDir(t)
	cert, key := keyPair(t, 1)
	write(t, filepath.Join(dir, "cert.pem"), cert)
	write(t, filepath.Join(dir, "key.pem"), key)
	ours, theirs := newAuthority(t), newAuthority(t)
	write(t, filepath.Join(dir, "ca.pem"), ours.pem)
	write(t, filepath.Join(dir, "hooks.yaml"), strings.Replace(header(dir), "drain: 10s", "drain: 10s, tls: {cert: cert.pem, key: key.pem}", 1)+`hooks:
  - {name: by-certificate, path: /certificate, verify: {scheme: mtls, ca: ca.pem, names: [sender.example.com]}, run: "true"}
  - {name: other, path: /other, verify: none, run: "true"}
`)
	r := startIn(t, dir)
	post := func(path string, certificates ...tls.Certificate) int {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: certificates}}} //nolint:gosec // the server's certificate is not the question
		defer client.CloseIdleConnections()
		response, err := client.Post("https://"+r.daemon.Addr().String()+path, "text/plain", strings.NewReader(path))
		must(t, err)
		_ = response.Body.Close()
		return response.StatusCode
	}
	for _, tt := range []struct {
		what, path   string
		certificates []tls.Certificate
		status       int
	}{
		{"the sender's", "/certificate", []tls.Certificate{ours.client(t, "sender.example.com")}, http.StatusAccepted},
		{"another's of the same authority", "/certificate", []tls.Certificate{ours.client(t, "other.example.com")}, http.StatusUnauthorized},
		{"the same name of another authority", "/certificate", []tls.Certificate{theirs.client(t, "sender.example.com")}, http.StatusUnauthorized},
		{"none", "/certificate", nil, http.StatusUnauthorized},
		{"none, at another hook", "/other", nil, http.StatusAccepted},
	} {
		if got := post(tt.path, tt.certificates...); got != tt.status {
			t.Errorf("%s: answered %d, want %d", tt.what, got, tt.status)
		}
	}
}
