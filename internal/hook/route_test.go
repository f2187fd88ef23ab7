package hook

import (
	"maps"
	"testing"
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
