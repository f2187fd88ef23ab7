package admin

import (
	"net/http"
	"time"
)

// Pages is the web UI: everything on the admin listener that is not the API, the metrics or a
// health check. It decides itself who may see what; the gate has looked at the request's host and
// origin before.
type Pages interface {
	http.Handler
	// LoginLink returns the path and query of a page that lets whoever opens it in, once and
	// before it expires, in the name of v.
	LoginLink(v Visitor) (path string, expires time.Time)
}

// Visitor is who somebody is, as the audit log has it, and what they may do.
type Visitor struct {
	Who   string
	Scope Scope
}

// Door is what the pages ask of the admin side beside its Backend.
type Door interface {
	// AdmitToken says whose token it is that somebody types in, with the gate's bounds on wrong
	// ones. The error is one to show.
	AdmitToken(r *http.Request, token string) (Visitor, error)
	// Audit keeps what who did through a page, to what, and what came of it: "ok", or why not.
	Audit(r *http.Request, who, action, subject, result string)
	// Events streams what happens to who, as GET events does.
	Events(who string) http.Handler
}

// entrance implements Door.
type entrance struct {
	gate *gate
	api  *api
}

func (d entrance) Audit(r *http.Request, who, action, subject, result string) {
	d.api.audit(inTheNameOf(r, who), action, subject, "", result)
}

func (d entrance) Events(who string) http.Handler {
	events := d.api.streaming(eventFilters, d.api.events)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { events.ServeHTTP(w, inTheNameOf(r, who)) })
}

func inTheNameOf(r *http.Request, who string) *http.Request {
	return r.WithContext(visitor{who, ScopeRead}.in(r.Context()))
}

// LoginLink is the answer to POST login-links.
type LoginLink struct {
	Path      string `json:"path"` // with its query, below the admin listener's address
	ExpiresAt Time   `json:"expires_at"`
}

func (d entrance) AdmitToken(r *http.Request, token string) (Visitor, error) {
	if len(d.gate.passes) == 0 {
		return Visitor{}, errNoneSet
	}
	asked := r.Clone(r.Context())
	asked.Header.Set("Authorization", "Bearer "+token)
	v, err := d.gate.admitToken(asked)
	return Visitor{v.who, v.scope}, err
}

// loginLink answers with a new link. It is a change: it lets somebody in.
func (a *api) loginLink(w http.ResponseWriter, r *http.Request) error {
	v, _ := r.Context().Value(visitorKey{}).(visitor)
	path, expires := a.pages.LoginLink(Visitor{v.who, v.scope})
	a.writeJSON(w, r, LoginLink{Path: path, ExpiresAt: Time{expires}})
	return nil
}
