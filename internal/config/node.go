package config

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Kind is the shape of a Node.
type Kind int

// The kinds. An absent node is KindNull.
const (
	KindNull Kind = iota
	KindScalar
	KindList
	KindMap
)

func (k Kind) String() string {
	return [...]string{"nothing", "a single value", "a list", "a mapping"}[k]
}

// Node is a part of a configuration that nobody has interpreted yet. The zero Node is absent.
type Node struct {
	y *yaml.Node
	l *loader
}

// IsZero reports whether the node is absent.
func (n Node) IsZero() bool { return n.y == nil }

// Kind is the node's shape.
func (n Node) Kind() Kind {
	switch {
	case n.y == nil:
		return KindNull
	case n.y.Kind == yaml.MappingNode:
		return KindMap
	case n.y.Kind == yaml.SequenceNode:
		return KindList
	case n.y.Kind == yaml.ScalarNode && n.y.ShortTag() == "!!null":
		return KindNull
	case n.y.Kind == yaml.ScalarNode:
		return KindScalar
	}
	return KindNull
}

func (n Node) source() *source {
	if n.l == nil {
		return nil
	}
	return n.l.origin[n.y]
}

// Pos is where the node begins.
func (n Node) Pos() Pos {
	if n.y == nil {
		return Pos{}
	}
	src := n.source()
	if src == nil {
		return Pos{}
	}
	if src.lines == nil {
		return Pos{File: src.name}
	}
	return Pos{File: src.name, Line: n.y.Line, Col: n.y.Column}
}

// Place implements Placed.
func (n Node) Place() (Pos, int) {
	if n.y == nil || n.y.Kind != yaml.ScalarNode {
		return n.Pos(), 1
	}
	width := runeCount(n.y.Value)
	quoted := n.y.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0
	switch {
	case n.y.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		width = 1
	case quoted:
		width += 2
		if pos, end := n.Pos(), n.at(len(n.y.Value)); end.Line == pos.Line && end.Col > pos.Col {
			width = end.Col - pos.Col + 1 // escapes are longer than what they stand for
		}
	}
	return n.Pos(), max(width, 1)
}

// Entry is one key of a mapping and its value.
type Entry struct {
	Key   Text
	Value Node
}

// Entries are a mapping's keys and values in file order; nil for anything else.
func (n Node) Entries() []Entry {
	if n.Kind() != KindMap {
		return nil
	}
	out := make([]Entry, 0, len(n.y.Content)/2)
	for i := 0; i+1 < len(n.y.Content); i += 2 {
		key := Node{n.y.Content[i], n.l}
		out = append(out, Entry{Text{Value: key.y.Value, node: key}, Node{n.y.Content[i+1], n.l}})
	}
	return out
}

// List is a list's elements. A single value or mapping is a list of one; an absent node is none.
func (n Node) List() []Node {
	switch n.Kind() {
	case KindNull:
		return nil
	case KindList:
		out := make([]Node, len(n.y.Content))
		for i, y := range n.y.Content {
			out[i] = Node{y, n.l}
		}
		return out
	}
	return []Node{n}
}

// Find follows keys through mappings. It returns the zero Node when one is absent.
func (n Node) Find(path ...string) Node {
	for _, name := range path {
		next := Node{}
		for _, e := range n.Entries() {
			if e.Key.Value == name {
				next = e.Value
			}
		}
		n = next
	}
	return n
}

// Key is the place of a mapping's key; the mapping itself when it has no such key.
func (n Node) Key(name string) Node {
	for _, e := range n.Entries() {
		if e.Key.Value == name {
			return e.Key.node
		}
	}
	return n
}

// WithDefaults is the mapping with the keys it lacks taken from base. Places are kept.
func (n Node) WithDefaults(base Node) Node {
	if n.Kind() != KindMap || base.Kind() != KindMap {
		return n
	}
	merged := *n.y
	merged.Content = slices.Clone(n.y.Content)
	for i := 0; i+1 < len(base.y.Content); i += 2 {
		if n.Find(base.y.Content[i].Value).IsZero() {
			merged.Content = append(merged.Content, base.y.Content[i], base.y.Content[i+1])
		}
	}
	n.l.origin[&merged] = n.source()
	return Node{&merged, n.l}
}

