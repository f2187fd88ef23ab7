package docs

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	rendererhtml "github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
)

const root = ".."

// pages are all Markdown files of the repository with their paths in it.
func pages(t *testing.T) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(root), ".", func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "testdata" || entry.Name() == ".git"):
			return fs.SkipDir
		case path.Ext(file) == ".md":
			content, err := os.ReadFile(filepath.Join(root, file))
			found[file] = content
			return err
		}
		return nil
	})
	if err != nil || len(found) < 30 {
		t.Fatalf("%d pages, %v", len(found), err)
	}
	return found
}

// anchorsOf are the names of the headings of a page.
func anchorsOf(content []byte) (ids []string) {
	_ = ast.Walk(parsed(content), func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if heading, ok := n.(*ast.Heading); ok && entering {
			id, _ := heading.AttributeString("id")
			ids = append(ids, string(id.([]byte)))
		}
		return ast.WalkContinue, nil
	})
	return ids
}

var markdown = goldmark.New(
	goldmark.WithExtensions(extension.Table),
	goldmark.WithParserOptions(parser.WithAutoHeadingID()),
	goldmark.WithRendererOptions(rendererhtml.WithUnsafe()), // the pages are ours, and a few have tags
)

func parsed(content []byte) ast.Node {
	return markdown.Parser().Parse(text.NewReader(content), parser.WithContext(parser.NewContext(parser.WithIDs(&anchors{seen: map[string]int{}}))))
}

// anchors names headings as GitHub does. It implements parser.IDs.
type anchors struct{ seen map[string]int }

// Generate implements parser.IDs.
func (a *anchors) Generate(value []byte, _ ast.NodeKind) []byte {
	id := Anchor(strings.TrimSpace(string(value)))
	n := a.seen[id]
	a.seen[id]++
	if n > 0 {
		id = fmt.Sprintf("%s-%d", id, n)
	}
	return []byte(id)
}

// Put implements parser.IDs.
func (a *anchors) Put(value []byte) { a.seen[string(value)]++ }

