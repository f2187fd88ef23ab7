package expression

import (
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/request"
)

const sample = `{
  "a": {"b": [1, 2, {"c": "x"}]}, "n": 5, "neg": -3, "zero": 0, "big": 9007199254740993, "huge": 123456789012345678901234567890,
  "f": 1.5, "price": 19.90, "five": 5.0, "s": "text", "empty": "", "yes": true, "no": false, "nil": null, "digits": "42",
  "list": ["a", "b"], "none": [], "obj": {"y": 1, "x": [true, null]}, "when": "2026-01-02T03:04:05Z", "unix": 1767323045,
  "files": ["docs/a.md", "docs/b/c.md"], "ref": "refs/heads/main", "a-b": 1, "umlaut": "grün", "self": {"n": 5},
  "commits": [
    {"author": "ann", "modified": ["a.go"], "ok": true},
    {"author": "bob", "modified": ["b.md", "src/c.go"], "ok": false},
    {"author": "cy"}
  ]
}`

// now is a Friday.
var now = time.Date(2026, 1, 2, 3, 5, 5, 0, time.UTC)

func input(body string) *Input {
	return &Input{
		Request: &request.Request{
			Method: "POST", Path: "/x/y", RawQuery: "q=1&r=1&r=2",
			Header: http.Header{"X-Name": {"v"}, "X-Two": {"1", "2"}, "Content-Type": {"application/json"}},
			IP:     netip.MustParseAddr("192.0.2.7"), Params: map[string]string{"repo": "site"}, Body: []byte(body),
		},
		Hook: "h", Event: "push", DeliveryID: "D", DeliveryKey: "K", ReceivedAt: now, Now: now,
		Git: func() GitFacts {
			return GitFacts{Branch: "main", SHA: "0123456789abcdef", Repo: "acme/site", Actor: "ann", ChangedFiles: func() []string { return []string{"docs/a", "b"} }}
		},
	}
}

func mustCompile(t testing.TB, src string, s Scope) *Program {
	t.Helper()
	p, err := Compile(src, s)
	if err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	return p
}
