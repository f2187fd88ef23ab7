package expression

import (
	"flag"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/request"
)

var update = flag.Bool("update", false, "write the results of docs/expressions.md anew")

const page = "../../docs/expressions.md"

// example is a line of a table: an expression and what it comes to.
var example = regexp.MustCompile("(?m)^\\| `(.+?)` \\| (\\?|`(.*?)`) \\|")

// pageInput is the delivery that the page describes.
func pageInput(body string) *Input {
	failed := 3
	at := time.Date(2026, 1, 2, 15, 0, 0, 0, time.UTC)
	return &Input{
		Request: &request.Request{
			Method: "POST", Path: "/github/web", RawQuery: "debug=1", Host: "hooks.example.com",
			Header: http.Header{"X-Github-Event": {"push"}, "Content-Type": {"application/json"}},
			IP:     netip.MustParseAddr("192.0.2.7"), Params: map[string]string{"team": "web"}, Body: []byte(body), ReceivedAt: at,
		},
		Hook: "site", Event: "push", DeliveryID: "019b7f3c-1f40-7a5a-b196-7fb3822babf0", DeliveryKey: "72d3162e-cc78-11e3-81ab-4c9367dc0958", ReceivedAt: at, Now: at,
		Git: func() GitFacts {
			return GitFacts{
				Branch: "main", SHA: "ec26c3e57ca3a959ca5aad62de7213c562f8c821", Repo: "acme/site", Actor: "ann",
				ChangedFiles: func() []string { return []string{"src/door.go", "README.md", "docs/guide.md"} },
				Commits:      func() []any { return []any{map[string]any{"id": "c1", "message": "Fix the door"}} },
			}
		},
		Job: &JobFacts{ID: "019b7f3c-1f44-7bb8-b04d-9f9c7a881ea9", Error: "exit status 3", Output: "no door\n", ExitCode: &failed, Attempt: 2},
	}
}

// TestPage_ShowsWhatExpressionsComeTo evaluates every example of docs/expressions.md, and holds the
// page to naming everything there is.
func TestPage_ShowsWhatExpressionsComeTo(t *testing.T) {
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	_, body, _ := strings.Cut(text, "```json\n")
	body, _, _ = strings.Cut(body, "```")
	used := map[string]bool{}
	text = example.ReplaceAllStringFunc(text, func(line string) string {
		parts := example.FindStringSubmatch(line)
		src := strings.ReplaceAll(parts[1], `\|`, "|")
		p := mustCompile(t, src, Scope{Job: true})
		for name := range p.uses {
			used[name] = true
		}
		v, err := p.Value(pageInput(body))
		if err != nil {
			t.Errorf("%s: %v", src, err)
			return line
		}
		readsEnough(t, p, func() *Input { return pageInput(body) })
		got := "`" + strings.ReplaceAll(string(Value{Value: v}.JSON(400, func(s string) string { return s }, 0)), "|", `\|`) + "`"
		if parts[2] != got && !*update {
			t.Errorf("%s is %s, and the page says %s", src, got, parts[2])
		}
		return "| `" + parts[1] + "` | " + got + " |"
	})
	for name := range functions {
		if !strings.Contains(text, "`"+name+"(") && !used[name] {
			t.Errorf("the page has no example of %s", name)
		}
	}
	for name := range loops {
		if !strings.Contains(text, "`"+name+"(") {
			t.Errorf("the page has no example of %s", name)
		}
	}
	for name := range names {
		if !strings.Contains(text, "`"+name) && !strings.Contains(text, "("+name) {
			t.Errorf("the page does not name %s", name)
		}
	}
	if *update {
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
