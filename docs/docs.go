// Package docs is the documentation of the program, which the admin listener serves as pages: the
// Markdown files of this folder, as they are. README.md is the index, and its headings and
// lists are the menu.
package docs

import (
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"sync"
)

//go:embed *.md decisions/*.md
//go:embed images/flow-*.svg images/performance-*.svg
var files embed.FS

// Index is the page that lists the others.
const Index = "README"

// source is where what is not embedded can be read.
const source = "https://github.com/tenterhook/tenterhook/blob/main/"

// Group is a heading of the index and the pages below it.
type Group struct {
	Title string
	Pages []Link
}

// Link is a page as the index names it.
type Link struct{ Name, Title string }

// Page is a rendered page.
type Page struct {
	Name     string // its file without the ending: "configuration", "decisions/one-writer"
	Title    string
	Body     template.HTML
	Sections []Link // its second headings; Name is the anchor
}

// Names are all pages, the index among them.
func Names() []string {
	var names []string
	_ = fs.WalkDir(files, ".", func(file string, _ fs.DirEntry, _ error) error { // it is in memory
		if name, ok := strings.CutSuffix(file, ".md"); ok {
			names = append(names, name)
		}
		return nil
	})
	return names
}

// Source is the Markdown of a page; false when there is none of this name.
func Source(name string) ([]byte, bool) {
	content, err := files.ReadFile(name + ".md")
	return content, err == nil
}

// Image is a picture of the pages; false when there is none of this name. Those of the web UI are not embedded: who reads
// the pages there has it before them.
func Image(name string) (content []byte, contentType string, found bool) {
	content, err := files.ReadFile(path.Join("images", name))
	switch path.Ext(name) {
	case ".png":
		contentType = "image/png"
	case ".svg":
		contentType = "image/svg+xml"
	}
	return content, contentType, err == nil && contentType != ""
}

// Menu is the index as groups.
var Menu = sync.OnceValue(func() []Group {
	content, _ := Source(Index)
	var groups []Group
	for line := range strings.SplitSeq(string(content), "\n") {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			groups = append(groups, Group{Title: title})
			continue
		}
		if found := listed.FindStringSubmatch(line); found != nil && len(groups) > 0 {
			last := &groups[len(groups)-1]
			last.Pages = append(last.Pages, Link{Name: found[2], Title: found[1]})
		}
	}
	return groups
})

// listed is a line of the index that is a page.
var listed = regexp.MustCompile(`^- \[([^]]+)\]\(([^.)][^)]*)\.md\)`)

// rendered keeps each page that was asked for; there are as many as there are files.
var rendered sync.Map

// Render makes a page; an error for a name that is none.
func Render(name string) (*Page, error) {
	if page, ok := rendered.Load(name); ok {
		return page.(*Page), nil
	}
	content, ok := Source(name)
	if !ok {
		return nil, fmt.Errorf("render %q: %w", name, fs.ErrNotExist)
	}
	w := render(string(content), func(to string) string { return destination(to, path.Dir(name)) })
	page := &Page{Name: name, Body: template.HTML(w.out.String())} // our own pages, embedded
	for _, h := range w.headings {
		switch {
		case h.level == 1 && page.Title == "":
			page.Title = h.text
		case h.level == 2:
			page.Sections = append(page.Sections, Link{Name: h.id, Title: h.text})
		}
	}
	rendered.Store(name, page)
	return page, nil
}

// destination is where a link of a page in folder leads: to a page here, or to the repository.
func destination(to, folder string) string {
	if to == "" || strings.HasPrefix(to, "#") || strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
		return to
	}
	file, anchor, _ := strings.Cut(to, "#")
	if anchor != "" {
		anchor = "#" + anchor
	}
	file = path.Join("docs", folder, file)
	inside, ok := strings.CutPrefix(file, "docs/")
	if ok {
		if name, isPage := strings.CutSuffix(inside, ".md"); isPage {
			if _, found := Source(name); found {
				return "/docs/" + name + anchor
			}
		}
		if _, _, found := Image(strings.TrimPrefix(inside, "images/")); found {
			return "/docs/" + inside
		}
	}
	return source + file + anchor
}
