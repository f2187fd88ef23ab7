package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/tenterhook/tenterhook/internal/store"
)

// Configuration is a version of the configuration that the nodes take from the store.
type Configuration struct {
	Version int64  `json:"version"`
	At      Time   `json:"at"`
	Author  string `json:"author"`
	Digest  string `json:"digest"`
	Message string `json:"message"`
	Content string `json:"content,omitempty"` // lists are without it
}

// PushRequest is what POST configurations takes.
type PushRequest struct {
	Name    string `json:"name,omitzero"`    // what problems call it
	Content string `json:"content,omitzero"` // of a hooks.yaml with hooks, and defaults, tests and reload perhaps
	Message string `json:"message,omitzero"`
	Version int64  `json:"version,omitzero"` // instead of content: make the content of this version the newest again
	After   int64  `json:"after,omitzero"`   // refuse unless this version is the newest: nobody's push is lost
	DryRun  bool   `json:"dry_run,omitzero"` // check only
}

// Pushed is what a push came to.
type Pushed struct {
	Configuration
	DryRun   bool         `json:"dry_run"`
	Changed  bool         `json:"changed"` // it is another one than the newest before
	Warnings []Diagnostic `json:"warnings"`
}

// PushError says that a configuration was refused: nothing was changed.
type PushError struct{ Problems []Diagnostic }

// Error implements error.
func (e *PushError) Error() string { return "the configuration has problems, nothing was changed" }

// The bounds of a push, in bytes.
const (
	mostContent = 900 << 10
	mostMessage = 500
)

// NewConfiguration is the wire form of c.
func NewConfiguration(c store.Configuration) Configuration {
	return Configuration{c.N, Time{c.At}, c.Author, c.Digest, c.Message, c.Content}
}

func (a *api) configurations(w http.ResponseWriter, r *http.Request, _ url.Values) {
	found, err := a.backend.Configurations(r.Context())
	if err != nil {
		a.fail(w, r, err)
		return
	}
	list := make([]Configuration, len(found))
	for i := range found {
		list[i] = NewConfiguration(found[i])
	}
	a.writeJSON(w, r, list)
}

func (a *api) configuration(w http.ResponseWriter, r *http.Request, _ url.Values) {
	n, err := strconv.ParseInt(r.PathValue("version"), 10, 64)
	if err != nil || n < 0 {
		refuse(w, http.StatusNotFound, store.ErrNotFound.Error())
		return
	}
	c, err := a.backend.Configuration(r.Context(), n)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.writeJSON(w, r, NewConfiguration(c))
}

func (a *api) push(w http.ResponseWriter, r *http.Request) error {
	var q PushRequest
	if err := a.readBody(w, r, &q); err != nil {
		return err
	}
	var wrong string
	switch {
	case (q.Content == "") == (q.Version == 0) || q.Version < 0 || q.After < 0:
		wrong = "a push has content, or the version to go back to"
	case len(q.Content) > mostContent:
		wrong = fmt.Sprintf("content is longer than %d bytes", mostContent)
	case len(q.Message) > mostMessage || len(q.Name) > mostMessage:
		wrong = fmt.Sprintf("message and name are at most %d bytes", mostMessage)
	}
	if wrong != "" {
		refuse(w, http.StatusBadRequest, wrong)
		return errors.New(wrong)
	}
	pushed, err := a.backend.Push(r.Context(), whoIs(r), q)
	var refused *PushError
	if errors.As(err, &refused) {
		noteOf(r).none = q.DryRun
		writeProblem(w, Problem{Status: http.StatusUnprocessableEntity, Detail: refused.Error(), Problems: refused.Problems})
		return errors.New("refused: the configuration has problems")
	}
	if err != nil {
		a.fail(w, r, err)
		return err
	}
	noteOf(r).none = q.DryRun
	noteOf(r).subject, noteOf(r).detail = pushed.Digest, fmt.Sprintf("version %d", pushed.Version)
	a.writeJSON(w, r, pushed)
	return nil
}

// Configurations lists the versions in the store, newest first.
func (c *Client) Configurations(ctx context.Context) (list []Configuration, err error) {
	_, err = c.call(ctx, http.MethodGet, "configurations", &list)
	return list, err
}

// Configuration returns a version with its content, 0 for the newest.
func (c *Client) Configuration(ctx context.Context, n int64) (found Configuration, err error) {
	_, err = c.call(ctx, http.MethodGet, "configurations/"+strconv.FormatInt(n, 10), &found)
	return found, err
}

// Push makes a configuration the newest version.
func (c *Client) Push(ctx context.Context, q PushRequest) (p Pushed, err error) {
	err = c.post(ctx, "configurations", q, &p)
	return p, err
}
