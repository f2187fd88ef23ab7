package action

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// private are the networks a request does not reach unless its rule says so: this machine, the
// local network, and what routes to them. From IANA's special-purpose registries (RFC 6890), and
// the one public address behind which a cloud keeps the metadata of its machines (Azure's
// WireServer).
var private = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
	"192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
)

// unicast6 is all of IPv6 that has been given out for the public internet (RFC 4291, section 2.4,
// and IANA's registry). Outside of it are this machine and the local networks, and every way to
// write an IPv4 address as one of IPv6.
var unicast6 = netip.MustParsePrefix("2000::/3")

func prefixes(all ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(all))
	for i, s := range all {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// nat64 is the prefix behind which a translator reaches the IPv4 internet for networks that have
// IPv6 alone (RFC 6052): what counts is the address inside.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// isPrivate reports whether an address is not the public internet's.
func isPrivate(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	if nat64.Contains(addr) {
		b := addr.As16()
		addr = netip.AddrFrom4([4]byte(b[12:]))
	}
	if !addr.IsValid() || addr.Is6() && !unicast6.Contains(addr) {
		return true
	}
	for _, p := range private {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// errRefused is why a request was not made: a further attempt would not be either.
var errRefused = errors.New("refused")

// guardDial refuses a connection by the address it really goes to, after every name was
// resolved: a name that resolves to another address the second time gains nothing.
func guardDial(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w to connect to %q", errRefused, address)
	}
	if isPrivate(ap.Addr()) {
		return fmt.Errorf("%w to connect to %s: not a public address (allow_private: true allows it)", errRefused, ap.Addr())
	}
	return nil
}

// The bounds of a request's parts; its whole is bounded by the rule's timeout.
const (
	connectTimeout   = 5 * time.Second
	tlsTimeout       = 5 * time.Second
	maxResponseHead  = 64 << 10
	idlePerHost      = 2
	idleAll          = 32
	idleTimeout      = 30 * time.Second
	expectedContinue = time.Second
)

// transports are shared by all rules of a kind of network, with bounded idle connections; no
// credential is ever kept in one: headers are the request's own, and there are no cookies.
var transports = sync.OnceValue(func() map[bool]http.RoundTripper {
	return map[bool]http.RoundTripper{false: newTransport(guardDial, nil), true: newTransport(nil, nil)}
})

// newTransport calls control with every address before it is connected to. A nil resolver is the
// system's.
func newTransport(control func(network, address string, c syscall.RawConn) error, resolver *net.Resolver) *http.Transport {
	dialer := &net.Dialer{Timeout: connectTimeout, Control: control, Resolver: resolver}
	return &http.Transport{
		Proxy: nil, // the environment's proxy would be dialled instead of the target
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, addr)
		},
		TLSHandshakeTimeout:    tlsTimeout,
		MaxResponseHeaderBytes: maxResponseHead,
		MaxIdleConns:           idleAll,
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        idleTimeout,
		ExpectContinueTimeout:  expectedContinue,
		ForceAttemptHTTP2:      true,
	}
}
