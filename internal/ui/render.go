package ui

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/store"
)

//go:embed templates
var templateFiles embed.FS

// templates are the pages by name, each with the layout and the shared parts.
var templates = sync.OnceValue(func() map[string]*template.Template {
	all := map[string]*template.Template{}
	shared := template.Must(template.New("").Funcs(functions()).ParseFS(templateFiles, "templates/shared-*.html"))
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		panic(err) // the pattern is a good one
	}
	for _, name := range names {
		page := template.Must(template.Must(shared.Clone()).ParseFS(templateFiles, name))
		all[strings.TrimSuffix(strings.TrimPrefix(name, "templates/"), ".html")] = page
	}
	return all
})

// layout is what every page has around its own content.
type layout struct {
	Title, Nav string
	Who        string
	CanRun     bool // replay, retry, cancel, pause
	CanReload  bool
	CSRF       string
	Said       string // what was done just now
	Now        time.Time
	Version    string
	Ready      bool
	ReloadOK   bool
	Fleet      bool // there is a page of nodes
	Data       any
}

// render answers with a page; with the part of it that htmx asks for by its element's id, when
// the page has a template of that name.
func (u *UI) render(w http.ResponseWriter, r *http.Request, s *session, v *view) {
	status := u.backend.Status()
	l := layout{
		Title: v.title, Nav: v.nav, Who: s.Who, CanRun: s.Scope.Has(admin.ScopeRun), CanReload: s.Scope.Has(admin.ScopeAdmin), CSRF: s.csrf, Now: u.now(), Version: status.Version,
		Ready: true, ReloadOK: status.Config.LastReloadOK, Fleet: status.Fleet, Data: v.data,
	}
	page := templates()[v.name]
	part := r.URL.Query().Get("part")
	if part == "" || page.Lookup("part-"+part) == nil {
		part = "layout"
		l.Said = s.takeSaid()
		ctx, cancel := context.WithTimeout(r.Context(), readyWait)
		l.Ready = u.backend.Ready(ctx) == nil
		cancel()
	} else {
		part = "part-" + part
	}
	u.write(w, r, v, page, part, &l)
}

// readyWait bounds how long a page waits to say whether the store can commit.
const readyWait = time.Second

func (u *UI) renderLogin(w http.ResponseWriter, r *http.Request, status int, data loginData) {
	u.write(w, r, &view{status: status}, templates()["login"], "login", &layout{Title: "Log in", Now: u.now(), Data: data})
}

// write renders into memory first: a page that cannot be rendered whole is not begun.
func (u *UI) write(w http.ResponseWriter, r *http.Request, v *view, page *template.Template, name string, l *layout) {
	var b bytes.Buffer
	if err := page.ExecuteTemplate(&b, name, l); err != nil {
		u.log.ErrorContext(r.Context(), "page not rendered", "path", r.URL.Path, "error", err)
		http.Error(w, "This page cannot be shown, by a fault of this program; its log says why.", http.StatusInternalServerError)
		return
	}
	for name, value := range v.headers {
		w.Header().Set(name, value)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if v.status != 0 {
		w.WriteHeader(v.status)
	}
	_, _ = w.Write(b.Bytes()) // a client that went away needs no answer
}

// failure is what an error page shows.
type failure struct {
	Status  int
	Message string
	Hint    string
}

// fail answers an error as a page. What it does not know is logged, not shown.
func (u *UI) fail(w http.ResponseWriter, r *http.Request, s *session, err error) {
	f := failure{Status: http.StatusInternalServerError, Message: "Something went wrong; the daemon's log says what."}
	var told *told
	switch {
	case errors.As(err, &told):
		f = failure{told.status, told.message, told.hint}
	case errors.Is(err, errForm):
		f = failure{Status: http.StatusForbidden, Message: upperFirst(err.Error()) + "."}
	case errors.Is(err, store.ErrNotFound):
		f = failure{http.StatusNotFound, "There is nothing here.", "What is older than store.retention is deleted; a hook's name may have changed."}
	case errors.Is(err, store.ErrFenced):
		f = failure{http.StatusConflict, "The job is in another state by now.", "Reload its page to see which."}
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		f = failure{http.StatusServiceUnavailable, "The store did not answer in time.", "Try a shorter range of time or fewer filters; if that does not help, see tenterhook status."}
	}
	if f.Status == http.StatusInternalServerError {
		u.log.ErrorContext(r.Context(), "page failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	u.render(w, r, s, &view{name: "error", title: http.StatusText(f.Status), status: f.Status, data: f})
}

// told is an error that is shown as it is.
type told struct {
	status        int
	message, hint string
}

// Error implements error.
func (t *told) Error() string { return t.message }

func refused(format string, args ...any) error {
	return &told{status: http.StatusBadRequest, message: fmt.Sprintf(format, args...)}
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// status is the daemon's, with what it leaves to its caller.
func (u *UI) status(ctx context.Context) admin.Status {
	s := u.backend.Status()
	s.Ready = true
	if err := u.backend.Ready(ctx); err != nil {
		s.Ready, s.NotReady = false, err.Error()
	}
	counts, err := u.backend.Counts(ctx)
	if err != nil && s.Ready {
		s.Ready, s.NotReady = false, err.Error()
	}
	s.Jobs = counts
	return s
}
