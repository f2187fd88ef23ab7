package expression

import (
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
	Now         time.Time       // of now(), age and in_window; ReceivedAt when it is zero
	Git         func() GitFacts // nil: the sender is no Git host. Called at most once, for a payload that could be read
	Lets        *Lets
	Wanted      *request.Fields // what is read of the payload at most, so that no more is made of it; nil is all
	Job         *JobFacts       // nil before a job has ended

	main, ofLets budget
	letLeft      time.Duration // of the time all let: values have together; 0 before the first
	letDepth     int
	lets         map[string]letResult

	git          *GitFacts
	gitErr       error
	changedFiles []any
	commits      []any
	bodyText     *string
	queryMap     map[string]any
	paramsMap    map[string]any
}

// GitFacts are a push in words that are the same for all Git hosts.
type GitFacts struct {
	Branch, Tag, Repo, SHA, Actor string
	ChangedFiles                  func() []string // asked at most once; nil for none
	Commits                       func() []any    // mappings of id, message, author, added, modified and removed; nil for none
}

// JobFacts are a job that has ended, for what follows it.
type JobFacts struct {
	ID, Error, Output string
	ExitCode          *int
	Attempt           int
}

// begin is the budget of a new evaluation.
func (in *Input) begin() *budget {
	b := &in.main
	if b.busy { // a name that is being read evaluates something itself
		b = &budget{}
	}
	b.reset(in, maxTime, errTime)
	return b
}

var noRequest request.Request

func (in *Input) request() *request.Request {
	if in.Request == nil {
		return &noRequest
	}
	return in.Request
}

func (in *Input) now() time.Time {
	if in.Now.IsZero() {
		return in.ReceivedAt
	}
	return in.Now
}

func (in *Input) ip() string {
	if !in.request().IP.IsValid() {
		return ""
	}
	return in.request().IP.String()
}

func (in *Input) delivery() map[string]any {
	return map[string]any{"id": in.DeliveryID, "key": in.DeliveryKey, "received_at": in.ReceivedAt}
}

// query holds each parameter as text, or as a list of it when it is repeated.
func (in *Input) query() map[string]any {
	if in.queryMap != nil {
		return in.queryMap
	}
	query := in.request().Query()
	in.queryMap = make(map[string]any, len(query))
	for name, values := range query {
		if len(values) == 1 {
			in.queryMap[name] = values[0]
		} else {
			in.queryMap[name] = anys(values)
		}
	}
	return in.queryMap
}

func (in *Input) params() map[string]any {
	if in.paramsMap == nil {
		params := in.request().Params
		in.paramsMap = make(map[string]any, len(params))
		for name, value := range params {
			in.paramsMap[name] = value
		}
	}
	return in.paramsMap
}

func anys(texts []string) []any {
	out := make([]any, len(texts))
	for i, s := range texts {
		out[i] = s
	}
	return out
}

func (b *budget) payload() (v any, err error) {
	b.outside(func() { v, err = b.in.request().Part(b.in.Wanted) })
	return v, err
}

func (b *budget) form() (any, error) {
	var form map[string]any
	var err error
	b.outside(func() { form, err = b.in.request().Form() })
	if form == nil {
		return nil, err
	}
	return form, err
}

func (b *budget) body() (any, error) {
	in := b.in
	if in.bodyText == nil {
		s := string(in.request().Body)
		in.bodyText = &s
	}
	return *in.bodyText, nil
}

// gitFacts are those of the payload; a payload that cannot be read is an error, not a push to
// no branch.
func (b *budget) gitFacts() (*GitFacts, error) {
	in := b.in
	if in.git == nil {
		in.git = &GitFacts{}
		if in.Git != nil {
			b.outside(func() {
				if _, in.gitErr = in.request().Part(in.Wanted); in.gitErr == nil {
					*in.git = in.Git()
				}
			})
		}
	}
	return in.git, in.gitErr
}

func (b *budget) changedFiles() (any, error) {
	facts, err := b.gitFacts()
	if err == nil && b.in.changedFiles == nil {
		b.in.changedFiles = []any{}
		if facts.ChangedFiles != nil {
			b.outside(func() { b.in.changedFiles = anys(facts.ChangedFiles()) })
		}
	}
	return b.in.changedFiles, err
}

func (b *budget) commits() (any, error) {
	facts, err := b.gitFacts()
	if err == nil && b.in.commits == nil {
		if facts.Commits != nil {
			b.outside(func() { b.in.commits = facts.Commits() })
		}
		if b.in.commits == nil {
			b.in.commits = []any{}
		}
	}
	return b.in.commits, err
}

// field is one fact; all are nil before a job has ended.
func (j *JobFacts) field(name string) any {
	if j == nil {
		return nil
	}
	switch name {
	case "id":
		return j.ID
	case "error":
		return j.Error
	case "output":
		return j.Output
	case "attempt":
		return int64(j.Attempt)
	}
	if j.ExitCode == nil {
		return nil // it was killed, or there was no process
	}
	return int64(*j.ExitCode)
}

func (j *JobFacts) mapping() any {
	if j == nil {
		return nil
	}
	return map[string]any{"id": j.ID, "error": j.Error, "output": j.Output, "exit_code": j.field("exit_code")}
}

// headerMap finds headers whatever the case of their names.
type headerMap http.Header

// get is a header's text; values that were sent apart are joined by commas, as HTTP reads them.
// It is nil for a header that was not sent.
func (h headerMap) get(name string) any {
	switch values := http.Header(h).Values(name); len(values) {
	case 0:
		return nil
	case 1:
		return values[0]
	default:
		return strings.Join(values, ", ")
	}
}

// mapping is the header with names in lower case.
func (h headerMap) mapping() map[string]any {
	out := make(map[string]any, len(h))
	for name := range h {
		out[strings.ToLower(name)] = h.get(name)
	}
	return out
}
