// Package adnanh carries hooks files of adnanh/webhook over. It reads them with that program's
// eyes (YAML 1.1, keys without regard to case, text made of every scalar) and writes what they did
// in the words of hooks.yaml. What cannot be said becomes a note and a comment, never nothing.
//
// What the program does is taken from its documents, its source and measurements of version
// 2.8.2; testdata/cases.json holds them, and a test in internal/daemon plays them against the
// real daemon. Nothing here starts anything or writes a file.
package adnanh

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/migrate"
)

// Options are the flags that the program was started with, as far as they matter.
type Options struct {
	Template bool     // -template: the file is a Go template
	Prefix   string   // -urlprefix
	Methods  []string // -http-methods
	Headers  []string // -header, each name=value
	Listen   string   // -ip and -port, or "" for our own default
	Exposed  bool     // Listen is reachable from other machines
	Cert     string   // -cert, with -secure
	Key      string   // -key
	// Check compiles a hooks.yaml and returns what is wrong with it beside the machine it is on. A hook
	// that does not compile becomes a comment.
	Check func(src []byte) []string
}

// Import reads a hooks file. The document is nil when there is nothing to make one of; then the
// notes say why.
func Import(name string, src []byte, o Options) (*migrate.Document, []config.Diagnostic) {
	notes := &migrate.Notes{File: name}
	references := &references{}
	if o.Template {
		src = references.replace(src, notes)
	} else {
		warnOfTemplate(src, notes)
	}
	if notes.Failed() {
		return nil, notes.List
	}
	root := parse(src, notes)
	if root == nil {
		return nil, notes.List
	}
	hooks := readHooks(root, notes)
	if notes.Failed() {
		return nil, notes.List
	}
	if len(hooks) == 0 {
		notes.Warn(0, 0, "the file has no hooks")
	}
	w := writer{options: o, notes: notes, references: references, lines: strings.Split(string(src), "\n"), ids: map[string]bool{}, names: map[string]bool{}}
	doc := &migrate.Document{Head: head(name, references), Server: server(o)}
	for _, h := range hooks {
		doc.Hooks = append(doc.Hooks, w.hook(h))
	}
	slices.SortStableFunc(notes.List, func(a, b config.Diagnostic) int { return cmp.Compare(a.Pos.Line, b.Pos.Line) })
	return doc, slices.CompactFunc(notes.List, func(a, b config.Diagnostic) bool { return a.Pos == b.Pos && a.Message == b.Message })
}

func head(name string, r *references) []string {
	out := []string{
		"Made from " + path.Base(name) + " by `tenterhook import adnanh-webhook`; docs/migrating.md says what is different.",
		"Commands do not inherit the daemon's environment: what a script needs stands in its env:, VAR: \"${VAR}\".",
		"Deliveries are stored before they are answered, with 202; a wrong signature is answered with 401.",
	}
	if len(r.missing) > 0 {
		out = append(out, "Set before the start: "+strings.Join(r.missing, ", ")+".")
	}
	return out
}

func server(o Options) []migrate.Pair {
	var out []migrate.Pair
	if o.Listen != "" {
		out = append(out, migrate.Pair{Key: "listen", Value: migrate.Text(o.Listen)})
	}
	if o.Cert != "" {
		out = append(out, migrate.Pair{Key: "tls", Value: migrate.Map{{Key: "cert", Value: migrate.Text(o.Cert)}, {Key: "key", Value: migrate.Text(o.Key)}}})
	}
	return out
}

// writer makes our hooks of the peer's.
type writer struct {
	options    Options
	notes      *migrate.Notes
	references *references
	lines      []string        // of the file
	ids        map[string]bool // that were seen
	names      map[string]bool // that are taken
}

// hook is one hook in our words. When its translation is refused, or does not compile, the hook
// is a comment that says why.
func (w *writer) hook(h *peerHook) migrate.Hook {
	t := &translation{writer: w, hook: h, lets: map[string]letName{}, said: map[string]bool{}}
	said := len(w.notes.List)
	out, err := t.translate()
	if err == nil && w.options.Check != nil {
		alone := migrate.Document{Server: server(w.options), Hooks: []migrate.Hook{out}}
		if problems := w.options.Check(alone.Bytes()); len(problems) > 0 {
			err = refuse("%s", strings.Join(problems, "; "))
		}
	}
	if err == nil {
		return out
	}
	w.notes.List = w.notes.List[:said] // about what it would have become
	name := h.id
	if name == "" {
		name = fmt.Sprintf("the hook at line %d", h.line)
	}
	w.notes.Warn(h.line, h.col, "hook %q is not carried over: %s", name, err)
	return migrate.Hook{Name: name, Refused: err.Error(), Original: w.original(h)}
}

// original are a hook's lines as they were, its secrets blanked out.
func (w *writer) original(h *peerHook) []string {
	if h.line < 1 || h.end > len(w.lines) {
		return nil
	}
	end := h.end
	for end < len(w.lines) && strings.Trim(w.lines[end], " \t\r]},") == "" && strings.Contains(w.lines[end], "}") {
		end++ // what closes it
	}
	var out []string
	secrets := secretsOf(h.rule)
	for _, line := range w.lines[h.line-1 : end] {
		for _, s := range secrets {
			line = strings.ReplaceAll(line, s, "***")
		}
		out = append(out, strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return ' '
			}
			return r
		}, line))
	}
	return out
}

func secretsOf(r *rule) []string {
	if r == nil {
		return nil
	}
	var out []string
	if r.match.secret != "" {
		out = append(out, r.match.secret)
	}
	if secretName(r.match.parameter.name) && r.match.value != "" {
		out = append(out, r.match.value)
	}
	for _, element := range r.of {
		out = append(out, secretsOf(element)...)
	}
	return out
}
