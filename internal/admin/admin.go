// Package admin is the daemon's own door: the JSON API under /api/v1, /healthz, /readyz and
// /metrics on the admin listener, and the client that the command line uses.
//
// The door is closed by default. Who may enter depends on how they come:
//
//   - over a unix socket: root and the daemon's own user, as the kernel names the peer;
//   - over TCP with tokens configured: whoever sends one as "Authorization: Bearer", for what its
//     scope allows;
//   - over loopback TCP without a token: root and the daemon's own user. The kernel's table of
//     connections (/proc/net/tcp, /proc/net/tcp6) says whose socket the other end is. A request
//     that carries a proxy's headers is refused, because then the proxy's user would be asked;
//   - over any other address without a token: nobody, and the daemon does not start on one.
//
// /healthz and /readyz are open. Requests whose Host is not ours are refused (DNS rebinding), so
// are changes that a page of another origin asks for. The API lists, retries, replays, cancels,
// pauses, explains and reloads; it cannot create or change commands, rules or secrets.
package admin

import (
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/tenterhook/tenterhook/internal/panics"
)

// Options is what Handler needs beside its Backend.
type Options struct {
	Listen  string           // as configured: decides which Host values are ours
	Token   []byte           // of scope admin; nil: none is configured
	Tokens  []Token          // further ones
	Hosts   []string         // further Host values (names without port) to answer to
	Metrics http.Handler     // served on /metrics; nil: 404
	Feed    *Feed            // what happens; the daemon publishes and closes it. nil: nothing does
	Pages   func(Door) Pages // the web UI, on all paths that are not the API's; nil: none
	Log     *slog.Logger     // audit lines and refusals; nil: discarded
	// Panicked is told of each panic that a request ended with. It may be nil.
	Panicked func()

	// now and owner are replaced by tests only.
	now   func() time.Time
	owner int
}

// Handler serves the admin listener. It must be served by a server made with NewServer, which
// tells it who is at the other end of a connection; without that only a token opens it.
func Handler(b Backend, o Options) http.Handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.now == nil {
		o.now = time.Now
	}
	if o.owner == 0 {
		o.owner = os.Geteuid()
	}
	if o.Feed == nil {
		o.Feed = NewFeed()
	}
	a := &api{backend: b, feed: o.Feed, log: o.Log, now: o.now}
	gate := newGate(o)
	if o.Pages != nil {
		a.pages = o.Pages(entrance{gate, a})
	}
	guarded := gate.wrap(a.routes(o.Metrics))

	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", a.healthz)
	mux.HandleFunc("GET /readyz", a.readyz)
	if a.pages == nil {
		mux.Handle("/", guarded)
		return harden(a.surviving(mux, o.Panicked))
	}
	mux.Handle("/api/", guarded)
	mux.Handle("/metrics", guarded)
	mux.Handle("/", gate.pages(a.pages))
	return harden(a.surviving(mux, o.Panicked))
}

// surviving answers a panic of next with a problem and logs it, once.
func (a *api) surviving(next http.Handler, panicked func()) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		panics.Serve(w, r, next.ServeHTTP, func(p panics.Panic) {
			a.log.ErrorContext(r.Context(), "admin request failed, by a fault of this program",
				"method", r.Method, "path", r.URL.Path, "panic", p.Text, "stack", p.Stack)
			if panicked != nil {
				panicked()
			}
		}, func(w http.ResponseWriter, _ *http.Request) {
			refuse(w, http.StatusInternalServerError, "a fault of the daemon; its log has it")
		})
	})
}

// NewServer returns a server for h with the admin listener's bounds. The caller serves and shuts
// it down.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	s := &http.Server{
		Handler:           h,
		ConnContext:       connContext,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      60 * time.Second, // a reload may run the configuration's tests
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
	}
	if log != nil {
		s.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	}
	return s
}

// harden sets the headers of every answer and bounds every body.
func harden(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

// maxBody bounds a request to the API; none needs more than a few bytes.
const maxBody = 1 << 20
