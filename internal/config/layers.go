package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/v2"
	"go.yaml.in/yaml/v4"
)

// separator joins the keys of a path for koanf; no key of YAML text can hold it.
const separator = "\x00"

// layer merges the layers in their order: the files, the environment (TENTERHOOK_SERVER__LISTEN),
// the overrides. koanf merges numbers; each stands for a node in a table, so that a value keeps
// its place through all layers.
func (l *loader) layer(root *yaml.Node, o Options) *yaml.Node {
	t := &table{l: l}
	k := koanf.New(separator)
	// confmap and env read what is in memory; they cannot fail.
	_ = k.Load(confmap.Provider(t.flatten(root), ""), nil)
	_ = k.Load(env.Provider(separator, env.Opt{
		Prefix:        envPrefix,
		EnvironFunc:   func() []string { return slices.Sorted(slices.Values(o.Environ)) },
		TransformFunc: t.variable,
	}), nil)
	overrides := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(o.Overrides)) { // in an order, for the digest
		if value := o.Overrides[name]; value != "" {
			overrides[strings.ReplaceAll(name, ".", separator)] = t.scalar("--"+name, value)
		}
	}
	_ = k.Load(confmap.Provider(overrides, separator), nil)
	if len(t.added) == 0 {
		return root
	}
	return t.rebuild(root, k.Raw())
}

const envPrefix = "TENTERHOOK_"

// topLevelScalars are the variables without __ that take part.
var topLevelScalars = []string{"workers"}

// layered are the mappings that variables and flags may reach into.
var layered = []string{"server", "admin", "store", "node"}

// table gives nodes numbers for koanf.
type table struct {
	l     *loader
	nodes []*yaml.Node
	added []int // of values that come from other layers than the files
}

func (t *table) add(y *yaml.Node) int {
	t.nodes = append(t.nodes, y)
	return len(t.nodes) - 1
}

// flatten makes koanf's map of a mapping: mappings stay maps where layers reach in, everything
// else is a number.
func (t *table) flatten(y *yaml.Node) map[string]any {
	out := map[string]any{}
	for i := 0; i+1 < len(y.Content); i += 2 {
		value := y.Content[i+1]
		if value.Kind == yaml.MappingNode && len(value.Content) > 0 {
			out[y.Content[i].Value] = t.flatten(value)
		} else {
			out[y.Content[i].Value] = t.add(value)
		}
	}
	return out
}

// scalar makes a node of a value from another layer, placed at its name.
func (t *table) scalar(place, value string) int {
	y := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
	t.l.origin[y] = &source{name: place, l: t.l}
	t.l.digest = fmt.Appendf(t.l.digest, "%s", place)
	n := t.add(y)
	t.added = append(t.added, n)
	return n
}

// variable tells koanf the path and value of an environment variable; "" leaves it out.
func (t *table) variable(name, value string) (string, any) {
	path := strings.Split(strings.ToLower(strings.TrimPrefix(name, envPrefix)), "__")
	reaches := len(path) > 1 && slices.Contains(layered, path[0]) || len(path) == 1 && slices.Contains(topLevelScalars, path[0])
	if !reaches || slices.Contains(path, "") {
		return "", nil
	}
	return strings.Join(path, separator), t.scalar("environment variable "+name, value)
}

// rebuild makes a mapping node of koanf's map, in the order and with the places of the file's.
func (t *table) rebuild(y *yaml.Node, merged map[string]any) *yaml.Node {
	out := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	if y != nil {
		out.Line, out.Column = y.Line, y.Column
		t.l.origin[out] = t.l.origin[y]
	}
	rest := map[string]any{}
	for key, value := range merged {
		rest[key] = value
	}
	for i := 0; y != nil && i+1 < len(y.Content); i += 2 {
		key := y.Content[i]
		if value, ok := rest[key.Value]; ok {
			out.Content = append(out.Content, key, t.value(y.Content[i+1], value))
			delete(rest, key.Value)
		}
	}
	names := make([]string, 0, len(rest))
	for name := range rest {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		value := t.value(nil, rest[name])
		key := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name}
		t.l.origin[key] = t.l.origin[value]
		out.Content = append(out.Content, key, value)
	}
	if t.l.origin[out] == nil && len(out.Content) > 0 {
		t.l.origin[out] = t.l.origin[out.Content[0]]
	}
	return out
}

