package expression

import (
	"github.com/expr-lang/expr/ast"

	"github.com/tenterhook/tenterhook/internal/request"
)

// Reads is what expressions may read of a payload, so that nobody needs to make the rest of it.
// The zero Reads has seen nothing; what is added may be nil.
type Reads struct {
	Git     bool // the facts of a push
	Commits bool // its commits, or the files they changed

	whole  bool
	fields request.Fields
}

// Payload is what is read of the payload itself; nil is all of it.
func (r *Reads) Payload() request.Fields {
	if r.whole {
		return nil
	}
	if r.fields == nil {
		r.fields = request.Fields{}
	}
	return r.fields
}

// Path adds what is at a path of names; without any, the whole payload.
func (r *Reads) Path(names ...string) {
	r.fields = r.Payload().With(names...)
	r.whole = r.fields == nil
}

// Program adds what a program reads, apart from its let: names.
func (r *Reads) Program(p *Program) {
	if p != nil {
		r.node(p.root)
	}
}

// Template adds what a template reads, apart from its let: names.
func (r *Reads) Template(t *Template) {
	if t == nil {
		return
	}
	for _, part := range t.parts {
		r.Program(part.program)
	}
}

// Lets adds what all values read.
func (r *Reads) Lets(l *Lets) {
	if l == nil {
		return
	}
	for _, p := range l.programs {
		r.Program(p)
	}
}

// node adds what a tree, as it was written, reads: of payload.a.b["c"] that path, and all of the
// payload where it is mentioned in any other way.
func (r *Reads) node(n ast.Node) {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		r.name(n.Value)
		return
	case *ast.MemberNode:
		base, keys := writtenPath(n)
		var names []string
		for _, key := range keys {
			name, ok := key.(string)
			if !ok {
				break // a place in a list, which is read whole
			}
			names = append(names, name)
		}
		if id, ok := base.(*ast.IdentifierNode); ok && id.Value == "payload" && len(names) > 0 {
			r.Path(names...)
			return
		}
		if len(keys) > 0 {
			r.node(base)
			return
		}
	}
	for _, child := range children(n) {
		r.node(child)
	}
}

func (r *Reads) name(name string) {
	if name == "payload" {
		r.Path()
	}
	r.Git = r.Git || vocabulary[name]
	r.Commits = r.Commits || name == "commits" || name == "changed_files"
}
