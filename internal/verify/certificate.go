package verify

import (
	"context"
	"crypto" //nolint:gosec // SignatureVersion 1 of Amazon SNS
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync"
	"time"
)

// certificates are those that senders publish, by address. The caller of SignedByCertificate
// decides which addresses are a sender's own.
var certificates = struct {
	sync.Mutex
	of    map[string]fetchedCertificate
	tried time.Time
}{of: map[string]fetchedCertificate{}}

type fetchedCertificate struct {
	certificate *x509.Certificate
	at          time.Time
}

// maxCertificates bounds how many addresses are remembered.
const maxCertificates = 32

// SignedByCertificate checks an RSA signature by the certificate at an https address, or, where
// there are secrets, by these: certificates in PEM. It returns the position of the one that
// matched, -1 for a fetched one.
func SignedByCertificate(address string, pinned [][]byte, algorithm x509.SignatureAlgorithm, message, signature []byte, now time.Time) (int, error) {
	for i, secret := range pinned {
		c, err := parseCertificate(secret)
		if err == nil && checkRSA(c, algorithm, message, signature) == nil {
			return i, nil
		}
	}
	if usable(pinned) {
		return -1, errMismatch
	}
	c, err := certificate(address, now)
	if err != nil {
		return -1, err
	}
	if now.After(c.NotAfter) || now.Before(c.NotBefore) {
		return -1, errors.New("the certificate is not valid at this time")
	}
	return -1, checkRSA(c, algorithm, message, signature)
}

// checkRSA checks without asking for the certificate's purpose: these are no web servers'.
func checkRSA(c *x509.Certificate, algorithm x509.SignatureAlgorithm, message, signature []byte) error {
	key, ok := c.PublicKey.(*rsa.PublicKey)
	if !ok {
		return errors.New("the certificate has no RSA key")
	}
	hash, sum := crypto.SHA256, sha256.Sum256(message)
	digest := sum[:]
	if algorithm == x509.SHA1WithRSA {
		old := sha1.Sum(message)
		hash, digest = crypto.SHA1, old[:]
	}
	if rsa.VerifyPKCS1v15(key, hash, digest, signature) != nil {
		return errMismatch
	}
	return nil
}

// certificate is fetched when it is needed, and kept for an hour.
func certificate(address string, now time.Time) (*x509.Certificate, error) {
	certificates.Lock()
	defer certificates.Unlock()
	if kept, ok := certificates.of[address]; ok && now.Sub(kept.at).Abs() < keysLast {
		return kept.certificate, nil
	}
	// Whoever sends forged messages names addresses of certificates that are not there.
	if now.Sub(certificates.tried).Abs() < time.Second {
		return nil, errors.New("the certificate was not fetched: another one was just now")
	}
	certificates.tried = now
	ctx, cancel := context.WithTimeout(context.Background(), fetchWithin)
	defer cancel()
	data, err := fetch(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("the certificate cannot be fetched: %w", err)
	}
	c, err := parseCertificate(data)
	if err != nil {
		return nil, err
	}
	if len(certificates.of) >= maxCertificates {
		clear(certificates.of)
	}
	certificates.of[address] = fetchedCertificate{c, now}
	return c, nil
}

func parseCertificate(data []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("not a certificate in PEM")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, errors.New("not a readable certificate")
	}
	return c, nil
}

// CheckCertificate finds what is no certificate.
func CheckCertificate(secret []byte) error {
	_, err := parseCertificate(secret)
	return err
}