func (t *table) value(was *yaml.Node, value any) *yaml.Node {
	switch v := value.(type) {
	case map[string]any:
		if was != nil && was.Kind != yaml.MappingNode {
			was = nil
		}
		return t.rebuild(was, v)
	case int:
		return t.nodes[v]
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
}

// includable are the lists an included file may add to.
var includable = []string{"hooks", "tests"}

// include reads the files that include: names and appends their lists to the root's.
func (l *loader) include(root Node, main string) {
	seen := map[string]bool{real(main): true}
	for _, pattern := range root.Find("include").List() {
		before := problems(l.d)
		t := pattern.Text(l.d)
		if t.Value == "" || problems(l.d) > before {
			continue
		}
		wild := strings.ContainsAny(t.Value, "*?[")
		l.watch(l.beside(t.Value))
		matches, err := l.matches(t.Value, wild)
		switch {
		case err != nil:
			l.d.Errorf(t, "%q is not a pattern: %s", t.Value, err)
		case len(matches) > 1000:
			l.d.Errorf(t, "%q matches %d files, more than 1000", t.Value, len(matches))
			continue
		case len(matches) == 0 && !wild:
			l.d.Errorf(t, "%s does not exist", t.Value)
		}
		for _, match := range matches {
			if seen[real(match)] {
				if !wild {
					l.d.Errorf(t, "%s is included twice or includes itself", t.Value)
				}
				continue
			}
			seen[real(match)] = true
			l.taken.Included[t.Value] = append(l.taken.Included[t.Value], match)
			l.includeOne(root, match, t)
		}
	}
}

// globbing are the characters that mean something in a pattern.
var globbing = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`)

// matches are the files a pattern finds, by name. The configuration's folder is no part of the
// pattern, whatever it is called.
func (l *loader) matches(pattern string, wild bool) ([]string, error) {
	switch {
	case l.snapshot != nil:
		return l.snapshot.Included[pattern], nil
	case !wild:
		path := l.beside(pattern)
		if _, err := os.Lstat(path); err != nil {
			return nil, nil
		}
		return []string{path}, nil
	case filepath.IsAbs(pattern):
		return filepath.Glob(pattern)
	}
	return filepath.Glob(filepath.Join(globbing.Replace(l.dir), pattern))
}

func real(path string) string {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	}
	return absolute(path)
}

func (l *loader) includeOne(root Node, path string, at Text) {
	data, readable, ok := l.read(path, at)
	if !ok {
		return
	}
	shown := path
	if relative, err := filepath.Rel(l.dir, path); err == nil && !filepath.IsAbs(at.Value) {
		shown = filepath.Join(filepath.Dir(l.d.name), relative)
	}
	y := l.parse(shown, data, readable)
	if y == nil {
		return
	}
	for _, e := range (Node{y, l}).Entries() {
		if !slices.Contains(includable, e.Key.Value) {
			l.d.Errorf(e.Key, "an included file may hold hooks: and tests: only, found %q", e.Key.Value)
			continue
		}
		l.appendList(root, e)
	}
}

// appendList adds a list's elements to the root's list of the same name. Either may be written as
// a single element.
func (l *loader) appendList(root Node, e Entry) {
	for i := 0; i+1 < len(root.y.Content); i += 2 {
		if root.y.Content[i].Value == e.Key.Value {
			root.y.Content[i+1] = l.joined(Node{root.y.Content[i+1], l}, e.Value)
			return
		}
	}
	root.y.Content = append(root.y.Content, e.Key.node.y, e.Value.y)
}

func (l *loader) joined(a, b Node) *yaml.Node {
	list := *a.y
	if a.Kind() != KindList {
		list = yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: a.y.Line, Column: a.y.Column}
	}
	list.Content = nil
	for _, element := range append(a.List(), b.List()...) {
		list.Content = append(list.Content, element.y)
	}
	l.origin[&list] = a.source()
	return &list
}

// yamlError places an error of the YAML parser.
func yamlError(name string, err error) (Pos, string) {
	var marked *yaml.LoadError
	if errors.As(err, &marked) && marked.Mark.Line > 0 {
		return Pos{name, marked.Mark.Line, max(1, marked.Mark.Column)}, "not YAML: " + marked.Message
	}
	return Pos{File: name}, "not YAML: " + strings.TrimSpace(strings.TrimPrefix(err.Error(), "yaml:"))
}

// fingerprint sums everything a reload could change: the files, the other layers, and what the
// references came to.
func (l *loader) fingerprint() [32]byte {
	sum := sha256.New()
	sum.Write(l.digest)
	sum.Write(l.resolved)
	return [32]byte(sum.Sum(nil))
}

func (l *loader) digestValue(t Text) {
	if len(t.parts) > 0 || t.node.source() == nil || t.node.source().lines == nil {
		l.resolved = fmt.Appendf(l.resolved, "%d:%s", len(t.Value), t.Value)
	}
}
