package ingress

import (
	"log"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tenterhook/tenterhook/internal/crashpoint"
)

// The bounds of a connection. A slow or idle peer is cut, whatever it sends.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 20 * time.Second
	writeTimeout      = longestAnswer + 20*time.Second
	idleTimeout       = 60 * time.Second
	maxHeaderBytes    = 16 << 10
	longestAnswer     = 60 * time.Second // respond.wait at most
)

// NewServer is an http.Server with every bound set. errorLog takes what net/http has to say.
func NewServer(h http.Handler, errorLog *log.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          errorLog,
	}
}

// Limits bounds connections.
type Limits struct {
	Connections int // in all; 0 is 4096
	PerAddress  int // from one address (of IPv6: one /64) that is neither loopback nor a trusted proxy; 0 is 100
}

// Bound wraps a listener so that it holds at most so many connections. One beyond an address's
// bound is closed at once; one beyond the whole bound waits in the kernel's queue.
func Bound(l net.Listener, limits Limits, proxies []netip.Prefix) *BoundListener {
	if limits.Connections == 0 {
		limits.Connections = 4096
	}
	if limits.PerAddress == 0 {
		limits.PerAddress = 100
	}
	return &BoundListener{
		Listener: l, limits: limits, proxies: proxies,
		slots: make(chan struct{}, limits.Connections), closed: make(chan struct{}), held: map[netip.Prefix]int{},
	}
}

// BoundListener holds a bounded number of connections. Make one with Bound.
type BoundListener struct {
	net.Listener
	limits  Limits
	proxies []netip.Prefix
	slots   chan struct{}
	closed  chan struct{}
	once    sync.Once

	mu   sync.Mutex
	held map[netip.Prefix]int // by what one sender can be assumed to own
	open int
}

// Open is how many connections it handed out that have not been closed.
func (l *BoundListener) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

// Accept implements net.Listener.
func (l *BoundListener) Accept() (net.Conn, error) {
	for {
		select {
		case l.slots <- struct{}{}:
		case <-l.closed:
			return nil, net.ErrClosed
		}
		conn, err := l.Listener.Accept()
		if err != nil {
			<-l.slots
			return nil, err
		}
		addr := network(peerIP(conn.RemoteAddr().String()))
		if !l.enter(addr) {
			<-l.slots
			_ = conn.Close() // beyond its bound: nothing to say to it
			continue
		}
		crashpoint.Reach(crashpoint.AfterAccept)
		return &boundConn{Conn: conn, leave: func() { l.exit(addr); <-l.slots }}, nil
	}
}

// Close implements net.Listener.
func (l *BoundListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

func (l *BoundListener) enter(addr netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	ip := addr.Addr()
	exempt := ip.IsLoopback() || !addr.IsValid() || ip.IsUnspecified() && addr.Bits() == 32 || l.isProxy(addr)
	if !exempt && l.held[addr] >= l.limits.PerAddress {
		return false
	}
	l.held[addr]++
	l.open++
	return true
}

// isProxy reports whether a trusted proxy may be among the addresses.
func (l *BoundListener) isProxy(addr netip.Prefix) bool {
	return slices.ContainsFunc(l.proxies, addr.Overlaps)
}

func (l *BoundListener) exit(addr netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.held[addr]--; l.held[addr] <= 0 {
		delete(l.held, addr)
	}
}

type boundConn struct {
	net.Conn
	once  sync.Once
	leave func()
}

func (c *boundConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.leave)
	return err
}
