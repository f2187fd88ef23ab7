package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// maxReferenced bounds a file that a reference names.
const maxReferenced = 1 << 20

// expand replaces the references in a scalar: ${NAME}, ${NAME:-default}, ${file:/path} and
// ${credential:name}; $$ becomes $. What is between ${{ and }} is left as it is. What cannot be
// resolved is a problem at its place.
func (l *loader) expand(n Node, d *Diagnostics) Text {
	raw := n.y.Value
	if !strings.Contains(raw, "$") {
		return Text{Value: raw, node: n}
	}
	t := Text{node: n}
	var out strings.Builder
	copied := 0 // raw up to here is in out
	flush := func(to int) {
		if to > copied {
			t.parts = append(t.parts, part{out.Len(), out.Len() + to - copied, copied, true})
			out.WriteString(raw[copied:to])
		}
	}
	for i := 0; i < len(raw); {
		rest := raw[i:]
		switch {
		case strings.HasPrefix(rest, "$$"):
			flush(i + 1)
			i += 2
			copied = i
		case strings.HasPrefix(rest, "${{"):
			i += templateEnd(rest)
		case strings.HasPrefix(rest, "${"):
			flush(i)
			length, value, problem := l.reference(rest, n)
			if problem != "" {
				d.Errorf(Text{Value: raw, node: n}.Span(i, i+length), "%s", problem)
			} else if l.exposed(rest[2 : length-1]) {
				t.exposed = append(t.exposed, rest[:length])
			}
			t.parts = append(t.parts, part{out.Len(), out.Len() + len(value), i, false})
			out.WriteString(value)
			if problem == neverClosed { // what follows on the line cannot be told from it
				line, _, _ := strings.Cut(rest, "\n")
				length = len(line)
			}
			i += length
			copied = i
		default:
			i++
		}
	}
	if copied == 0 {
		return Text{Value: raw, node: n}
	}
	flush(len(raw))
	t.Value = out.String()
	return t
}

// templateEnd is the length of a ${{ … }} at the start of s, minding quotes; all of s when it is
// not closed.
func templateEnd(s string) int {
	var quote byte
	for i := 3; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0 && c == '\\' && quote != '`':
			i++
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
		case c == '"' || c == '\'' || c == '`':
			quote = c
		case c == '}' && strings.HasPrefix(s[i:], "}}") && !strings.HasPrefix(s[i:], "}}}"):
			return i + 2
		}
	}
	return len(s)
}

const neverClosed = "${ is never closed; $$ writes a dollar sign"

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// reference resolves the ${…} at the start of s. It returns its length, its value, and what is
// wrong with it.
func (l *loader) reference(s string, n Node) (length int, value, problem string) {
	end := referenceEnd(s)
	if end < 0 {
		return 2, "", neverClosed
	}
	inner := s[2:end]
	length = end + 1
	if path, ok := strings.CutPrefix(inner, "file:"); ok {
		value, problem = l.fileReference(path)
		return length, value, problem
	}
	if name, ok := strings.CutPrefix(inner, "credential:"); ok {
		value, problem = l.credential(name)
		return length, value, problem
	}
	name, otherwise, hasDefault := strings.Cut(inner, ":-")
	if !envName.MatchString(name) {
		return length, "", fmt.Sprintf("${%s} is not a reference: ${NAME}, ${NAME:-default}, ${file:/path} or ${credential:name}", inner)
	}
	value, found := l.environ[name]
	switch {
	case strings.Contains(otherwise, "${"):
		return length, "", fmt.Sprintf("${%s:-…}: a default holds no reference", name)
	case found && (value != "" || !hasDefault):
		if secretName.MatchString(name) {
			l.hide(value)
		}
		return length, value, ""
	case hasDefault:
		return length, strings.ReplaceAll(otherwise, "$$", "$"), ""
	}
	return length, "", fmt.Sprintf("environment variable %s is not set", name)
}

// referenceEnd is the place of the brace that closes the ${ at the start of s, on the same line; -1
// when there is none. Braces inside, of a default that is JSON, come in pairs.
func referenceEnd(s string) int {
	depth := 0
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		case '\n':
			return -1
		}
	}
	return -1
}

// secretName are variable names whose values are never shown.
var secretName = regexp.MustCompile(`(?i)secret|token|key|pass|auth|cred|dsn|webhook|url`)

func (l *loader) fileReference(path string) (value, problem string) {
	if path == "" {
		return "", "${file:} names no file"
	}
	return l.content(l.beside(path))
}

// beside resolves a relative path against the configuration's folder.
func (l *loader) beside(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(l.dir, path)
}

// exposed reports whether what a reference names is a file that others can read.
func (l *loader) exposed(inner string) bool {
	path, ok := strings.CutPrefix(inner, "file:")
	return ok && l.contents[l.beside(path)].readable
}

func (l *loader) credential(name string) (value, problem string) {
	dir := l.environ["CREDENTIALS_DIRECTORY"]
	switch {
	case name == "" || name == "." || name == ".." || strings.ContainsRune(name, '/'):
		return "", fmt.Sprintf("%q is not the name of a credential", name)
	case dir == "":
		return "", fmt.Sprintf("credential %s is not there: CREDENTIALS_DIRECTORY is not set (LoadCredential= in the unit sets it)", name)
	}
	return l.content(filepath.Join(dir, name))
}

// content is a secret file's content without its last newline.
func (l *loader) content(path string) (value, problem string) {
	l.watch(path)
	if seen, ok := l.contents[path]; ok {
		return seen.value, seen.problem
	}
	if l.only != nil && !slices.Contains(l.only, path) {
		return "", fmt.Sprintf("%s is not a file that the running configuration reads", path)
	}
	data, info, err := readRegular(path, maxReferenced)
	value = strings.TrimSuffix(string(data), "\n")
	if len(value) < len(data) {
		value = strings.TrimSuffix(value, "\r")
	}
	if err != nil {
		problem = err.Error()
	}
	l.contents[path] = content{value, problem, err == nil && info.Mode().Perm()&0o077 != 0}
	l.hide(value)
	return value, problem
}

// readRegular reads a regular file of at most limit bytes. A FIFO or device is refused without
// waiting for it. The error is a sentence for a person.
func readRegular(path string, limit int64) ([]byte, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read %s: %w", path, reason(err))
	}
	defer func() { _ = f.Close() }() // nothing was written
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("cannot read %s: %w", path, reason(err))
	case !info.Mode().IsRegular():
		return nil, nil, fmt.Errorf("cannot read %s: not a regular file", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("cannot read %s: %w", path, reason(err))
	case int64(len(data)) > limit:
		return nil, nil, fmt.Errorf("%s is larger than %d KiB", path, limit>>10)
	}
	return data, info, nil
}

// reason is the bare cause of a file error.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
