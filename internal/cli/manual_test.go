package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

func model(t *testing.T) *kong.Application {
	t.Helper()
	var g grammar
	parser, err := newParser(&g, &env{})
	if err != nil {
		t.Fatal(err)
	}
	return parser.Model
}

func TestManual_ThePageOfTheDocumentationIsCurrent(t *testing.T) {
	var page bytes.Buffer
	commandsPage(&page, manualOf(model(t)))
	current(t, "commands.md", "man --markdown", page.Bytes())
}

// Each command says what it is for, how it is used, and what each of its flags does.
func TestManual_CoversEveryCommand(t *testing.T) {
	dir := t.TempDir()
	m := manualOf(model(t))
	if err := (manCmd{Dir: dir}).Run(&env{model: model(t), stderr: &bytes.Buffer{}}); err != nil {
		t.Fatal(err)
	}
	pages := m.all()
	if len(pages) < 25 {
		t.Fatalf("%d commands", len(pages))
	}
	for _, c := range pages {
		text, err := os.ReadFile(filepath.Join(dir, c.page()+".1"))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, e := range append(append([]entry{}, c.args...), c.flags...) {
			if e.help == "" {
				t.Errorf("%s: %s has no help", c.path, e.name)
			}
			if !strings.Contains(string(text), ".TP\n\\fB"+escapeRoff(e.name)+"\\fR\n") {
				t.Errorf("%s: the page has no %s", c.path, e.name)
			}
		}
		if c.summary == "" {
			t.Errorf("%s has no summary", c.path)
		}
		if len(c.text) == 0 && len(c.commands) == 0 {
			t.Errorf("%s says no more than its summary: give it a Help() with an example", c.path)
		}
		if bad := regexp.MustCompile(`(?m)^['.](TH|SH|TP|PP|RS|RE|nf|fi|B|BR|nh|ad)?\b.*`).ReplaceAllString(string(text), ""); regexp.MustCompile(`(?m)^['.]`).MatchString(bad) {
			t.Errorf("%s: a line is a request by accident", c.path)
		}
	}
}

func TestManual_TextIsNeverARequest(t *testing.T) {
	for text, want := range map[string]string{
		".so /etc/passwd":  `\&.so /etc/passwd`,
		"a\n'b":            "a\n" + `\(aqb`,
		`back\slash -x ~^`: `back\eslash \-x \(ti\(ha`,
	} {
		if got := escapeRoff(text); got != want {
			t.Errorf("%q is %q", text, got)
		}
	}
}
