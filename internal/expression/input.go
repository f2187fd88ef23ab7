package expression

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/request"
)

// Input is what expressions see of one delivery. It belongs to one goroutine: what is computed
// for one expression is kept for the next.
type Input struct {
	Request     *request.Request
	Hook        string
	Event       string
	DeliveryID  string
	DeliveryKey string
	ReceivedAt  time.Time
	Now         time.Time
	Git         func() GitFacts // nil: the sender is no Git host
	Lets        *Lets
	Job         *JobFacts // nil before a job has ended

	git  *GitFacts
	lets map[string]letResult
}

// GitFacts are a push in words that are the same for all Git hosts.
type GitFacts struct {
	Branch, Tag, Repo, SHA, Actor string
	ChangedFiles                  []string
}

// JobFacts are a job that has ended, for what follows it.
type JobFacts struct {
	ID, Error, Output string
	ExitCode          *int
	Attempt           int
}

type letResult struct {
	value any
	err   error
}

func (in *Input) ip() string {
	if !in.Request.IP.IsValid() {
		return ""
	}
	return in.Request.IP.String()
}

func (in *Input) gitFacts() *GitFacts {
	if in.git == nil {
		in.git = &GitFacts{}
		if in.Git != nil {
			*in.git = in.Git()
		}
	}
	return in.git
}

// name computes a name that costs something.
func (b *budget) name(name string) (any, error) {
	in := b.in
	switch name {
	case "payload":
		payload, err := in.Request.Payload()
		b.payloadErr = err
		return payload, err
	case "form":
		form, err := in.Request.Form()
		b.payloadErr = err
		return orNilMap(form), err
	case "body":
		return string(in.Request.Body), b.build(len(in.Request.Body) / 8)
	case "headers":
		return headerMap(in.Request.Header), nil
	case "query":
		return queryMap(in.Request.Query()), nil
	case "params":
		return paramMap(in.Request.Params), nil
	case "delivery":
		return map[string]any{"id": in.DeliveryID, "key": in.DeliveryKey, "received_at": in.ReceivedAt}, nil
	case "job", "attempt":
		return in.Job.name(name), nil
	}
	git := in.gitFacts()
	switch name {
	case "branch":
		return git.Branch, nil
	case "tag":
		return git.Tag, nil
	case "repo":
		return git.Repo, nil
	case "sha":
		return git.SHA, nil
	case "actor":
		return git.Actor, nil
	case "changed_files":
		return list(git.ChangedFiles)
	}
	return nil, fmt.Errorf("unknown name %q", name)
}

func orNilMap(m map[string]any) any {
	if m == nil {
		return nil
	}
	return m
}

func (j *JobFacts) name(name string) any {
	switch {
	case j == nil:
		return nil
	case name == "attempt":
		return j.Attempt
	}
	job := map[string]any{"id": j.ID, "error": j.Error, "output": j.Output, "exit_code": nil}
	if j.ExitCode != nil {
		job["exit_code"] = *j.ExitCode
	}
	return job
}

// headerMap finds headers whatever the case of their names.
type headerMap http.Header

func (h headerMap) get(name string) any {
	values := http.Header(h).Values(name)
	if len(values) == 0 {
		return nil
	}
	return strings.Join(values, ", ")
}

// queryMap holds each parameter as text, or as a list of it when it is repeated.
func queryMap(query map[string][]string) map[string]any {
	out := make(map[string]any, len(query))
	for name, values := range query {
		if len(values) == 1 {
			out[name] = values[0]
			continue
		}
		all := make([]any, len(values))
		for i, v := range values {
			all[i] = v
		}
		out[name] = all
	}
	return out
}

func paramMap(params map[string]string) map[string]any {
	out := make(map[string]any, len(params))
	for name, value := range params {
		out[name] = value
	}
	return out
}

// LetSource is one let: name and its expression.
type LetSource struct{ Name, Source string }

// Lets are a hook's let: values. Each is computed at most once for an Input, on first use, and
// may use those before it. It is immutable.
type Lets struct{ programs map[string]*Program }

// maxLets bounds the values of one hook.
const maxLets = 100

// CompileLets compiles let: values in order. The errors are by place: nil where there is none.
func CompileLets(sources []LetSource) (*Lets, []error) {
	lets := &Lets{programs: map[string]*Program{}}
	errs := make([]error, len(sources))
	var scope Scope
	for i, s := range sources {
		switch {
		case i >= maxLets:
			errs[i] = &Error{Message: fmt.Sprintf("more than %d values", maxLets), Width: 1}
		case isKnown(s.Name) || functions[s.Name].run != nil:
			errs[i] = &Error{Message: fmt.Sprintf("%q already means something", s.Name), Hints: []string{"choose another name"}, Width: 1}
		case !isIdentifier(s.Name):
			errs[i] = &Error{Message: fmt.Sprintf("%q is not a name: letters, digits and _", s.Name), Width: 1}
		default:
			var p *Program
			if p, errs[i] = Compile(s.Source, scope); errs[i] == nil {
				lets.programs[s.Name] = p
			}
			scope.Lets = append(scope.Lets, s.Name)
		}
	}
	return lets, errs
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

// let is the value of a let: name. An error is kept like a value.
func (b *budget) let(name string) (any, error) {
	if known, ok := b.in.lets[name]; ok {
		return known.value, known.err
	}
	var p *Program
	if b.in.Lets != nil {
		p = b.in.Lets.programs[name]
	}
	if p == nil {
		return nil, fmt.Errorf("unknown name %q", name)
	}
	v, err := p.run(b)
	var eval *EvalError
	if errors.As(err, &eval) {
		err = &EvalError{Message: "let " + name + ": " + eval.Message, Values: eval.Values}
	}
	if b.in.lets == nil {
		b.in.lets = map[string]letResult{}
	}
	b.in.lets[name] = letResult{v, err}
	return v, err
}
