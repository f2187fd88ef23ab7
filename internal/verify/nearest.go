package verify

import (
	"fmt"
	"strings"
)

// oneOf is the problem of a word that is none of those known, with the nearest one as a hint.
func oneOf(word string, known []string, path ...string) []Problem {
	for _, k := range known {
		if word == k {
			return nil
		}
	}
	p := Problem{Path: path, Message: fmt.Sprintf("%s cannot be %q: it is one of %s", path[len(path)-1], word, strings.Join(known, ", "))}
	if near := nearest(word, known); near != "" {
		p.Hints = []string{fmt.Sprintf("did you mean %q?", near)}
	}
	return []Problem{p}
}

// nearest is the known word that the fewest changes lead to, or "" when all are far.
func nearest(word string, known []string) string {
	squeeze := strings.NewReplacer("-", "", "_", "", " ", "")
	word = squeeze.Replace(strings.ToLower(word))
	best, near := "", 1+len(word)/3
	for _, k := range known {
		if d := distance(word, squeeze.Replace(strings.ToLower(k))); d <= near && (best == "" || d < near) {
			best, near = k, d
		}
	}
	return best
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := corner
			if a[i] != b[j] {
				change++
			}
			corner = row[j+1]
			row[j+1] = min(change, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
