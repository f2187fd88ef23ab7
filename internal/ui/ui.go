// Package ui is the web UI: pages for people on the admin listener, rendered here, with their
// style sheet and scripts embedded. They show what came, what was decided and why, and what ran,
// and let one replay, retry, cancel and pause. They cannot change commands, rules or secrets.
//
// Every page can be read, and every action done, without JavaScript: scripts only keep pages up
// to date and move the focus. What a sender wrote goes through html/template or is escaped by
// this package before it is marked as HTML (see text.go, ansi.go, pretty.go); the content
// security policy allows no inline script or style, and nothing from another host.
//
// A new screen is a file with its handler, a template, and a line in routes.
package ui

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/backtest"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/panics"
	"github.com/tenterhook/tenterhook/internal/series"
	"github.com/tenterhook/tenterhook/internal/store"
)

// Backend is what the pages show and ask for. The daemon implements it.
type Backend interface {
	admin.Backend
	// Wait says what keeps a job from starting; false for one that does not wait.
	Wait(id string) (job.Wait, bool)
	// Oldest is the job that has waited longest although its time has come; false for none.
	Oldest() (job.Job, bool)
	// Series is what a hook, or series.All of them, did over a span that ends now.
	Series(hook string, span series.Span) series.Series
	// LastDelivery is when a hook was last delivered to, zero when that is not known.
	LastDelivery(hook string) time.Time
	// ExplainStored says what the rules in force make of a delivery. store.ErrNotFound: its hook
	// is no longer configured.
	ExplainStored(ctx context.Context, d *job.Delivery) (hook.Explanation, error)
	// Backtest lets a candidate for the main file of the configuration decide on what is stored since then. With problems
	// in it there is no report.
	Backtest(ctx context.Context, candidate string, since time.Time) (*backtest.Report, []admin.Diagnostic, error)
}

// Options is what New needs beside its Backend.
type Options struct {
	Door admin.Door
	Log  *slog.Logger // audit lines; nil: discarded
	// Panicked is told of each panic that a page ended with. It may be nil.
	Panicked func()

	now func() time.Time // replaced by tests only
}

// UI serves the pages. It implements admin.Pages.
type UI struct {
	backend  Backend
	door     admin.Door
	log      *slog.Logger
	now      func() time.Time
	sessions *sessions
	panicked func()
	mux      *http.ServeMux
}

// New makes the pages. It starts no goroutines.
func New(b Backend, o Options) *UI {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.now == nil {
		o.now = time.Now
	}
	u := &UI{backend: b, door: o.Door, log: o.Log, now: o.now, sessions: newSessions(o.now), panicked: o.Panicked}
	u.mux = u.routes()
	return u
}

// routes is every page. Only POST changes anything.
func (u *UI) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /assets/{file}", serveAsset)
	mux.HandleFunc("GET /login", u.loginPage)
	mux.HandleFunc("POST /login", u.login)
	mux.HandleFunc("GET /live", u.live)
	see := func(pattern string, h pageHandler) { mux.Handle("GET "+pattern, u.seen(h)) }
	change := func(pattern, action string, h changeHandler) {
		mux.Handle("POST "+pattern, u.changed(admin.ScopeRun, action, h))
	}

	mux.Handle("POST /logout", u.changed(admin.ScopeRead, "", u.logout))
	see("/{$}", u.overview)
	see("/deliveries", u.deliveries)
	see("/deliveries/{id}", u.delivery)
	see("/deliveries/{id}/body", u.deliveryBody)
	see("/deliveries/{id}/replay", u.replayPage)
	change("/deliveries/{id}/replay", "replay", u.replay)
	see("/jobs", u.jobs)
	see("/jobs/{id}", u.job)
	see("/jobs/{id}/output", u.jobOutput)
	change("/jobs/{id}/retry", "retry", u.retry)
	change("/jobs/{id}/cancel", "cancel", u.cancel)
	see("/hooks", u.hooks)
	see("/hooks/{hook}", u.hook)
	change("/hooks/{hook}/pause", "pause", u.pausing(true))
	change("/hooks/{hook}/resume", "resume", u.pausing(false))
	change("/hooks/{hook}/rules/{rule}/pause", "pause", u.pausing(true))
	change("/hooks/{hook}/rules/{rule}/resume", "resume", u.pausing(false))
	see("/nodes", u.nodes)
	see("/bench", u.bench)
	mux.Handle("POST /bench", u.tried(admin.ScopeRun, u.bench))
	see("/rejected", u.rejected)
	see("/audit", u.auditLog)
	see("/config", u.config)
	mux.Handle("GET /config/plan", u.tried(admin.ScopeAdmin, u.plan))
	mux.Handle("POST /config/plan", u.tried(admin.ScopeAdmin, u.tryPlan))
	mux.Handle("POST /config/reload", u.changed(admin.ScopeAdmin, "", u.reload))
	see("/docs/{page...}", u.docs)
	see("/docs/images/{image}", u.docsImage)
	mux.Handle("GET /docs", http.RedirectHandler("/docs/", http.StatusMovedPermanently))
	see("/", func(*http.Request, *visit) (*view, error) { return nil, store.ErrNotFound })
	return mux
}

