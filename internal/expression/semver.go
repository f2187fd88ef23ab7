package expression

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// version is a version by semver.org 2.0.0 without its build: nothing is compared by that.
type version struct {
	numbers [3]uint64
	pre     []string
}

var semverPrepare = map[int]func(string) (any, error){1: prepareRelation, 2: prepareVersion}

// relation is a comparison of versions.
type relation func(c int) bool

func prepareRelation(s string) (any, error) {
	holds, ok := map[string]relation{
		"=": func(c int) bool { return c == 0 }, "==": func(c int) bool { return c == 0 }, "!=": func(c int) bool { return c != 0 },
		"<": func(c int) bool { return c < 0 }, "<=": func(c int) bool { return c <= 0 },
		">": func(c int) bool { return c > 0 }, ">=": func(c int) bool { return c >= 0 },
	}[s]
	if !ok {
		return nil, fmt.Errorf("%s is not one of = != < <= > >=", describe(s))
	}
	return holds, nil
}

func prepareVersion(s string) (any, error) {
	v, ok := parseVersion(s)
	if !ok {
		return nil, fmt.Errorf("%s is not a version such as 1.2.0", describe(s))
	}
	return v, nil
}

// semverFunction compares versions. A first one that is missing or no version, such as a tag
// "latest", is in no relation to any.
func semverFunction(b *budget, a []any) (any, error) {
	holds, ok := a[1].(relation)
	if !ok {
		s, err := wantTexts(b, a[1])
		if err != nil {
			return nil, err
		}
		prepared, err := prepareRelation(s[0])
		if err != nil {
			return nil, err
		}
		holds = prepared.(relation)
	}
	if a[0] == nil || a[2] == nil {
		return false, nil
	}
	limit, ok := a[2].(version)
	if !ok {
		s, err := wantTexts(b, a[2])
		if err != nil {
			return nil, err
		}
		if limit, ok = parseVersion(s[0]); !ok {
			return nil, errors.New("the last argument is not a version")
		}
	}
	s, err := wantTexts(b, a[0])
	if err != nil {
		return nil, err
	}
	v, ok := parseVersion(s[0])
	return ok && holds(v.compare(limit)), nil
}

// maxVersion bounds a version's text.
const maxVersion = 256

// parseVersion reads a version; a leading v is allowed, and missing numbers are 0.
func parseVersion(s string) (version, bool) {
	var v version
	if len(s) > maxVersion {
		return v, false
	}
	s, _, _ = strings.Cut(strings.TrimPrefix(s, "v"), "+")
	core, pre, hasPre := strings.Cut(s, "-")
	numbers := strings.Split(core, ".")
	if len(numbers) > len(v.numbers) {
		return v, false
	}
	for i, n := range numbers {
		var err error
		if v.numbers[i], err = strconv.ParseUint(n, 10, 64); err != nil {
			return v, false
		}
	}
	if hasPre {
		v.pre = strings.Split(pre, ".")
	}
	for _, id := range v.pre {
		if id == "" {
			return v, false
		}
	}
	return v, true
}

// compare is by clause 11.
func (v version) compare(w version) int {
	for i := range v.numbers {
		if c := cmp.Compare(v.numbers[i], w.numbers[i]); c != 0 {
			return c
		}
	}
	if len(v.pre) == 0 || len(w.pre) == 0 {
		return cmp.Compare(len(w.pre), len(v.pre)) // a pre-release is before its release
	}
	for i := range min(len(v.pre), len(w.pre)) {
		if c := comparePre(v.pre[i], w.pre[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(v.pre), len(w.pre))
}

func comparePre(a, b string) int {
	x, errX := strconv.ParseUint(a, 10, 64)
	y, errY := strconv.ParseUint(b, 10, 64)
	switch {
	case errX == nil && errY == nil:
		return cmp.Compare(x, y)
	case errX == nil:
		return -1 // numbers are before words
	case errY == nil:
		return 1
	}
	return strings.Compare(a, b)
}
