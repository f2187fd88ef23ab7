package hook

import (
	"net/url"
	"strings"
)

// routes finds hooks by path: fixed paths in a map, paths with {param} segments by their number
// of segments and the first of them, those with the longest fixed prefix first.
type routes struct {
	fixed    map[string]*Hook
	patterns map[patternKey][]pattern
}

// patternKey is what keeps the patterns apart that need not be tried. The first segment is ""
// where it is a parameter.
type patternKey struct {
	segments int
	first    string
}

type pattern struct {
	segments []string // "{name}" for a parameter
	hook     *Hook
}

func (t *routes) add(h *Hook) {
	if !strings.Contains(h.Path, "{") {
		if t.fixed == nil {
			t.fixed = map[string]*Hook{}
		}
		t.fixed[h.Path] = h
		return
	}
	if t.patterns == nil {
		t.patterns = map[patternKey][]pattern{}
	}
	p := pattern{segments: strings.Split(h.Path, "/"), hook: h}
	key := patternKey{segments: len(p.segments), first: p.segments[1]} // [0] is before the leading slash
	if isParam(key.first) {
		key.first = ""
	}
	list := t.patterns[key]
	at := len(list)
	for i, other := range list {
		if p.before(other) {
			at = i
			break
		}
	}
	t.patterns[key] = append(list[:at:at], append([]pattern{p}, list[at:]...)...)
}

// before reports whether p is the more exact one: fixed where q first has a parameter.
func (p pattern) before(q pattern) bool {
	for i := range p.segments {
		if a, b := isParam(p.segments[i]), isParam(q.segments[i]); a != b {
			return b
		}
	}
	return false
}

// lookup finds the hook of a decoded path. raw is the path as it was sent: where it has an escaped
// slash, that one is part of a segment (RFC 3986, section 2.2).
func (t *routes) lookup(path, raw string) (*Hook, map[string]string) {
	if h := t.fixed[path]; h != nil {
		return h, nil
	}
	if len(t.patterns) == 0 {
		return nil, nil
	}
	segments := segmentsOf(path, raw)
	if len(segments) < 2 {
		return nil, nil
	}
	for _, first := range []string{segments[1], ""} { // a fixed first segment is the more exact one
		for _, p := range t.patterns[patternKey{len(segments), first}] {
			if params, ok := p.match(segments); ok {
				return p.hook, params
			}
		}
	}
	return nil, nil
}

func segmentsOf(path, raw string) []string {
	if !strings.Contains(raw, "%2F") && !strings.Contains(raw, "%2f") {
		return strings.Split(path, "/")
	}
	segments := strings.Split(raw, "/")
	for i, s := range segments {
		decoded, err := url.PathUnescape(s)
		if err != nil { // net/http did not take it either
			return nil
		}
		segments[i] = decoded
	}
	return segments
}

// rawPath is a stored delivery's path as it was sent, with the slashes escaped that are part of a
// parameter.
func rawPath(path string, params map[string]string) string {
	raw := (&url.URL{Path: path}).EscapedPath()
	for _, value := range params {
		if strings.Contains(value, "/") {
			raw = strings.Replace(raw, (&url.URL{Path: "/" + value}).EscapedPath(), "/"+url.PathEscape(value), 1)
		}
	}
	return raw
}

func (p pattern) match(segments []string) (map[string]string, bool) {
	for i, want := range p.segments {
		if isParam(want) {
			if segments[i] == "" {
				return nil, false
			}
		} else if segments[i] != want {
			return nil, false
		}
	}
	params := make(map[string]string, 2)
	for i, want := range p.segments {
		if isParam(want) {
			params[want[1:len(want)-1]] = segments[i]
		}
	}
	return params, true
}

func isParam(segment string) bool {
	return len(segment) > 2 && segment[0] == '{' && segment[len(segment)-1] == '}'
}

// shape is the path with its parameters' names taken out: two hooks of one shape would take
// each other's requests.
func shape(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if isParam(s) {
			segments[i] = "{}"
		}
	}
	return strings.Join(segments, "/")
}

// checkPath returns what is wrong with a hook's path, or "".
func checkPath(path string) string {
	if !strings.HasPrefix(path, "/") {
		return "must begin with /"
	}
	if strings.ContainsAny(path, "?#%\\ \t\x00") {
		return "must be a plain decoded path: no query, fragment, escapes or spaces"
	}
	seen := map[string]bool{}
	for i, s := range strings.Split(path, "/") {
		switch {
		case i == 0:
		case s == "." || s == "..":
			return "must not contain . or .. segments"
		case s == "" && path != "/" && i < strings.Count(path, "/"):
			return "must not contain empty segments"
		case isParam(s):
			name := s[1 : len(s)-1]
			if !isName(name) {
				return "has a parameter that is not a name: " + s
			}
			if seen[name] {
				return "has the parameter " + s + " twice"
			}
			seen[name] = true
		case strings.ContainsAny(s, "{}"):
			return "has a { or } that is not a whole segment: parameters are written /{name}/"
		}
	}
	return ""
}

// isName reports whether s is a word that expressions can use: letters, digits, _.
func isName(s string) bool {
	for i, c := range s {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