// policy is the content security policy of every page.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// ServeHTTP implements http.Handler. The caller has checked the request's host and origin.
func (u *UI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", policy)
	panics.Serve(w, r, u.mux.ServeHTTP, func(p panics.Panic) {
		u.log.ErrorContext(r.Context(), "page failed, by a fault of this program", "method", r.Method, "path", r.URL.Path, "panic", p.Text, "stack", p.Stack)
		if u.panicked != nil {
			u.panicked()
		}
	}, func(w http.ResponseWriter, _ *http.Request) {
		// No page: what makes pages may be what is at fault.
		http.Error(w, "Something went wrong, by a fault of this program; the daemon's log says where.", http.StatusInternalServerError)
	})
}

// visit is one request of somebody who is logged in.
type visit struct {
	session *session
	w       http.ResponseWriter // for what is no page: a download
	now     time.Time
}

// view is a page, or the part of one that a script asks for, with what its template shows.
type view struct {
	name    string // of the template
	title   string
	nav     string // the entry of the menu that is current
	status  int    // 0 is 200
	data    any
	headers map[string]string
}

type pageHandler func(r *http.Request, v *visit) (*view, error)

// changeHandler changes something and says where to go on, and what was done in words.
type changeHandler func(r *http.Request, v *visit) (to, said string, err error)

// seen serves a page to who is logged in, and sends everybody else to the login.
func (u *UI) seen(h pageHandler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := u.sessions.of(r)
		if s == nil {
			u.toLogin(w, r)
			return
		}
		shown, err := h(r, &visit{session: s, w: w, now: u.now()})
		if err != nil {
			u.fail(w, r, s, err)
			return
		}
		if shown != nil { // nil: it was answered
			u.render(w, r, s, shown)
		}
	})
}

// tried serves a page of a scope, and a form that is posted for its size and changes nothing.
func (u *UI) tried(needed admin.Scope, h pageHandler) http.Handler {
	page := u.seen(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := u.sessions.of(r)
		switch {
		case s != nil && !s.Scope.Has(needed):
			u.fail(w, r, s, tooLittle(s, needed))
		case s != nil && r.Method == http.MethodPost && !s.owns(r.PostFormValue("csrf")):
			u.fail(w, r, s, errForm)
		default:
			page.ServeHTTP(w, r)
		}
	})
}

func tooLittle(s *session, needed admin.Scope) error {
	return &told{http.StatusForbidden, "Your login does not reach as far as this.", "It has the scope " + string(s.Scope) + "; this needs " + string(needed) + "."}
}

// changed serves an action: it wants a session of its scope and that session's own form, and
// becomes an entry of the audit log. With an action of "" the handler sees to that itself.
func (u *UI) changed(needed admin.Scope, action string, h changeHandler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := u.sessions.of(r)
		if s == nil {
			u.toLogin(w, r)
			return
		}
		if !s.owns(r.PostFormValue("csrf")) {
			u.fail(w, r, s, errForm)
			return
		}
		if !s.Scope.Has(needed) {
			u.fail(w, r, s, tooLittle(s, needed))
			return
		}
		to, said, err := h(r, &visit{session: s, w: w, now: u.now()})
		if action != "" {
			u.audit(r, s, action, err)
		}
		if err != nil {
			u.fail(w, r, s, err)
			return
		}
		s.say(said)
		http.Redirect(w, r, to, http.StatusSeeOther)
	})
}

func (u *UI) audit(r *http.Request, s *session, action string, err error) {
	result := "ok"
	if err != nil {
		result = err.Error()
	}
	u.door.Audit(r, s.Who, action, subject(r), result)
}

// live streams what happens, so that pages ask again for what has changed.
func (u *UI) live(w http.ResponseWriter, r *http.Request) {
	s := u.sessions.of(r)
	if s == nil {
		http.Error(w, "log in first", http.StatusUnauthorized)
		return
	}
	ctx, cancel := s.within(r.Context(), u.now())
	defer cancel()
	u.door.Events(s.Who).ServeHTTP(w, r.WithContext(ctx))
}

// subject is what a request changes: a job's or delivery's id, or a hook or rule by name.
func subject(r *http.Request) string {
	hook, rule := r.PathValue("hook"), r.PathValue("rule")
	switch {
	case rule != "":
		return hook + "/" + rule
	case hook != "":
		return hook
	}
	return r.PathValue("id")
}

// toLogin sends somebody without a session where one is made, and back afterwards.
func (u *UI) toLogin(w http.ResponseWriter, r *http.Request) {
	to := "/login"
	if r.Method == http.MethodGet && r.URL.Path != "/" {
		to += "?next=" + queryEscape(r.URL.RequestURI())
	}
	if r.Header.Get("HX-Request") != "" { // a part of a page must not become the login
		w.Header().Set("HX-Redirect", to)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// errForm: the form was not made for this session.
var errForm = errors.New("this form belongs to another session; go back, reload the page and try again")
