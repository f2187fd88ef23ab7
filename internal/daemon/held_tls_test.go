package daemon_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// server makes a certificate of the authority for 127.0.0.1 until a time.
func (a *authority) server(t *testing.T, serial int64, until time.Time) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: until.Add(-time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &private.PublicKey, a.key)
	must(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
}

// sender is one that believes the authority.
func (a *authority) sender(t *testing.T) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// TestRelay_SpeaksTLSWithACertificateOfOnesOwn: both listeners have it, a taker believes its authority by
// `ca` alone, says so where it does not, and takes up one that was renewed after it had expired.
func TestRelay_SpeaksTLSWithACertificateOfOnesOwn(t *testing.T) {
	t.Parallel()
	ours := newAuthority(t)
	relayDir, dir := shortDir(t), shortDir(t)
	serve := func(serial int64, until time.Time) {
		cert, key := ours.server(t, serial, until)
		write(t, filepath.Join(relayDir, "key.pem"), key)
		write(t, filepath.Join(relayDir, "cert.pem"), cert)
	}
	serve(1, time.Now().Add(time.Minute))
	write(t, filepath.Join(relayDir, "hooks.yaml"), strings.Replace(relayConfig(relayDir, "127.0.0.1:0"), "drain: 10s", "drain: 10s, tls: {cert: cert.pem, key: key.pem}", 1))
	r := startIn(t, relayDir)

	source := func(ca string) string {
		return header(dir) + pullHook(dir, fmt.Sprintf("{tenterhook: 'https://%s', token: %s%s}\n    retry: {attempts: 3, initial: 100ms}", r.daemon.RelayAddr(), laptopToken, ca))
	}
	file := filepath.Join(dir, "hooks.yaml")
	write(t, filepath.Join(dir, "ca.pem"), ours.pem)
	write(t, filepath.Join(dir, "theirs.pem"), newAuthority(t).pem)
	write(t, file, source(""))
	k := startIn(t, dir)
	problem := func(ca, want string) {
		write(t, file, source(ca))
		_, err := k.client.Reload(t.Context())
		must(t, err)
		k.eventually(want, func() bool { return strings.Contains(k.source().Problem, want) })
	}
	problem("", "signed by nobody whom this machine believes")
	problem(", ca: theirs.pem", "not signed by the authority in pull.ca")
	serve(2, time.Now().Add(-time.Minute))
	r.eventually("the expired certificate", func() bool { return serial(t, r.daemon.RelayAddr()) == 2 })
	problem(", ca: ca.pem", "it has to be renewed, or a clock is wrong")
	if s := k.source(); !s.ConnectedAt.IsZero() {
		t.Errorf("source %+v", s)
	}

	serve(3, time.Now().Add(time.Minute))
	k.eventually("the renewed certificate", func() bool { return !k.source().ConnectedAt.IsZero() })
	const body = `{"a":1}`
	req, err := http.NewRequest(http.MethodPost, "https://"+r.daemon.Addr().String()+"/github", strings.NewReader(body))
	must(t, err)
	for name, value := range map[string]string{"X-Hub-Signature-256": sign(secret, body), "X-GitHub-Delivery": "one", "X-GitHub-Event": "push", "Content-Type": "application/json"} {
		req.Header.Set(name, value)
	}
	response, err := ours.sender(t).Do(req)
	must(t, err)
	_ = response.Body.Close()
	if response.StatusCode != http.StatusAccepted || response.ProtoMajor != 2 {
		t.Errorf("answered %d over %s", response.StatusCode, response.Proto)
	}
	k.eventually("the run", func() bool { return len(runsIn(dir)) == 1 })
	if n := strings.Count(k.log.String(), "not signed by the authority"); n != 1 {
		t.Errorf("the log says %d times what is wrong", n)
	}
	if log := k.log.String() + r.log.String(); strings.Contains(log, laptopToken) || strings.Contains(log, secret) {
		t.Error("a log has a secret")
	}
}
