package ui

import (
	"net/http"
	"strings"

	"github.com/tenterhook/tenterhook/docs"
	"github.com/tenterhook/tenterhook/internal/store"
)

// docsData is a page of the documentation and the way to the others.
type docsData struct {
	Menu []docs.Group
	Page *docs.Page
}

// docs shows a page of the documentation of this very version.
func (u *UI) docs(r *http.Request, _ *visit) (*view, error) {
	name := strings.TrimSuffix(r.PathValue("page"), ".md")
	if name == "" {
		name = docs.Index
	}
	page, err := docs.Render(name)
	if err != nil {
		return nil, store.ErrNotFound
	}
	return &view{name: "docs", title: page.Title, nav: "docs", data: docsData{Menu: docs.Menu(), Page: page}}, nil
}

// docsImage serves a picture of the documentation. It may have styles of its own, and nothing else.
func (u *UI) docsImage(r *http.Request, v *visit) (*view, error) {
	content, kind, found := docs.Image(r.PathValue("image"))
	if !found {
		return nil, store.ErrNotFound
	}
	h := v.w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	h.Set("Cache-Control", "private, max-age=3600")
	_, _ = v.w.Write(content) // a client that went away needs no answer
	return nil, nil
}
