package ingress

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// clientIP is the sender's address: the connection's, or, when that is a trusted proxy, the
// right-most address of X-Forwarded-For that is not one. A header from anybody else is ignored,
// and a malformed one ends the walk at the last proxy that is known.
func clientIP(r *http.Request, proxies []netip.Prefix) netip.Addr {
	peer := peerIP(r.RemoteAddr)
	if !trusted(peer, proxies) {
		return peer
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		addr, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			return peer
		}
		peer = addr.Unmap().WithZone("")
		if !trusted(peer, proxies) {
			return peer
		}
	}
	return peer
}

// scheme is the scheme the sender used, "" when nobody who is believed says so: a proxy in front
// of a plain listener usually took https.
func (h *Handler) scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	if said := r.Header.Get("X-Forwarded-Proto"); (said == "https" || said == "http") && trusted(peerIP(r.RemoteAddr), h.Proxies) {
		return said
	}
	return ""
}

func trusted(ip netip.Addr, proxies []netip.Prefix) bool {
	return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(ip) })
}

func peerIP(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.IPv4Unspecified() // a unix socket has no address
	}
	return ap.Addr().Unmap().WithZone("")
}