// plain is the text of a node without its marks.
func plain(n ast.Node, content []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if t, ok := n.(*ast.Text); ok && entering {
			b.Write(t.Segment.Value(content))
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

// TestRender_WritesWhatGoldmarkWrites holds our few lines of Markdown against a whole one, for
// every page of the repository.
func TestRender_WritesWhatGoldmarkWrites(t *testing.T) {
	for file, content := range pages(t) {
		var b bytes.Buffer
		if err := markdown.Renderer().Render(&b, content, parsed(content)); err != nil {
			t.Fatal(err)
		}
		want := strings.ReplaceAll(b.String(), ` style="text-align:right"`, ` class="num"`) // no style may be inline
		want = strings.ReplaceAll(want, "<pre><code", `<pre tabindex="0"><code`)
		got := render(string(content), func(to string) string { return to }).out.String()
		if got == want {
			continue
		}
		gotLines, wantLines := strings.Split(got, "\n"), strings.Split(want, "\n")
		for i, line := range wantLines {
			if i >= len(gotLines) || gotLines[i] != line {
				t.Errorf("%s: line %d of the HTML (-goldmark +ours)\n- %s\n+ %s", file, i+1, line, gotLines[min(i, len(gotLines)-1)])
				break
			}
		}
	}
}

// tagged finds what tags of HTML lead to.
var tagged = regexp.MustCompile(`(?:src|href)="([^"]*)"`)

// TestLinks_LeadSomewhere: every relative link of every page leads to a file that is there, and
// to a heading that it has.
func TestLinks_LeadSomewhere(t *testing.T) {
	all, anchors := pages(t), map[string][]string{}
	for file, content := range all {
		anchors[file] = anchorsOf(content)
	}
	for file, content := range all {
		check := func(to string) {
			if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
				return
			}
			name, anchor, _ := strings.Cut(to, "#")
			target := file
			if name != "" {
				target = path.Join(path.Dir(file), name)
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s links to %s, which is not there", file, to)
				return
			}
			if anchor == "" {
				return
			}
			if ids := anchors[target]; !slices.Contains(ids, anchor) {
				t.Errorf("%s links to %s, which has no such heading; it has %s", file, to, strings.Join(ids, ", "))
			}
		}
		_ = ast.Walk(parsed(content), func(n ast.Node, entering bool) (ast.WalkStatus, error) {
			if !entering {
				return ast.WalkContinue, nil
			}
			switch n := n.(type) {
			case *ast.Link:
				check(string(n.Destination))
			case *ast.Image:
				check(string(n.Destination))
				if len(plain(n, content)) == 0 {
					t.Errorf("%s: the picture %s says nothing to who cannot see it", file, n.Destination)
				}
			case *ast.RawHTML:
				for _, found := range tagged.FindAllSubmatch(n.Segments.Value(content), -1) {
					check(string(found[1]))
				}
			}
			return ast.WalkContinue, nil
		})
	}
}

// mentioned is a file or folder of the repository as prose names it: `internal/job`, `.ci/run`.
var mentioned = regexp.MustCompile(`^(?:docs|internal|examples|cmd|\.ci|\.github|packaging|deploy)/[\w./-]*\w$`)

// TestMentions_AreOfFilesThatExist: what stands in code quotes and looks like a file of the
// repository is one.
func TestMentions_AreOfFilesThatExist(t *testing.T) {
	for file, content := range pages(t) {
		_ = ast.Walk(parsed(content), func(n ast.Node, entering bool) (ast.WalkStatus, error) {
			if _, ok := n.(*ast.CodeSpan); !ok || !entering {
				return ast.WalkContinue, nil
			}
			if name := plain(n, content); mentioned.MatchString(name) {
				if _, err := os.Stat(filepath.Join(root, name)); err != nil {
					t.Errorf("%s mentions %s, which is not there", file, name)
				}
			}
			return ast.WalkContinue, nil
		})
	}
}

func TestMenu_HasEveryPageOnce(t *testing.T) {
	listed := map[string]int{Index: 1}
	for _, group := range Menu() {
		if len(group.Pages) == 0 {
			t.Errorf("%s is empty", group.Title)
		}
		for _, page := range group.Pages {
			listed[page.Name]++
		}
	}
	for _, name := range Names() {
		if n := listed[name]; n != 1 {
			t.Errorf("docs/README.md lists %s %d times", name, n)
		}
		delete(listed, name)
	}
	for name := range listed {
		t.Errorf("docs/README.md lists %s, which is not embedded", name)
	}
}

func TestRender_LeadsToPagesHereAndToTheRepository(t *testing.T) {
	for in, want := range map[string]string{
		"configuration.md#rules":     "/docs/configuration#rules",
		"../decisions/one-writer.md": source + "decisions/one-writer.md", // from docs itself: above it
		"images/flow-skip.svg":       "/docs/images/flow-skip.svg",
		"../examples/systemd":        source + "examples/systemd",
		"openapi.json":               source + "docs/openapi.json",
		"#here":                      "#here",
		"https://example.com/a.md":   "https://example.com/a.md",
	} {
		if got := destination(in, "."); got != want {
			t.Errorf("%s leads to %s, want %s", in, got, want)
		}
	}
	if got := destination("../performance.md", "decisions"); got != "/docs/performance" {
		t.Errorf("from a folder: %s", got)
	}
	for _, name := range Names() {
		page, err := Render(name)
		if err != nil || page.Title == "" || !strings.Contains(string(page.Body), "<h1 id=") {
			t.Errorf("%s: %v, title %q", name, err, page.Title)
		}
		if strings.Contains(string(page.Body), `<img src="http`) {
			t.Errorf("%s shows a picture of another host", name)
		}
	}
	if _, err := Render("../README"); err == nil {
		t.Error("a page above the folder was rendered")
	}
}

func TestAnchor_IsGitHubs(t *testing.T) {
	for in, want := range map[string]string{
		"What binds a command":         "what-binds-a-command",
		"`http`, `run`: actions":       "http-run-actions",
		"Who may? What it's for (now)": "who-may-what-its-for-now",
		"on_missing — Ünïcode":         "on_missing--ünïcode",
	} {
		if got := Anchor(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
