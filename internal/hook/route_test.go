package hook

import (
	"maps"
	"net/url"
	"testing"

	"github.com/tenterhook/tenterhook/internal/job"
)

func TestLookup_TheMostExactPathWins(t *testing.T) {
	set := compiled(t, `
  - {name: fixed, path: /a/b, verify: none, run: ":"}
  - {name: first, path: "/{x}/b", verify: none, run: ":"}
  - {name: second, path: "/a/{y}", verify: none, run: ":"}
  - {name: both, path: "/{x}/{y}", verify: none, run: ":"}
  - {name: deep, path: "/a/{y}/c", verify: none, run: ":"}
  - {name: off, path: /off, enabled: false, verify: none, run: ":"}
  - {name: root, path: /, verify: none, run: ":"}
`)
	for path, want := range map[string]struct {
		hook   string
		params map[string]string
	}{
		"/a/b":       {"fixed", nil},
		"/z/b":       {"first", map[string]string{"x": "z"}},
		"/a/z":       {"second", map[string]string{"y": "z"}},
		"/z/z":       {"both", map[string]string{"x": "z", "y": "z"}},
		"/a/z/c":     {"deep", map[string]string{"y": "z"}},
		"/":          {"root", nil},
		"/a/ü €":     {"second", map[string]string{"y": "ü €"}},
		"/a/..":      {"second", map[string]string{"y": ".."}}, // a value like any other: nothing is opened by it
		"/a":         {},
		"/a/b/":      {},
		"/a//c":      {},
		"//":         {},
		"/a/":        {},
		"/A/B/C":     {},
		"/off":       {},
		"":           {},
		"a/b":        {},
		"/a/b/c/d/e": {},
		"/a/{y}/c":   {"deep", map[string]string{"y": "{y}"}},
	} {
		h, params := set.Lookup(path)
		name := ""
		if h != nil {
			name = h.Name
		}
		if name != want.hook || !maps.Equal(params, want.params) {
			t.Errorf("%q: hook %q with %v, want %q with %v", path, name, params, want.hook, want.params)
		}
	}
}

func TestRoute_AnEscapedSlashIsPartOfAParameter(t *testing.T) {
	t.Parallel()
	set := compiled(t, `
  - {name: one, path: "/p/{project}", verify: none, run: ":"}
  - {name: two, path: "/p/{group}/{project}", verify: none, run: ":"}
  - {name: fixed, path: /p/a/b/c, verify: none, run: ":"}
`)
	for sent, want := range map[string]struct {
		hook   string
		params map[string]string
	}{
		"/p/a%2Fb":         {"one", map[string]string{"project": "a/b"}},
		"/p/a%2fb":         {"one", map[string]string{"project": "a/b"}},
		"/p/a%2F..%2Fb":    {"one", map[string]string{"project": "a/../b"}},
		"/p/a%2Fb/c%20d":   {"two", map[string]string{"group": "a/b", "project": "c d"}},
		"/p/a/b":           {"two", map[string]string{"group": "a", "project": "b"}},
		"/p/%2F":           {"one", map[string]string{"project": "/"}},
		"/p/a%252Fb":       {"one", map[string]string{"project": "a%2Fb"}},
		"/p/a%25%2Fb":      {"one", map[string]string{"project": "a%/b"}},
		"/p%2Fa":           {},
		"/p/a%2Fb/c%2Fd/e": {},
	} {
		u, err := url.Parse(sent)
		if err != nil {
			t.Fatal(err)
		}
		name := ""
		h, params := set.Route(u.Path, u.RawPath)
		if h != nil {
			name = h.Name
		}
		if name != want.hook || !maps.Equal(params, want.params) {
			t.Errorf("%q: hook %q with %v, want %q with %v", sent, name, params, want.hook, want.params)
		}
		if h == nil {
			continue
		}
		again, params := set.RouteStored(&job.Delivery{Path: u.Path, Params: params})
		if again != h || !maps.Equal(params, want.params) {
			t.Errorf("%q once stored: %v with %v", sent, again, params)
		}
	}
}
