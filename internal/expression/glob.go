package expression

import (
	"errors"
	"strings"
)

// A glob is a pattern for paths: * is anything but a slash, ** anything, **/ any number of whole
// folders, ? one character but a slash. There is nothing to escape and no order of trying: it is
// matched in one pass over the text, in which the places of the pattern that the text so far
// leads to are kept.
type glob []globPart

// globPart is one character of a pattern, or a wildcard.
type globPart struct {
	wildcard globWildcard
	char     rune // of none
}

type globWildcard byte

const (
	none    globWildcard = iota
	oneChar              // ?
	within               // *
	across               // **
	folders              // **/ before a folder
	folder               // **/ inside one
)

// maxGlob bounds a pattern that is not written out.
const maxGlob = 1024

func prepareGlob(pattern string) (any, error) {
	if len(pattern) > maxGlob {
		return nil, errors.New("the pattern is too long")
	}
	var g glob
	for i, width := 0, 0; i < len(pattern); i += width {
		rest := pattern[i:]
		atFolder := i == 0 || pattern[i-1] == '/'
		switch {
		case strings.HasPrefix(rest, "**/") && atFolder:
			g, width = append(g, globPart{wildcard: folders}, globPart{wildcard: folder}), 3
		case strings.HasPrefix(rest, "**"):
			g, width = append(g, globPart{wildcard: across}), 2
		case rest[0] == '*':
			g, width = append(g, globPart{wildcard: within}), 1
		case rest[0] == '?':
			g, width = append(g, globPart{wildcard: oneChar}), 1
		default:
			for _, c := range rest {
				g, width = append(g, globPart{char: c}), len(string(c))
				break
			}
		}
	}
	return g, nil
}

func globFunction(b *budget, a []any) (any, error) {
	if a[0] == nil || a[1] == nil {
		return false, nil
	}
	g, ok := a[0].(glob)
	if !ok {
		s, err := wantTexts(b, a[0])
		if err != nil {
			return nil, err
		}
		made, err := prepareGlob(s[0])
		if err != nil {
			return nil, err
		}
		if err := b.build(8 * len(s[0])); err != nil {
			return nil, err
		}
		g = made.(glob)
	}
	s, err := wantTexts(b, a[1])
	if err != nil {
		return nil, err
	}
	return g.match(b, s[0])
}

// places are those of a pattern; most fit where they need no memory of their own.
type places struct {
	few [2][64]bool
	of  [2][]bool
}

func (p *places) reset(n int) {
	if n <= len(p.few[0]) {
		p.of[0], p.of[1] = p.few[0][:n], p.few[1][:n]
		return
	}
	p.of[0], p.of[1] = make([]bool, n), make([]bool, n)
}

func (g glob) match(b *budget, s string) (bool, error) {
	var p places
	p.reset(len(g) + 1)
	now, next := p.of[0], p.of[1]
	now[0] = true
	g.skip(now)
	for _, c := range s {
		if err := b.spend(2 * len(now)); err != nil {
			return false, err
		}
		clear(next)
		if !g.advance(now, next, c) {
			return false, nil
		}
		g.skip(next)
		now, next = next, now
	}
	return now[len(g)], nil
}

// advance goes on by one character, and reports whether there is a way to.
func (g glob) advance(now, next []bool, c rune) bool {
	alive := false
	for at, part := range g {
		if !now[at] {
			continue
		}
		stays, goes := false, false
		switch part.wildcard {
		case none:
			goes = part.char == c
		case oneChar:
			goes = c != '/'
		case within:
			stays = c != '/'
		case across:
			stays = true
		case folder:
			stays, goes = true, c == '/'
		}
		next[at] = next[at] || stays
		next[at+1] = next[at+1] || goes
		alive = alive || stays || goes
	}
	return alive
}

// skip lets wildcards stand for nothing.
func (g glob) skip(at []bool) {
	for i, part := range g {
		if !at[i] {
			continue
		}
		switch part.wildcard {
		case within, across:
			at[i+1] = true
		case folders:
			at[i+1], at[i+2] = true, true
		}
	}
}
