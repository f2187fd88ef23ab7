package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

// maxConns bounds the connections of the admin listener: people, scripts and a scraper.
const maxConns = 256

// Listen opens "host:port" or "unix:/path". A unix socket is created for its owner only (0600).
// A socket file that is already there is removed when nothing answers on it; when something
// does, or when the file is no socket, that is an error. Connections beyond 256 are closed.
func Listen(spec string) (net.Listener, error) {
	l, err := Open(spec)
	if err != nil {
		return nil, err
	}
	return bounded(l), nil
}

// Open is Listen without a bound of connections.
func Open(spec string) (net.Listener, error) {
	if path, ok := unixPath(spec); ok {
		return listenUnix(path)
	}
	return net.Listen("tcp", spec)
}

func listenUnix(path string) (net.Listener, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	// Whoever connects before this line is still asked for their uid.
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close() // the error to tell is the first one
		return nil, err
	}
	return l, nil
}

func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("listen on %q: the file exists and is no socket", path)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err == nil {
		_ = c.Close() // it was only a question
		return fmt.Errorf("listen on %q: another process answers there", path)
	}
	if !refused(err) {
		return fmt.Errorf("ask who listens on %q: %w", path, err)
	}
	return os.Remove(path)
}

// unixPath returns the path of a "unix:" address.
func unixPath(spec string) (string, bool) {
	return strings.CutPrefix(spec, "unix:")
}

// IsLocal reports whether only this machine can reach an address to listen on. It resolves no names: of those
// only "localhost" counts.
func IsLocal(listen string) bool {
	if _, ok := unixPath(listen); ok {
		return true
	}
	host, _, err := net.SplitHostPort(listen)
	return err == nil && isLoopback(host)
}

// isLoopback reports whether host is a loopback address or "localhost".
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// bounded closes connections beyond maxConns as they come, so that whoever holds them cannot
// keep the listener from closing or others waiting in silence.
func bounded(l net.Listener) net.Listener {
	return &boundedListener{Listener: l, slots: make(chan struct{}, maxConns)}
}

type boundedListener struct {
	net.Listener
	slots chan struct{}
}

// Accept returns the next connection that there is room for.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.slots <- struct{}{}:
			return &boundedConn{Conn: c, release: sync.OnceFunc(func() { <-l.slots })}, nil
		default:
			_ = c.Close() // there is nobody to tell
		}
	}
}

type boundedConn struct {
	net.Conn
	release func()
}

// NetConn returns the connection itself, for questions to the kernel.
func (c *boundedConn) NetConn() net.Conn { return c.Conn }

// Close closes the connection and makes room.
func (c *boundedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
