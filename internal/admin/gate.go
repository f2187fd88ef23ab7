package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// gate decides who may use the API. It is the only place that does.
type gate struct {
	passes []pass   // the tokens; with none, who has the right uid may enter
	hosts  []string // lower case, no port
	owner  int      // the uid that may enter beside root
	tries  *tries
	cross  *http.CrossOriginProtection
	log    *slog.Logger
	now    func() time.Time
}

func newGate(o Options) *gate {
	g := &gate{
		hosts:  []string{"localhost", "127.0.0.1", "::1"},
		passes: passes(o), owner: o.owner, tries: newTries(), cross: http.NewCrossOriginProtection(), log: o.Log, now: o.now,
	}
	if host, _, err := net.SplitHostPort(o.Listen); err == nil && host != "" {
		g.hosts = append(g.hosts, hostName(host))
	}
	for _, host := range o.Hosts {
		g.hosts = append(g.hosts, hostName(host))
	}
	return g
}

// wrap lets a request through to next when its host, its origin and its sender are right, in
// this order: what a foreign page makes a browser ask for never gets as far as the token.
func (g *gate) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer := peerOf(r.Context())
		if !g.meant(w, r, peer.unix) {
			return
		}
		who, err := g.admit(r, peer)
		if err != nil {
			g.refuse(w, r, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(who.in(r.Context())))
	})
}

// pages lets a request through to the web UI, which asks for a session itself. A browser that
// reaches a unix socket comes through a forwarded port, so its host is looked at too.
func (g *gate) pages(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.meant(w, r, false) {
			next.ServeHTTP(w, r)
		}
	})
}

// meant refuses what was not meant for this listener, or what a page of another origin asks for.
func (g *gate) meant(w http.ResponseWriter, r *http.Request, anyHost bool) bool {
	if !anyHost && !g.ourHost(r) {
		g.log.WarnContext(r.Context(), "admin request refused", "reason", "host", "host", r.Host, "remote", r.RemoteAddr)
		refuse(w, http.StatusMisdirectedRequest, "this host name is not one of ours")
		return false
	}
	if err := g.cross.Check(r); err != nil {
		g.log.WarnContext(r.Context(), "admin request refused", "reason", "cross-origin", "origin", r.Header.Get("Origin"), "remote", r.RemoteAddr)
		refuse(w, http.StatusForbidden, "a page of another origin may not change anything here")
		return false
	}
	return true
}

// The reasons of a refusal, for the log and, where that helps nobody but the owner, the answer.
var (
	errTooMany = errors.New("too many wrong tokens from this address")
	errNoToken = errors.New("a token is needed")
	errToken   = errors.New("wrong token")
	errNoneSet = errors.New("no token is configured")
	errProxied = errors.New("the request came through a proxy; without a token only direct ones are taken")
	errBrowser = errors.New("a browser that does not say whose page it shows may not change anything without a token")
	errPeer    = errors.New("only root and the daemon's own user may enter without a token")
)

func (g *gate) refuse(w http.ResponseWriter, r *http.Request, err error) {
	g.log.WarnContext(r.Context(), "admin request refused", "reason", err, "path", r.URL.Path, "remote", r.RemoteAddr)
	if errors.Is(err, errTooMany) {
		refuse(w, http.StatusTooManyRequests, errTooMany.Error())
		return
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="tenterhook"`)
	for _, told := range []error{errNoToken, errToken, errProxied, errBrowser, errPeer} {
		if errors.Is(err, told) {
			refuse(w, http.StatusUnauthorized, told.Error())
			return
		}
	}
	refuse(w, http.StatusUnauthorized, "")
}

// admit returns who asks, or why they may not.
func (g *gate) admit(r *http.Request, peer peer) (who visitor, err error) {
	switch {
	case peer.unix:
		return g.admitUser(peer.uid())
	case len(g.passes) > 0:
		return g.admitToken(r)
	}
	for _, name := range proxyHeaders {
		if len(r.Header.Values(name)) > 0 {
			return visitor{}, errProxied
		}
	}
	if unnamedBrowser(r) {
		return visitor{}, errBrowser
	}
	return g.admitUser(peer.uid())
}

// unnamedBrowser reports whether a browser asks for a change and does not say whose page it is: some
// before 2020 send no Origin with a form. Any page could then have it post here, where the user's
// id alone opens. https://bugzilla.mozilla.org/show_bug.cgi?id=446344
func unnamedBrowser(r *http.Request) bool {
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
	return !safe && r.Header.Get("Origin") == "" && r.Header.Get("Sec-Fetch-Site") == "" &&
		strings.HasPrefix(r.UserAgent(), "Mozilla/")
}

// proxyHeaders are what a proxy in front of a loopback listener adds. The connection is then the
// proxy's, and says nothing about who asks.
var proxyHeaders = []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip"}

func (g *gate) admitUser(uid int, err error) (visitor, error) {
	if err != nil {
		return visitor{}, fmt.Errorf("%w: %w", errPeer, err)
	}
	if uid != 0 && uid != g.owner {
		return visitor{}, fmt.Errorf("%w: uid %d", errPeer, uid)
	}
	return visitor{fmt.Sprintf("uid %d", uid), ScopeAdmin}, nil
}

// admitToken compares digests, all of them, so that neither the length nor a common beginning
// can be timed.
func (g *gate) admitToken(r *http.Request) (visitor, error) {
	from := remoteIP(r)
	given := r.Header.Values("Authorization")
	if len(given) == 0 {
		return visitor{}, errNoToken
	}
	if !g.tries.allowed(from, g.now()) {
		return visitor{}, errTooMany
	}
	scheme, token, _ := strings.Cut(given[0], " ")
	digest := sha256.Sum256([]byte(token))
	found := -1
	for i := range g.passes {
		if subtle.ConstantTimeCompare(digest[:], g.passes[i].digest[:]) == 1 {
			found = i
		}
	}
	if len(given) != 1 || !strings.EqualFold(scheme, "Bearer") || found < 0 {
		g.tries.failed(from, g.now())
		return visitor{}, errToken
	}
	return g.passes[found].visitor, nil
}

// ourHost reports whether the request was meant for this listener: a name of ours, or the very
// address it came in on. A page cannot make a browser send either for its own name.
func (g *gate) ourHost(r *http.Request) bool {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = hostName(host)
	if slices.Contains(g.hosts, host) {
		return true
	}
	ip, err := netip.ParseAddr(host)
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if err != nil || !ok {
		return false
	}
	addr, err := netip.ParseAddrPort(local.String())
	return err == nil && addr.Addr().Unmap() == ip.Unmap()
}

// hostName is a host as it is compared: lower case, without brackets or a final dot.
func hostName(host string) string {
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func remoteIP(r *http.Request) netip.Addr {
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Addr().Unmap()
}
