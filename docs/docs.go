// Package docs is the documentation of the program, which the admin listener serves as pages: the
// Markdown files of this folder, as they are. README.md is the index, and its headings and
// lists are the menu.
package docs

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"strings"
	"sync"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

//go:embed *.md decisions/*.md images/*.png images/*.svg
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

// Image is a picture of the pages; false when there is none of this name.
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
	for node := parsed(content).FirstChild(); node != nil; node = node.NextSibling() {
		if heading, ok := node.(*ast.Heading); ok && heading.Level == 2 {
			groups = append(groups, Group{Title: plain(heading, content)})
			continue
		}
		_ = ast.Walk(node, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
			link, ok := n.(*ast.Link)
			if !ok || !entering || len(groups) == 0 {
				return ast.WalkContinue, nil
			}
			if name, isPage := strings.CutSuffix(string(link.Destination), ".md"); isPage && !strings.HasPrefix(name, ".") {
				last := &groups[len(groups)-1]
				last.Pages = append(last.Pages, Link{Name: name, Title: plain(link, content)})
			}
			return ast.WalkContinue, nil
		})
	}
	return groups
})

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
	root := parsed(content)
	page := &Page{Name: name}
	for node := root.FirstChild(); node != nil; node = node.NextSibling() {
		heading, ok := node.(*ast.Heading)
		switch {
		case ok && heading.Level == 1 && page.Title == "":
			page.Title = plain(heading, content)
		case ok && heading.Level == 2:
			id, _ := heading.AttributeString("id")
			page.Sections = append(page.Sections, Link{Name: string(id.([]byte)), Title: plain(heading, content)})
		}
	}
	direct(root, path.Dir(name))
	var b bytes.Buffer
	if err := markdown.Renderer().Render(&b, content, root); err != nil {
		return nil, fmt.Errorf("render %q: %w", name, err)
	}
	page.Body = template.HTML(b.String()) //nolint:gosec // our own pages, embedded
	rendered.Store(name, page)
	return page, nil
}

var markdown = goldmark.New(
	goldmark.WithExtensions(extension.Table, extension.Strikethrough),
	goldmark.WithParserOptions(parser.WithAutoHeadingID()),
	goldmark.WithRendererOptions(html.WithUnsafe()), // the pages are ours, and a few have tags
)

func parsed(content []byte) ast.Node {
	return markdown.Parser().Parse(text.NewReader(content), parser.WithContext(parser.NewContext(parser.WithIDs(&anchors{seen: map[string]int{}}))))
}

// direct makes the links of a page in folder lead to pages here, or to the repository.
func direct(root ast.Node, folder string) {
	_ = ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		switch n := n.(type) {
		case *ast.Link:
			if entering {
				n.Destination = []byte(destination(string(n.Destination), folder))
			}
		case *ast.Image:
			if entering {
				n.Destination = []byte(destination(string(n.Destination), folder))
			}
		}
		return ast.WalkContinue, nil
	})
}

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

// plain is the text of a node without its marks.
func plain(n ast.Node, content []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if t, ok := n.(*ast.Text); ok && entering {
			b.Write(t.Segment.Value(content))
			if t.SoftLineBreak() {
				b.WriteByte(' ')
			}
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

// anchors names headings as GitHub does, so that a link works in both places. It implements
// parser.IDs.
type anchors struct{ seen map[string]int }

// Generate implements parser.IDs.
func (a *anchors) Generate(value []byte, _ ast.NodeKind) []byte {
	id := Anchor(string(util.TrimRightSpace(util.TrimLeftSpace(value))))
	n := a.seen[id]
	a.seen[id]++
	if n > 0 {
		id = fmt.Sprintf("%s-%d", id, n)
	}
	return []byte(id)
}

// Put implements parser.IDs.
func (a *anchors) Put(value []byte) { a.seen[string(value)]++ }