// Without is the mapping less some keys.
func (n Node) Without(keys ...string) Node {
	if n.Kind() != KindMap {
		return n
	}
	rest := *n.y
	rest.Content = nil
	for i := 0; i+1 < len(n.y.Content); i += 2 {
		if !slices.Contains(keys, n.y.Content[i].Value) {
			rest.Content = append(rest.Content, n.y.Content[i], n.y.Content[i+1])
		}
	}
	n.l.origin[&rest] = n.source()
	return Node{&rest, n.l}
}

// Text is the scalar with its references expanded. A node that is no scalar is a problem.
func (n Node) Text(d *Diagnostics) Text {
	switch n.Kind() {
	case KindScalar:
		return n.l.expand(n, d)
	case KindNull:
		return Text{node: n}
	}
	d.mistyped(n, "expected a single value, found %s", n.Kind())
	return Text{node: n}
}

// Literal is the scalar as it stands, nothing expanded.
func (n Node) Literal() Text {
	if n.Kind() != KindScalar {
		return Text{node: n}
	}
	return Text{Value: n.y.Value, node: n}
}

// describe is what a person is told was found.
func (n Node) describe() string {
	if n.Kind() != KindScalar {
		return n.Kind().String()
	}
	value := strings.ReplaceAll(n.l.masked(n.y.Value), "\n", " ")
	if runes := []rune(value); len(runes) > 40 {
		value = string(runes[:37]) + "..."
	}
	return `"` + value + `"`
}

// Map opens a mapping for several readers, each of which takes the keys it knows.
func (n Node) Map(d *Diagnostics) *Map {
	if n.Kind() != KindMap && n.Kind() != KindNull {
		d.mistyped(n, "expected a mapping, found %s", n.describe())
	}
	return &Map{node: n, d: d, known: map[string]bool{}}
}

// Map is a mapping that remembers which of its keys somebody knows. It is not for concurrent use.
type Map struct {
	node  Node
	d     *Diagnostics
	known map[string]bool
}

// Has reports whether the mapping has the key. It does not make the key known.
func (m *Map) Has(key string) bool {
	return slices.ContainsFunc(m.node.Entries(), func(e Entry) bool { return e.Key.Value == key })
}

// Get returns the value of a key, and makes the key known.
func (m *Map) Get(key string) Node {
	m.known[key] = true
	return m.node.Find(key)
}

// Know makes keys known.
func (m *Map) Know(keys ...string) {
	for _, key := range keys {
		m.known[key] = true
	}
}

// Close makes every key nobody knows a problem. It reports whether there was none.
func (m *Map) Close() bool {
	names := make([]string, 0, len(m.known))
	for name := range m.known {
		names = append(names, name)
	}
	slices.Sort(names)
	ok := true
	for _, e := range m.node.Entries() {
		if m.known[e.Key.Value] {
			continue
		}
		ok = false
		problem := m.d.Errorf(e.Key, "unknown key %q", e.Key.Value)
		if near := Suggest(e.Key.Value, names); near != "" {
			problem.Hint("did you mean %q?", near)
		} else {
			problem.Hint("known keys: %s", strings.Join(names, ", "))
		}
	}
	return ok
}

// Suggest returns the word nearest to what was written, or "" when none is near.
func Suggest(word string, among []string) string {
	best, least := "", max(1, len(word)/3)+1
	for _, candidate := range among {
		if d := distance(strings.ToLower(word), strings.ToLower(candidate), least); d < least {
			best, least = candidate, d
		}
	}
	return best
}

// distance is how many insertions, deletions, replacements and swaps of neighbours lead from a
// to b; any number of at least bound when it is that far.
func distance(a, b string, bound int) int {
	if len(a)-len(b) >= bound || len(b)-len(a) >= bound || len(a) > 64 || len(b) > 64 {
		return bound
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// Plain reports whether the node is a scalar written without quotes, whose type its text decides.
func (n Node) Plain() bool {
	return n.Kind() == KindScalar && n.y.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
}
