package hook

import (
	"github.com/tenterhook/tenterhook/internal/expression"
	"github.com/tenterhook/tenterhook/internal/job"
)

// Finder is a condition on stored deliveries with the names that rules have: those of the
// delivery's own hook, its let: values among them. It is immutable and safe for concurrent use.
type Finder struct {
	set    *Set
	plain  *expression.Program            // for a hook that is not configured, nil when it needs one
	byHook map[string]*expression.Program // nil where the condition means nothing to the hook
}

// CompileFinder compiles a condition for the hooks of a set, which may be nil, or for the named one
// alone. It must mean something to one of them at least; else the error says what is wrong with it,
// and where (Where), and what would be right (Advice).
func CompileFinder(source, only string, set *Set) (*Finder, error) {
	f := &Finder{set: set, byHook: map[string]*expression.Program{}}
	var problem error
	f.plain, problem = expression.CompileMatch(source, expression.Scope{})
	found := problem == nil
	if set != nil {
		for _, h := range set.Hooks() {
			if only != "" && h.Name != only {
				continue
			}
			p, err := expression.CompileMatch(source, expression.Scope{Lets: h.lets.Names()})
			if f.byHook[h.Name] = p; err == nil {
				found = true
			} else if only != "" {
				problem = err // it knows more names, so it suggests better ones
			}
		}
	}
	if !found {
		return nil, problem
	}
	return f, nil
}

// Matches reports whether a delivery with its body is one that is looked for. The error says what
// could not be evaluated.
func (f *Finder) Matches(d *job.Delivery) (bool, error) {
	h, program := &Hook{Name: d.Hook}, f.plain
	if f.set != nil {
		if configured := f.set.Hook(d.Hook); configured != nil {
			h, program = configured, f.byHook[d.Hook]
		}
	}
	if program == nil {
		return false, nil
	}
	r := Replay(d)
	r.Format = h.Format
	in := h.input(r, Identity{Key: d.Key, Event: d.Event}, d.ID)
	in.Now = d.ReceivedAt
	return program.Bool(in)
}
