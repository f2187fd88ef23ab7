package docs

import (
	"strings"
	"unicode"
)

// Anchor is the name of a heading in links, as GitHub makes it: lower case, blanks become hyphens, and
// all but letters, digits, hyphens and underscores is left out.
func Anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.Is(unicode.Mn, r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}
