package daemon

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificate serves a TLS key pair from files and takes a new one up when they change. A pair
// that cannot be read or does not match leaves the old one in force: half-written files are
// seen on every renewal.
type certificate struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	stamp   [2]fileStamp
	checked time.Time
}

type fileStamp struct {
	modified time.Time
	size     int64
}

// recheck is how often a handshake may look at the files.
const recheck = time.Second

func loadCertificate(cert, key string) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("read TLS certificate: %w", err)
	}
	return &pair, nil
}

// tlsConfig returns the server side of TLS for the certificate.
func (c *certificate) tlsConfig() (*tls.Config, error) {
	first, err := loadCertificate(c.cert, c.key)
	if err != nil {
		return nil, err
	}
	c.current, c.stamp = first, c.stamps()
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(time.Now()), nil },
	}, nil
}

// askForCertificates asks senders for a certificate while a hook wants one. Whether it is a right
// one the hook decides: other hooks take senders without.
func (d *Daemon) askForCertificates(plain *tls.Config) *tls.Config {
	asking := plain.Clone()
	asking.ClientAuth = tls.RequestClientCert
	plain.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		for _, h := range d.hooks().Hooks() {
			if h.WantsCertificate() {
				return asking, nil
			}
		}
		return nil, nil
	}
	return plain
}

func (c *certificate) get(now time.Time) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.checked) < recheck {
		return c.current
	}
	c.checked = now
	stamp := c.stamps()
	if stamp == c.stamp {
		return c.current
	}
	next, err := loadCertificate(c.cert, c.key)
	if err != nil {
		c.log.Warn("certificate not taken up, the old one stays", "error", err)
		return c.current
	}
	c.current, c.stamp = next, stamp
	c.log.Info("certificate taken up", "file", c.cert)
	return c.current
}

func (c *certificate) stamps() [2]fileStamp {
	var out [2]fileStamp
	for i, path := range []string{c.cert, c.key} {
		if info, err := os.Stat(path); err == nil {
			out[i] = fileStamp{info.ModTime(), info.Size()}
		}
	}
	return out
}
