package daemon_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
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
