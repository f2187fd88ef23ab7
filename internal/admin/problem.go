package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/tenterhook/tenterhook/internal/store"
)

// Problem is an error as the API answers it (RFC 9457, application/problem+json). The client
// returns it as the error of a call that the daemon refused.
type Problem struct {
	Title    string       `json:"title"` // the status in words
	Status   int          `json:"status"`
	Detail   string       `json:"detail,omitzero"`
	Problems []Diagnostic `json:"problems,omitempty"` // of a refused reload
}

// Error implements error.
func (p *Problem) Error() string {
	if p.Detail != "" {
		return p.Detail
	}
	return fmt.Sprintf("the daemon answered %d %s", p.Status, p.Title)
}

// Is makes errors.Is(err, store.ErrNotFound) and its siblings hold across the wire.
func (p *Problem) Is(target error) bool {
	switch target {
	case store.ErrNotFound:
		return p.Status == http.StatusNotFound
	case store.ErrFenced:
		return p.Status == http.StatusConflict
	case store.ErrUnavailable:
		return p.Status == http.StatusServiceUnavailable
	}
	return false
}

// refuse answers with a problem.
func refuse(w http.ResponseWriter, status int, detail string) {
	writeProblem(w, Problem{Status: status, Detail: detail})
}

func writeProblem(w http.ResponseWriter, p Problem) {
	p.Title = http.StatusText(p.Status)
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	w.Header().Set("Content-Type", "application/problem+json")
	if p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n')) // a client that went away needs no answer
}

// fail answers an error of the backend. What it does not know is logged, not sent.
func (a *api) fail(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, store.ErrNotFound):
		refuse(w, http.StatusNotFound, err.Error())
	case errors.Is(err, store.ErrFenced), errors.Is(err, ErrBusy):
		refuse(w, http.StatusConflict, err.Error())
	case errors.Is(err, ErrRefused):
		refuse(w, http.StatusUnprocessableEntity, err.Error())
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		refuse(w, http.StatusServiceUnavailable, "the store cannot be used now")
		a.log.WarnContext(r.Context(), "admin request not served", "method", r.Method, "path", r.URL.Path, "error", err)
	case errors.Is(err, context.Canceled):
		refuse(w, http.StatusServiceUnavailable, "the request was given up")
	default:
		refuse(w, http.StatusInternalServerError, "")
		a.log.ErrorContext(r.Context(), "admin request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
}

// writeJSON answers with v.
func (a *api) writeJSON(w http.ResponseWriter, r *http.Request, v any) {
	a.writeStatus(w, r, http.StatusOK, v)
}

func (a *api) writeStatus(w http.ResponseWriter, r *http.Request, status int, v any) {
	body, err := encode(v)
	if err != nil {
		a.fail(w, r, fmt.Errorf("encode answer: %w", err))
		return
	}
	w.Header().Set("Content-Type", mediaJSON)
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that went away needs no answer
}
