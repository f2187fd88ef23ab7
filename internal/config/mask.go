package config

import (
	"cmp"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// source is a file that was read, or what stands for one.
type source struct {
	name       string
	lines      []string
	readable   bool // by others than its owner
	understood bool // all of it was read as YAML, so that its secrets are known
	secrets    []stretch
	l          *loader
}

// stretch is where a secret is written: from one place up to another, both counted from 0.
type stretch struct{ line, col, toLine, toCol int }

// line returns a line as it may be shown: with secrets masked.
func (s *source) line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	line := s.lines[n-1]
	if !s.understood {
		return s.l.masked(s.guessed(n - 1))
	}
	for _, secret := range s.secrets {
		if n-1 < secret.line || n-1 > secret.toLine {
			continue
		}
		from, to := 0, len(line)
		if n-1 == secret.line {
			from = secret.col
		}
		if n-1 == secret.toLine {
			to = secret.toCol
		}
		line = starred(line, from, to)
	}
	return s.l.masked(line)
}

// secretKey is a key whose value is a secret in a file that could not be read as YAML.
var secretKey = regexp.MustCompile(`(?i)(secret|token|password|passwd|authorization|api[-_]?key)["']?\s*:`)

// guessed masks what may be a secret in a line of a file that could not be read: what follows a
// key that says so, on its line and on those below that are indented further.
func (s *source) guessed(n int) string {
	line := s.lines[n]
	if at := secretKey.FindStringIndex(line); at != nil {
		return line[:at[1]] + starred(line[at[1]:], 0, len(line))
	}
	indent := indentOf(line)
	for above := n - 1; above >= 0 && indent > 0; above-- {
		if strings.TrimSpace(s.lines[above]) == "" || indentOf(s.lines[above]) >= indent {
			continue
		}
		if secretKey.MatchString(s.lines[above]) {
			return starred(line, 0, len(line))
		}
		indent = indentOf(s.lines[above])
	}
	return line
}

func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " \t-")) }

// starred puts stars in the place of the characters [from, to) that are not blank.
func starred(line string, from, to int) string {
	runes := []rune(line)
	for i := max(0, from); i < min(to, len(runes)); i++ {
		if !unicode.IsSpace(runes[i]) {
			runes[i] = '*'
		}
	}
	return string(runes)
}

// longestLine bounds the lines in which secrets are looked for by their place.
const longestLine = 64 << 10

// hide keeps a scalar's source from being shown, however it is written there.
func (n Node) hide() {
	src := n.source()
	if src == nil || src.lines == nil {
		return
	}
	if at := n.y.Line - 1; at >= 0 && at < len(src.lines) && len(src.lines[at]) > longestLine {
		src.understood = false // thousands of secrets on one line: each would be a walk through all of it
		return
	}
	from, to := n.Pos(), n.at(len(n.y.Value))
	secret := stretch{from.Line - 1, from.Col - 1, to.Line - 1, to.Col - 1}
	if secret.toLine == secret.line && secret.toCol <= secret.col { // behind the file's end
		secret.toLine = len(src.lines)
	}
	src.secrets = append(src.secrets, secret)
}

// hide keeps a value from ever being shown.
func (l *loader) hide(value string) {
	if len(value) >= shortestHidden {
		l.hidden[value] = true
	}
}

// urlPassword finds the password in a URL, and one that is a parameter of it.
var urlPassword = regexp.MustCompile(`://[^\s/:@]*:([^\s/@]+)@|[?&](?:password|sslpassword)=([^\s&]+)`)

// hidePasswords hides the passwords of URLs, as they are written and as they are meant.
func (l *loader) hidePasswords(value string) {
	if !strings.Contains(value, "://") {
		return
	}
	for _, found := range urlPassword.FindAllStringSubmatch(value, -1) {
		for _, password := range found[1:] {
			l.hide(password)
			if plain, err := url.PathUnescape(password); err == nil {
				l.hide(plain)
			}
		}
	}
}

// shortestHidden is the least length of a value that is hidden: a shorter one would hide words
// and numbers all over.
const shortestHidden = 4

// longestFirst are the hidden values: one that holds another comes before it.
func (l *loader) longestFirst() []string {
	return slices.SortedFunc(maps.Keys(l.hidden), func(a, b string) int {
		return cmp.Or(len(b)-len(a), strings.Compare(a, b))
	})
}

// masked is a source line without hidden values. It keeps its width, for the caret.
func (l *loader) masked(line string) string {
	for _, value := range l.longestFirst() {
		if strings.Contains(line, value) {
			line = strings.ReplaceAll(line, value, strings.Repeat("*", runeCount(value)))
		}
	}
	return line
}

// shortWord are values that messages are not searched for: what they say would be hidden too.
var shortWord = regexp.MustCompile(`^[A-Za-z]{1,8}$`)

// maskedText is a message without hidden values.
func (l *loader) maskedText(message string) string {
	for _, value := range l.longestFirst() {
		if !shortWord.MatchString(value) && !weakSecrets[strings.ToLower(value)] {
			message = strings.ReplaceAll(message, value, redacted)
		}
	}
	return message
}
