package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/store"
)

// api answers requests that the gate let in.
type api struct {
	backend Backend
	feed    *Feed
	pages   Pages // nil: none
	log     *slog.Logger
	now     func() time.Time
}

// prefix of every route of the API.
const prefix = "/api/v1/"

// routes is the whole API. Only POST changes anything.
func (a *api) routes(metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	for _, route := range a.table() {
		mux.Handle(route.method+" "+prefix+route.path, a.needs(route.scope, route.handler))
	}
	if metrics != nil {
		mux.Handle("GET /metrics", a.needs(ScopeRead, metrics))
	}
	return problemsFor(mux)
}

// reading wraps a route that changes nothing: its query is checked and its time is bounded.
func (a *api) reading(query []string, serve func(http.ResponseWriter, *http.Request, url.Values)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, err := parseQuery(r.URL.RawQuery, query)
		if err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), storeWait)
		defer cancel()
		serve(w, r.WithContext(ctx), q)
	})
}

// changing wraps a route that changes something: who did what to which job, and whether it
// worked, becomes one entry of the audit log.
func (a *api) changing(action string, serve func(http.ResponseWriter, *http.Request) error) http.Handler {
	return a.recorded(action, func(w http.ResponseWriter, r *http.Request) error {
		if status, err := noBody(r); err != nil {
			noteOf(r).none = true
			refuse(w, status, err.Error())
			return err
		}
		return serve(w, r)
	})
}

// recorded is changing for a route that reads a body itself.
func (a *api) recorded(action string, serve func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := parseQuery(r.URL.RawQuery, nil); err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		said := &note{subject: subject(r)}
		err := serve(w, r.WithContext(said.in(r.Context())))
		result := "ok"
		if err != nil {
			result = err.Error()
		}
		if !said.none {
			a.audit(r, action, said.subject, said.detail, result)
		}
	})
}

// subject is what a request changes: a job's id, or a hook or rule by name.
func subject(r *http.Request) string {
	if hook := r.PathValue("hook"); hook != "" {
		return strings.TrimSuffix(hook+"/"+r.PathValue("rule"), "/")
	}
	return r.PathValue("id")
}

// noBody checks that a request brings nothing but, at most, an empty JSON object.
func noBody(r *http.Request) (status int, err error) {
	body, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return http.StatusRequestEntityTooLarge, errors.New("the body is too large")
	}
	if err != nil {
		return http.StatusBadRequest, errors.New("the body cannot be read")
	}
	if len(body) == 0 {
		return 0, nil
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return http.StatusUnsupportedMediaType, errors.New("a body must be application/json")
	}
	var nothing struct{}
	if err := json.Unmarshal(body, &nothing, json.RejectUnknownMembers(true)); err != nil {
		return http.StatusBadRequest, errors.New("the body must be empty or {}")
	}
	return 0, nil
}

func (a *api) deliveries(w http.ResponseWriter, r *http.Request, q url.Values) {
	f, err := parseFilter(q, a.now())
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	if s := parseSearch(q); !s.IsZero() {
		a.search(w, r, f, s)
		return
	}
	found, err := a.backend.Deliveries(r.Context(), f)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	list := make([]Delivery, len(found))
	for i := range found {
		list[i] = NewDelivery(&found[i])
	}
	if len(found) > 0 {
		linkNext(w, r, f, len(found), found[len(found)-1].ID)
	}
	a.writeJSON(w, r, list)
}

func (a *api) jobs(w http.ResponseWriter, r *http.Request, q url.Values) {
	f, err := parseFilter(q, a.now())
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	found, err := a.backend.Jobs(r.Context(), f)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	list := make([]Job, len(found))
	for i := range found {
		list[i] = NewJob(&found[i])
	}
	if len(found) > 0 {
		linkNext(w, r, f, len(found), found[len(found)-1].ID)
	}
	a.writeJSON(w, r, list)
}

// linkNext names the next page when this one is full. Its durations became instants, so that a
// page turned later shows the rows that follow.
func linkNext(w http.ResponseWriter, r *http.Request, f store.Filter, n int, last string) {
	if n < f.Limit {
		return
	}
	f.Cursor = last
	w.Header().Set("Link", "<"+r.URL.Path+"?"+encodeFilter(f).Encode()+`>; rel="next"`)
}

// known answers 404 for what cannot be an id, before a store is asked.
func known(w http.ResponseWriter, r *http.Request) (id string, ok bool) {
	id = r.PathValue("id")
	if !isID(id) {
		refuse(w, http.StatusNotFound, store.ErrNotFound.Error())
		return "", false
	}
	return id, true
}

func (a *api) delivery(w http.ResponseWriter, r *http.Request, _ url.Values) {
	id, ok := known(w, r)
	if !ok {
		return
	}
	d, err := a.backend.Delivery(r.Context(), id)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.writeJSON(w, r, NewDeliveryDetail(&d))
}

