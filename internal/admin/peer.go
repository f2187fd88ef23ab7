package admin

import (
	"context"
	"errors"
	"net"
	"sync"
)

// peer is who is at the other end of a connection.
type peer struct {
	unix bool
	// uid asks the kernel, once per connection; an error means nobody knows.
	uid func() (int, error)
}

type peerKey struct{}

// connContext is the server's ConnContext. A unix peer's uid is fixed when it connects. A TCP
// peer's is looked up when a request needs it and kept for the connection.
func connContext(ctx context.Context, c net.Conn) context.Context {
	if inner, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = inner.NetConn()
	}
	p := peer{uid: unknownPeer}
	switch c := c.(type) {
	case *net.UnixConn:
		p = peer{unix: true, uid: sync.OnceValues(func() (int, error) { return unixPeer(c) })}
	case *net.TCPConn:
		p.uid = sync.OnceValues(func() (int, error) { return loopbackPeer(c) })
	}
	return context.WithValue(ctx, peerKey{}, p)
}

func peerOf(ctx context.Context) peer {
	if p, ok := ctx.Value(peerKey{}).(peer); ok {
		return p
	}
	return peer{uid: unknownPeer}
}

var errUnknownPeer = errors.New("the other end of the connection is not known")

func unknownPeer() (int, error) { return 0, errUnknownPeer }
