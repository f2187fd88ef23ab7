package verify

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/request"
)

func init() {
	register(Kind{
		Name: "mtls",
		Doc: `The sender's TLS certificate, which server.tls asks for where a hook wants one. Keys: ca (a PEM file: who signs the
sender's certificates), names (one of which the certificate must have, as a DNS name or common name).`,
		New: func() Verifier { return &MTLS{} },
	})
}

// MTLS checks the certificate that the sender's connection was made with.
type MTLS struct {
	CA    string   `yaml:"ca,required" doc:"PEM file: who signs the sender's certificates."`
	Names []string `yaml:"names" doc:"Names one of which the certificate must have."`

	roots *x509.CertPool
}

// Resolve makes CA a path from dir. It is called before Check.
func (m *MTLS) Resolve(dir string) {
	if m.CA != "" && !filepath.IsAbs(m.CA) {
		m.CA = filepath.Join(dir, m.CA)
	}
}

// maxCA bounds the file of ca.
const maxCA = 1 << 20

// Check reads the file and finds what is wrong with the settings.
func (m *MTLS) Check() (problems []Problem) {
	add := func(key, message string, hints ...string) {
		problems = append(problems, Problem{Path: []string{key}, Message: message, Hints: hints})
	}
	f, err := os.Open(m.CA)
	if err != nil {
		add("ca", fmt.Sprintf("ca cannot be read: %s", strings.TrimPrefix(err.Error(), "open ")))
		return problems
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxCA))
	m.roots = x509.NewCertPool()
	if err != nil || !m.roots.AppendCertsFromPEM(data) {
		add("ca", "ca has no certificate in PEM")
	}
	if len(m.Names) == 0 {
		add("ca", "names is missing: any certificate of the authority would pass", "names: [sender.example.com]")
	}
	return problems
}

// Verify checks the chain and the names of the sender's certificate.
func (m *MTLS) Verify(r *request.Request, _ [][]byte, now time.Time) (int, error) {
	if len(r.Certificates) == 0 {
		return -1, errors.New("the connection has no client certificate")
	}
	if m.roots == nil || len(m.Names) == 0 {
		return -1, errors.New("there is nobody to trust")
	}
	leaf, between := r.Certificates[0], x509.NewCertPool()
	for _, c := range r.Certificates[1:] {
		between.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: m.roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return -1, fmt.Errorf("client certificate: %w", err)
	}
	if !slices.ContainsFunc(m.Names, func(name string) bool {
		return strings.EqualFold(leaf.Subject.CommonName, name) || leaf.VerifyHostname(name) == nil
	}) {
		return -1, errors.New("the client certificate has none of the names")
	}
	return -1, nil
}

// Sign is an error: a certificate is of the connection.
func (*MTLS) Sign(*request.Request, []byte, time.Time) error {
	return OnlySender("a client certificate is of the connection, not of the request: use curl --cert")
}

// Withhold names no header.
func (*MTLS) Withhold() []string { return nil }

// NeedsSecret is false.
func (*MTLS) NeedsSecret() bool { return false }

// WantsCertificate reports whether a verifier, or one in it, looks at client certificates.
func WantsCertificate(v Verifier) bool {
	switch v := v.(type) {
	case *MTLS:
		return true
	case Any:
		return slices.ContainsFunc(v, WantsCertificate)
	case All:
		return slices.ContainsFunc(v, WantsCertificate)
	case Own:
		return WantsCertificate(v.Verifier)
	}
	return false
}
