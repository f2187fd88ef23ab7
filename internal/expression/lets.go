package expression

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// LetSource is one let: name and its expression.
type LetSource struct{ Name, Source string }

// Lets are a hook's let: values. Each is computed at most once for an Input, on first use, and
// may use those before it; an error is kept like a value. It is immutable.
type Lets struct {
	programs map[string]*Program
	uses     map[string]map[string]bool // with what is used in turn
}

// maxLets bounds the values of one hook.
const maxLets = 100

// CompileLets compiles let: values in order. The errors are by place: nil where there is none.
// The names of refused values are known to those after them, so that one mistake is told once.
func CompileLets(sources []LetSource) (*Lets, []error) {
	lets := &Lets{programs: map[string]*Program{}, uses: map[string]map[string]bool{}}
	errs := make([]error, len(sources))
	var scope Scope
	for i, s := range sources {
		switch {
		case i >= maxLets:
			errs[i] = &Error{Message: fmt.Sprintf("more than %d values", maxLets), Width: 1}
		case isTaken(s.Name) && !vocabulary[s.Name] || slices.Contains(scope.Lets, s.Name):
			errs[i] = &Error{Message: fmt.Sprintf("%q already means something", s.Name), Hints: []string{"choose another name"}, Width: 1}
		case !isIdentifier(s.Name):
			errs[i] = &Error{Message: fmt.Sprintf("%q is not a name: letters, digits and _", s.Name), Width: 1}
		default:
			var p *Program
			if p, errs[i] = Compile(s.Source, scope); errs[i] == nil {
				lets.add(s.Name, p)
			}
			scope.Lets = append(scope.Lets, s.Name)
		}
	}
	return lets, errs
}

// vocabulary are the names of pushes. A hook may have its own notion of them, such as
// sha: payload.release.target_commitish, and then that is what its rules mean.
var vocabulary = map[string]bool{
	"branch": true, "tag": true, "repo": true, "sha": true, "actor": true, "changed_files": true, "commits": true,
}

// isIdentifier reports whether people may define the name; words of the language are not.
func isIdentifier(s string) bool {
	switch s {
	case "", "let", "if", "else", "in", "not", "and", "or", "matches", "contains", "startsWith", "endsWith", "true", "false", "nil":
		return false
	}
	for i, c := range s {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return !strings.HasPrefix(s, "__")
}

func (l *Lets) add(name string, p *Program) {
	l.programs[name] = p
	l.uses[name] = maps.Clone(p.uses)
	for used := range p.uses {
		maps.Copy(l.uses[name], l.uses[used])
	}
}

// Uses reports whether a value, or one that it uses, mentions a name.
func (l *Lets) Uses(let, name string) bool { return l != nil && l.uses[let][name] }

type letResult struct {
	value any
	err   error
}

// let is the value of a let: name.
func (b *budget) let(name string) (any, error) {
	in := b.in
	if known, ok := in.lets[name]; ok {
		return known.value, known.err
	}
	var p *Program
	if in.Lets != nil {
		p = in.Lets.programs[name]
	}
	if p == nil {
		return nil, fmt.Errorf("unknown name %q", name)
	}
	v, err := b.computeLet(p)
	var eval *EvalError
	if errors.As(err, &eval) {
		err = &EvalError{Message: "let " + name + ": " + eval.Message, Values: eval.Values, ofLet: true}
	}
	if in.lets == nil {
		in.lets = map[string]letResult{}
	}
	in.lets[name] = letResult{v, err}
	return v, err
}

// computeLet evaluates a let: value, with a budget of its own, so that what it comes to does
// not depend on what was left to the expression that used it first. All of an Input share the
// time of one.
func (b *budget) computeLet(p *Program) (any, error) {
	in := b.in
	if in.letDepth > 0 {
		return p.run(&in.ofLets)
	}
	if in.letLeft == 0 {
		in.letLeft = maxTime
	}
	in.ofLets.reset(in, in.letLeft, errLetTime)
	in.letDepth++
	defer func() {
		in.letDepth--
		if !in.ofLets.deadline.IsZero() {
			in.letLeft = max(1, time.Until(in.ofLets.deadline))
		}
	}()
	var v any
	var err error
	b.outside(func() { v, err = p.run(&in.ofLets) })
	return v, err
}

// Names are the names of the values, in no order.
func (l *Lets) Names() []string {
	if l == nil {
		return nil
	}
	return slices.Collect(maps.Keys(l.programs))
}