// deliveryBody answers the raw body, never under the content type its sender chose: what a
// stranger sent must not become a page of this origin.
func (a *api) deliveryBody(w http.ResponseWriter, r *http.Request, _ url.Values) {
	id, ok := known(w, r)
	if !ok {
		return
	}
	d, err := a.backend.Delivery(r.Context(), id)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="`+id+`.body"`)
	_, _ = w.Write(d.Body) // a client that went away needs no answer
}

func (a *api) job(w http.ResponseWriter, r *http.Request, _ url.Values) {
	id, ok := known(w, r)
	if !ok {
		return
	}
	j, attempts, err := a.jobWithOutput(r.Context(), id)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	followUps, err := a.backend.FollowUps(r.Context(), id)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	reports, err := a.backend.Reports(r.Context(), id)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	detail := NewJobDetail(&j, attempts, followUps)
	detail.Reports = NewReports(reports)
	if detail.Shares, err = Shares(r.Context(), a.backend, &j); err != nil {
		a.fail(w, r, err)
		return
	}
	a.writeJSON(w, r, detail)
}

func (a *api) hooks(w http.ResponseWriter, r *http.Request, _ url.Values) {
	hooks := a.backend.Hooks()
	if hooks == nil {
		hooks = []HookInfo{}
	}
	a.writeJSON(w, r, hooks)
}

func (a *api) status(w http.ResponseWriter, r *http.Request, _ url.Values) {
	s := a.backend.Status()
	s.Ready, s.Streams = true, a.feed.Streams()
	if err := a.backend.Ready(r.Context()); err != nil {
		s.Ready, s.NotReady = false, err.Error()
	}
	// A store that cannot even count is said so in NotReady; the rest is worth showing.
	counts, err := a.backend.Counts(r.Context())
	if err != nil && s.Ready {
		s.Ready, s.NotReady = false, err.Error()
	}
	s.Jobs = counts
	a.writeJSON(w, r, s)
}

func (a *api) retry(w http.ResponseWriter, r *http.Request) error {
	id, ok := known(w, r)
	if !ok {
		return store.ErrNotFound
	}
	j, err := a.backend.Retry(r.Context(), id)
	if err != nil {
		a.fail(w, r, err)
		return err
	}
	a.writeJSON(w, r, NewJob(&j))
	return nil
}

func (a *api) cancel(w http.ResponseWriter, r *http.Request) error {
	id, ok := known(w, r)
	if !ok {
		return store.ErrNotFound
	}
	if err := a.backend.Cancel(r.Context(), id); err != nil {
		a.fail(w, r, err)
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// replay answers with the jobs that a replay made; none when nothing matched, or all of it waits
// or runs.
func (a *api) replay(which ReplayOf) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		id, ok := known(w, r)
		if !ok {
			return store.ErrNotFound
		}
		jobs, err := a.backend.Replay(r.Context(), id, which)
		if err != nil {
			a.fail(w, r, err)
			return err
		}
		out := []Job{}
		for i := range jobs {
			out = append(out, NewJob(&jobs[i]))
		}
		a.writeJSON(w, r, out)
		return nil
	}
}

// pausing answers the routes that pause and resume a hook or one of its rules.
func (a *api) pausing(on bool) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := a.backend.SetPause(r.Context(), r.PathValue("hook"), r.PathValue("rule"), on); err != nil {
			a.fail(w, r, err)
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

func (a *api) reload(w http.ResponseWriter, r *http.Request) error {
	result, err := a.backend.Reload(r.Context())
	if err != nil {
		a.fail(w, r, err)
		return err
	}
	found := NewDiagnostics(result.Problems)
	if slices.ContainsFunc(result.Problems, func(d config.Diagnostic) bool { return d.Severity != config.Warning }) {
		writeProblem(w, Problem{Status: http.StatusUnprocessableEntity, Detail: "the configuration has problems, nothing was changed", Problems: found})
		return errors.New("refused: the configuration has problems")
	}
	a.writeJSON(w, r, Reload{Changed: result.Changed, Digest: result.Digest, Problems: found, NeedsRestart: result.NeedsRestart})
	return nil
}

// problemsFor makes the mux's own answers (404, 405) problems like all others.
func problemsFor(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		// The mux names the methods it would take in Allow; everything else of its answer is ours.
		probe := discarded{header: http.Header{}}
		mux.ServeHTTP(&probe, r)
		status := http.StatusNotFound
		if allow := probe.header.Get("Allow"); allow != "" {
			w.Header().Set("Allow", allow)
			status = http.StatusMethodNotAllowed
		}
		refuse(w, status, "")
	})
}

// discarded is a ResponseWriter that keeps the headers only.
type discarded struct{ header http.Header }

func (d *discarded) Header() http.Header         { return d.header }
func (d *discarded) Write(b []byte) (int, error) { return len(b), nil }
func (d *discarded) WriteHeader(int)             {}
