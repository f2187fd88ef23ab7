package config

import "slices"

// Reference is a scalar with a reference, as it is written, and the keys that lead to it, without
// the positions in lists.
type Reference struct{ Keys, Text string }

// References are all of a file's. Nobody may change them.
func (f *File) References() map[Reference]bool { return f.references }

// eachReference calls do for every scalar with a reference. A template is none.
func (l *loader) eachReference(n Node, keys string, do func(Node, Reference)) {
	switch n.Kind() {
	case KindScalar:
		t := l.expand(n, &Diagnostics{quiet: true})
		if slices.ContainsFunc(t.parts, func(p part) bool { return !p.copied }) {
			do(n, Reference{keys, n.y.Value})
		}
	case KindList:
		for _, child := range n.List() {
			l.eachReference(child, keys, do)
		}
	case KindMap:
		for _, e := range n.Entries() {
			l.eachReference(e.Value, keys+"\x00"+e.Key.Value, do)
		}
	}
}

// allAlike reports whether every reference may stand where it does, and says which may not.
func (l *loader) allAlike(root Node) bool {
	if l.alike == nil {
		return true
	}
	ok := true
	l.eachReference(root, "", func(n Node, r Reference) {
		if !l.alike[r] {
			ok = false
			before := len(l.d.All())
			if l.expand(n, l.d); len(l.d.All()) > before {
				return // that it cannot be resolved says more
			}
			l.d.Errorf(n, "a reference may stand here only as the configuration that runs has it").
				Hint("\"tenterhook plan\" on the machine itself takes any")
		}
	})
	return ok
}
